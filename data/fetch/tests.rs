use std::io::BufReader;
use std::io::prelude::*;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::*;

/// 300,000 bytes with a known md5: several network reads.
fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn published() -> PublishedFile {
    PublishedFile { name: "some-ubyte.gz", md5: "14a1802113ce2773fe316b5a05dd3645", bytes: 300_000 }
}

/// What the test server does with the whole file and the first byte asked for.
type Behaviour = fn(&[u8], Option<usize>) -> Vec<u8>;

/// A server on this machine that answers each connection once, then closes it.
struct Server {
    address: String,
    /// The first byte that each request asked for.
    requests: Arc<Mutex<Vec<Option<usize>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/files/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                answer(stream.unwrap(), behaviour, &log);
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    fn requests(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let host = self.address.trim_start_matches("http://").trim_end_matches("/files/");
        drop(TcpStream::connect(host));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn answer(mut stream: TcpStream, behaviour: Behaviour, log: &Mutex<Vec<Option<usize>>>) {
    let mut head = Vec::new();
    for line in BufReader::new(&stream).lines().map(Result::unwrap) {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    assert_eq!(head[0], "GET /files/some-ubyte.gz HTTP/1.1");
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let from = range.map(|range| range.trim_end_matches('-').parse().unwrap());
    log.lock().unwrap().push(from);
    // The client may hang up first, as it does on an answer it has no use for.
    let _ = stream.write_all(&behaviour(&content(), from));
}

fn reply(status: &str, headers: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {announced}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn partial(all: &[u8], from: usize, body: &[u8]) -> Vec<u8> {
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", all.len() - 1, all.len());
    reply("206 Partial Content", &range, all.len() - from, body)
}

fn good(all: &[u8], from: Option<usize>) -> Vec<u8> {
    match from {
        None => reply("200 OK", "", all.len(), all),
        Some(from) => partial(all, from, &all[from..]),
    }
}

/// Closes the connection after at most 70,000 bytes.
fn breaks_off(all: &[u8], from: Option<usize>) -> Vec<u8> {
    let start = from.unwrap_or(0);
    let body = &all[start..all.len().min(start + 70_000)];
    from.map_or_else(|| reply("200 OK", "", all.len(), body), |from| partial(all, from, body))
}

fn breaks_off_and_ignores_ranges(all: &[u8], _: Option<usize>) -> Vec<u8> {
    breaks_off(all, None)
}

fn ignores_ranges(all: &[u8], _: Option<usize>) -> Vec<u8> {
    good(all, None)
}

fn refuses_ranges(all: &[u8], from: Option<usize>) -> Vec<u8> {
    if from.is_some() { reply("416 Range Not Satisfiable", "", 0, b"") } else { good(all, None) }
}

fn sends_another_range(all: &[u8], from: Option<usize>) -> Vec<u8> {
    from.map_or_else(|| good(all, None), |from| partial(all, from - 1, &all[from - 1..]))
}

fn corrupt(all: &[u8], from: Option<usize>) -> Vec<u8> {
    let mut bytes = all.to_vec();
    bytes[200_000] ^= 1;
    good(&bytes, from)
}

fn missing(_: &[u8], _: Option<usize>) -> Vec<u8> {
    reply("404 Not Found", "", 4, b"none")
}

fn a_page_instead(_: &[u8], _: Option<usize>) -> Vec<u8> {
    reply("200 OK", "Content-Type: text/html\r\n", 13, b"<html></html>")
}

fn endless(all: &[u8], _: Option<usize>) -> Vec<u8> {
    let body = all.repeat(2);
    let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(10_000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("set").join(name)
    }

    fn part(&self) -> PathBuf {
        self.path("some-ubyte.gz.part")
    }

    fn write_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.part(), bytes).unwrap();
    }

    fn fetch(&self, servers: &[&Server]) -> Result<Fetched, Error> {
        self.fetch_with(servers, &mut |_, _, _| {})
    }

    fn fetch_with(
        &self,
        servers: &[&Server],
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Fetched, Error> {
        let mirrors = servers.iter().map(|server| server.address.as_str()).collect();
        let folders = [self.0.path().join("set"), self.0.path().to_path_buf()];
        Job { folders, mirrors, patience: Duration::from_secs(5) }.fetch(&published(), progress)
    }

    fn assert_complete(&self, result: Result<Fetched, Error>) {
        let path = self.path("some-ubyte.gz");
        assert_eq!(result.unwrap(), Fetched { path: path.clone(), downloaded: true });
        assert!(fs::read(path).unwrap() == content());
        assert!(!self.part().exists());
    }
}

fn only_failure(result: Result<Fetched, Error>) -> FetchProblem {
    match result.unwrap_err() {
        Error::Download { file: "some-ubyte.gz", mut failures, .. } if failures.len() == 1 => {
            failures.remove(0).1
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_file_is_downloaded_once() {
    let (folder, server) = (Folder::new(), Server::new(good));
    let mut seen = Vec::new();
    let result = folder.fetch_with(&[&server], &mut |file, done, total| {
        assert_eq!((file, total), ("some-ubyte.gz", 300_000));
        seen.push(done);
    });
    folder.assert_complete(result);
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&300_000)));
    assert!(seen.is_sorted());
    assert!(!folder.fetch(&[&server]).unwrap().downloaded);
    assert_eq!(server.requests(), [None]);
}

#[test]
fn a_good_file_in_the_parent_folder_is_enough() {
    let (folder, server) = (Folder::new(), Server::new(good));
    let path = folder.0.path().join("some-ubyte.gz");
    fs::write(&path, content()).unwrap();
    assert_eq!(folder.fetch(&[&server]).unwrap(), Fetched { path, downloaded: false });
    assert!(server.requests().is_empty());
}

#[test]
fn a_damaged_file_is_replaced() {
    let (folder, server) = (Folder::new(), Server::new(good));
    fs::create_dir_all(folder.path("")).unwrap();
    fs::write(folder.path("some-ubyte.gz"), b"damaged").unwrap();
    folder.assert_complete(folder.fetch(&[&server]));
}

#[test]
fn an_interrupted_download_is_continued() {
    let (folder, server) = (Folder::new(), Server::new(good));
    folder.write_part(&content()[..123_456]);
    folder.assert_complete(folder.fetch(&[&server]));
    assert_eq!(server.requests(), [Some(123_456)]);
}

#[test]
fn a_complete_but_unverified_part_needs_no_request() {
    let (folder, server) = (Folder::new(), Server::new(missing));
    folder.write_part(&content());
    folder.assert_complete(folder.fetch(&[&server]));
    assert!(server.requests().is_empty());
}

#[test]
fn a_connection_that_breaks_off_is_continued_at_once() {
    let (folder, server) = (Folder::new(), Server::new(breaks_off));
    folder.assert_complete(folder.fetch(&[&server]));
    assert_eq!(server.requests(), [None, Some(70_000), Some(140_000), Some(210_000), Some(280_000)]);
}

#[test]
fn a_truncated_file_is_kept_for_the_next_attempt() {
    let (folder, server) = (Folder::new(), Server::new(breaks_off_and_ignores_ranges));
    let problem = only_failure(folder.fetch(&[&server]));
    let FetchProblem::Truncated { got: 70_000, expected: 300_000, .. } = problem else { panic!("{problem}") };
    assert_eq!(fs::read(folder.part()).unwrap(), content()[..70_000]);
    assert!(!folder.path("some-ubyte.gz").exists());
    let healthy = Server::new(good);
    folder.assert_complete(folder.fetch(&[&healthy]));
    assert_eq!(healthy.requests(), [Some(70_000)]);
}

#[test]
fn a_server_that_cannot_continue_makes_it_start_anew() {
    let cases: [(Behaviour, &[Option<usize>]); 3] = [
        (ignores_ranges, &[Some(1000)]),
        (refuses_ranges, &[Some(1000), None]),
        (sends_another_range, &[Some(1000), None]),
    ];
    for (behaviour, requests) in cases {
        let (folder, server) = (Folder::new(), Server::new(behaviour));
        // Not what the file begins with: it must not survive.
        folder.write_part(&[7; 1000]);
        folder.assert_complete(folder.fetch(&[&server]));
        assert_eq!(server.requests(), requests);
    }
}

#[test]
fn a_part_that_does_not_fit_is_thrown_away() {
    for part in [vec![7; 1000], vec![7; 300_000], vec![7; 300_001]] {
        let (folder, server) = (Folder::new(), Server::new(good));
        folder.write_part(&part);
        folder.assert_complete(folder.fetch(&[&server]));
        assert_eq!(server.requests().last(), Some(&None));
    }
}

#[test]
fn corrupt_content_is_deleted_and_both_checksums_shown() {
    let (folder, server) = (Folder::new(), Server::new(corrupt));
    let error = folder.fetch(&[&server]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("expected md5 {}, got ", published().md5)), "{text}");
    assert!(matches!(only_failure(Err(error)), FetchProblem::Checksum { .. }));
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
    assert_eq!(server.requests(), [None]);
}

#[test]
fn the_next_mirror_is_asked_when_one_fails() {
    let (folder, first, second) = (Folder::new(), Server::new(missing), Server::new(corrupt));
    let third = Server::new(good);
    folder.assert_complete(folder.fetch(&[&first, &second, &third]));
    assert_eq!([first.requests(), second.requests(), third.requests()], [[None], [None], [None]]);
}

#[test]
fn each_failing_mirror_is_named_with_its_reason() {
    let (folder, first, second) = (Folder::new(), Server::new(missing), Server::new(a_page_instead));
    let text = folder.fetch(&[&first, &second]).unwrap_err().to_string();
    assert!(
        text.contains(&format!("{}some-ubyte.gz: the server answers with status 404", first.address)),
        "{text}"
    );
    assert!(text.contains("expected 300000 bytes, the server announces 13"), "{text}");
    assert!(!folder.part().exists());
}

#[test]
fn more_bytes_than_expected_are_refused() {
    let (folder, server) = (Folder::new(), Server::new(endless));
    assert_eq!(only_failure(folder.fetch(&[&server])), FetchProblem::TooLong { expected: 300_000 });
    assert!(!folder.part().exists());
}

#[test]
fn no_server_is_a_network_problem() {
    // The port was free a moment ago and nobody listens on it now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::new();
    let url = format!("http://{address}");
    let error = fetch("mnist", folder.0.path(), Some(&url), &mut |_, _, _| {}).unwrap_err();
    let Error::Download { failures, .. } = &error else { panic!("{error}") };
    assert!(matches!(failures.as_slice(), [(_, FetchProblem::Network(_))]), "{error}");
    assert_eq!(failures[0].0, format!("{url}/train-images-idx3-ubyte.gz"));
}

#[test]
fn a_silent_server_runs_into_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = Folder::new();
    let folders = [folder.path(""), folder.path("")];
    let job = Job { folders, mirrors: vec![&address], patience: Duration::from_millis(200) };
    let problem = only_failure(job.fetch(&published(), &mut |_, _, _| {}));
    assert!(matches!(&problem, FetchProblem::Network(text) if text.contains("timeout")), "{problem}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (folder, server) = (Folder::new(), Server::new(good));
    fs::write(folder.0.path().join("set"), b"a file where the folder should be").unwrap();
    let error = folder.fetch(&[&server]).unwrap_err();
    assert!(matches!(error, Error::NotWritable { action: "create the folder", .. }), "{error}");
    let folder = Folder::new();
    fs::create_dir_all(folder.part()).unwrap();
    let error = folder.fetch(&[&server]).unwrap_err();
    assert!(matches!(error, Error::NotWritable { action: "create", .. }), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let (folder, server) = (Folder::new(), Server::new(good));
    folder.write_part(&content()[..1000]);
    let other = File::options().write(true).open(folder.part()).unwrap();
    other.lock().unwrap();
    assert!(matches!(folder.fetch(&[&server]), Err(Error::Busy { .. })));
    drop(other);
    folder.assert_complete(folder.fetch(&[&server]));
}

#[test]
fn names_without_files_are_refused() {
    let folder = Folder::new();
    let mut progress = |_: &str, _, _| {};
    let error = fetch("strokes", folder.0.path(), None, &mut progress).unwrap_err();
    assert!(matches!(error, Error::BuiltIn { name: "strokes" }));
    let error = fetch("minst", folder.0.path(), None, &mut progress).unwrap_err();
    assert!(matches!(error, Error::UnknownName { nearest: Some("mnist"), .. }));
}

#[test]
fn only_addresses_of_this_machine_go_past_a_proxy() {
    for local in ["http://localhost", "http://127.0.0.1:80/a", "http://[::1]/b", "http://localhost/"] {
        assert!(is_this_machine(local), "{local}");
    }
    for other in ["http://localhost.example.org/", "https://example.org/localhost", "http://127.0.0.10/"] {
        assert!(!is_this_machine(other), "{other}");
    }
}
