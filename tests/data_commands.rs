//! `ht data` through the binary, against a small server on this machine.
//!
//! The published files themselves are not at hand here, so that no download ends with the right checksum; the tests of
//! the `data` crate cover that with a file of their own.

mod common;

use common::{Place, gzip, idx, small_mnist};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Published length of the first file.
const TRAIN_IMAGES: usize = 9_912_422;

/// What the server answers to a path and the first byte asked for.
type Answer = fn(&str, usize) -> Vec<u8>;

/// A server that answers each connection once.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<(String, usize)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                serve(stream, answer, &log);
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    fn fetch(&self, place: &Place) -> common::Ended {
        place.ht(&format!("data fetch mnist --data data --base-url http://{}/files", self.address))
    }

    fn requests(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn serve(mut stream: TcpStream, answer: Answer, log: &Mutex<Vec<(String, usize)>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let from = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    log.lock().unwrap().push((path.to_owned(), from));
    // The client may hang up first.
    let _ = stream.write_all(&answer(path, from));
}

fn head(status: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
        .into_bytes()
}

fn not_found(_: &str, _: usize) -> Vec<u8> {
    head("404 Not Found", "", 0)
}

/// As many bytes as the published file, all zero, from `from` on; the connection breaks off after `most`.
fn zeros(from: usize, most: usize) -> Vec<u8> {
    let rest = TRAIN_IMAGES - from;
    let range = format!("Content-Range: bytes {from}-{}/{TRAIN_IMAGES}\r\n", TRAIN_IMAGES - 1);
    let mut bytes =
        if from == 0 { head("200 OK", "", rest) } else { head("206 Partial Content", &range, rest) };
    bytes.resize(bytes.len() + rest.min(most), 0);
    bytes
}

fn corrupt(_: &str, from: usize) -> Vec<u8> {
    zeros(from, usize::MAX)
}

fn cut(_: &str, from: usize) -> Vec<u8> {
    zeros(from, 4_000_000)
}

/// Nothing more after the first megabyte.
fn cut_for_good(_: &str, from: usize) -> Vec<u8> {
    if from == 0 { zeros(0, 1_000_000) } else { head("503 Service Unavailable", "", 0) }
}

const FIRST: &str = "train-images-idx3-ubyte.gz";

#[test]
fn data_sets_are_listed() {
    let list = Place::new().ht("data list").succeeds().stdout;
    for word in ["mnist ", "fashion-mnist", "strokes", "60000 + 10000", "nothing to fetch", "licence"] {
        assert!(list.contains(word), "no '{word}' in {list}");
    }
    for line in [
        "cifar10 .*32x32x3, 10 classes, 50000 + 10000 images; 1 file, ",
        "cifar100 .*32x32x3, 100 classes, 50000 + 10000 images; 1 file, ",
        "svhn .*32x32x3, 10 classes, 73257 + 26032 images; 2 files, ",
        "tiny-imagenet .*64x64x3, 200 classes, 100000 + 10000 images; 1 file, ",
        "scenes .*32x32x3, 10 classes, 10000 + 2000 images; nothing to fetch",
    ] {
        let (name, rest) = line.split_once(".*").unwrap();
        let found = list.lines().any(|line| line.starts_with(name) && line.contains(rest));
        assert!(found, "no '{line}' in {list}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_address() {
    let (place, server) = (Place::new(), Server::new(not_found));
    server.fetch(&place).fails(1, &[FIRST, &server.address, "404", "try again"]);
    assert_eq!(server.requests(), [(format!("/files/{FIRST}"), 0)]);
    let left: Vec<_> = std::fs::read_dir(place.path().join("data/mnist")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nobody_listening_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let words = format!("data fetch mnist --data data --base-url http://{address}/files");
    Place::new().ht(&words).fails(1, &[FIRST, &address.to_string(), "check the connection"]);
}

#[test]
fn a_download_with_a_wrong_checksum_is_not_kept() {
    let (place, server) = (Place::new(), Server::new(corrupt));
    server.fetch(&place).fails(1, &[FIRST, "md5", "f68b3c2dcbeaaa9fbdd348bbdeb94873"]);
    assert!(!place.path().join("data/mnist").join(FIRST).exists());
    place.ht("data check mnist --data data").fails(1, &["ht data fetch mnist"]);
}

#[test]
fn a_download_that_breaks_off_continues_where_it_was() {
    let (place, server) = (Place::new(), Server::new(cut));
    // It is whole after three pieces, and then shows to be another than the published file.
    server.fetch(&place).fails(1, &[FIRST, &server.address]);
    assert!(!place.path().join("data/mnist").join(FIRST).exists());
    let from: Vec<_> = server.requests().into_iter().map(|request| request.1).take(3).collect();
    assert_eq!(from, [0, 4_000_000, 8_000_000]);

    let (place, server) = (Place::new(), Server::new(cut_for_good));
    server.fetch(&place).fails(1, &[FIRST, "503"]);
    let part = place.path().join("data/mnist").join(format!("{FIRST}.part"));
    assert_eq!(std::fs::metadata(&part).unwrap().len(), 1_000_000, "what came is kept");
    server.requests();
    let next = Server::new(cut);
    next.fetch(&place).fails(1, &[FIRST]);
    assert_eq!(next.requests()[0].1, 1_000_000, "the next call continues");
}

#[test]
fn there_is_nothing_to_fetch_or_check_of_the_built_in_set() {
    let place = Place::new();
    for name in ["strokes", "scenes"] {
        place.ht(&format!("data fetch {name}")).fails(2, &[name, "built in", "nothing to download"]);
        assert!(place.ht(&format!("data check {name}")).succeeds().stdout.contains("built in"));
    }
}

#[test]
fn the_check_names_file_and_byte() {
    let place = Place::new();
    let check = |words: &str| place.ht(&format!("data check mnist --data {words}"));
    let none = check("nowhere").fails(1, &["nowhere/mnist", "ht data fetch mnist"]);
    assert_eq!(none.stdout.matches(": missing").count(), 4, "{none:?}");

    let [images, labels, ..] = small_mnist();
    place.write("data/mnist/train-images-idx3-ubyte", &images.1[..1_000]);
    let mut packed = gzip(&labels.1);
    packed[100] ^= 1;
    place.write("data/mnist/train-labels-idx1-ubyte.gz", packed);
    place.write("data/mnist/t10k-images-idx3-ubyte", idx(0x803, &[10_000, 27, 28], &[]));
    place.write("data/mnist/t10k-labels-idx1-ubyte", idx(0x801, &[4], &[0, 1, 77, 3]));
    let ended = check("data").fails(1, &["mnist is not usable"]);
    let lines: Vec<_> = ended.stdout.lines().collect();
    for (line, words) in lines.iter().zip([
        ["train-images-idx3-ubyte", "byte 1000"],
        ["train-labels-idx1-ubyte.gz", "checksum"],
        ["t10k-images-idx3-ubyte", "byte 8"],
        ["t10k-labels-idx1-ubyte", "byte 10"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
    }
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_check_knows_every_layout() {
    let place = Place::new();
    let none = place.ht("data check svhn --data nowhere").fails(1, &["svhn is not usable"]);
    assert_eq!(none.stdout.matches(": missing").count(), 2, "{none:?}");

    // A whole record and a byte of the next; a label that is no class.
    place.write("data/cifar-10-batches-bin/data_batch_1.bin", vec![1; 3074]);
    place.write("data/cifar-10-batches-bin/data_batch_2.bin", vec![10; 3073]);
    let ended = place.ht("data check cifar10 --data data").fails(1, &["ht data fetch cifar10"]);
    for words in
        [["data_batch_1.bin", "byte 3074"], ["data_batch_2.bin", "byte 0"], ["test_batch.bin", "missing"]]
    {
        let found = ended.stdout.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "{words:?} in {ended:?}");
    }

    // An archive goes before a folder in which files are missing.
    place.write("data/cifar10/cifar-10-python.tar.gz", b"hello");
    let ended = place.ht("data check cifar10 --data data").fails(1, &["what to do stands beside each file"]);
    assert!(ended.stdout.contains("get it with `ht data fetch cifar10 --data data`"), "{ended:?}");
    assert!(ended.stdout.contains("cifar-10-python.tar.gz: damaged"), "{ended:?}");

    place.write("data/tiny-imagenet-200.zip", b"PK\x03\x04 cut short");
    let ended = place.ht("data check tiny-imagenet --data data").fails(1, &["tiny-imagenet is not usable"]);
    assert!(ended.stdout.contains("tiny-imagenet-200.zip: damaged at byte 14: the archive"), "{ended:?}");
}

#[test]
fn other_files_of_the_published_size_pass_and_are_said_to_be_others() {
    let place = Place::new();
    for (half, n) in [("train", 60_000u32), ("t10k", 10_000)] {
        let images = place.write(&format!("data/{half}-images-idx3-ubyte"), idx(0x803, &[n, 28, 28], &[]));
        let length = 16 + u64::from(n) * 784;
        std::fs::OpenOptions::new().write(true).open(images).unwrap().set_len(length).unwrap();
        place.write(&format!("data/{half}-labels-idx1-ubyte"), idx(0x801, &[n], &vec![3; n as usize]));
    }
    let ended = place.ht("data check mnist --data data").succeeds();
    assert_eq!(ended.stdout.matches(": ok, but not the published file").count(), 4, "{ended:?}");
}
