//! What the tests of the whole program share: tiny configs, the binary, run folders.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

pub mod begun;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A warm start on 600 built-in images that takes a fraction of a second.
pub const TINY: &str = "name = \"tiny\"\n\
    [data]\nset = \"strokes\"\ntrain = 600\ntest = 200\n\
    [model]\nhidden = [16, 12]\n\
    [optimizer]\nbatch = 64\n\
    [protocol]\nratios = [0.3, 0.7]\nnoise = [0.5, 0.0]\nbase_epochs = 4\nevaluate_every = 1\n";

/// A GPU if there is one, else the software adapter: one of them must be there.
pub fn wgsl_device() -> &'static str {
    let report = engine::device::list_devices();
    if report.auto.is_some() {
        return "gpu";
    }
    let software = report.adapters.iter().any(|adapter| adapter.name.to_lowercase().contains("llvmpipe"));
    assert!(software, "no adapter runs WGSL here: apt-get install -y libvulkan1 mesa-vulkan-drivers");
    "llvmpipe"
}

/// Whether there is a real GPU.
pub fn has_gpu() -> bool {
    engine::device::list_devices().auto.is_some()
}

/// A folder of its own with a config in it.
pub struct Place {
    folder: tempfile::TempDir,
}

/// What a run left.
#[derive(Debug, PartialEq)]
pub struct Left {
    /// Bytes of `checkpoint.safetensors`.
    pub checkpoint: Vec<u8>,
    /// Text of `metrics.jsonl`.
    pub metrics: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `ht` with these words, split at spaces, in this folder.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ht"));
        command.args(words.split_whitespace()).current_dir(self.path());
        // Without a desktop, drivers print complaints of their own unless the program prevents it.
        command.env_remove("XDG_RUNTIME_DIR").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    pub fn ht(&self, words: &str) -> Ended {
        Ended::new(words, self.command(words).output().unwrap())
    }

    /// Starts it, its output kept.
    pub fn start(&self, words: &str) -> Started {
        let mut command = self.command(words);
        // The tests themselves may run under `nohup`, and what is ignored is inherited.
        #[cfg(unix)]
        // SAFETY: between fork and exec only `signal` is called, which is allowed there.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Started { words: words.to_string(), child: Some(child) }
    }

    /// The only run folder under `out`.
    pub fn run_folder(&self, out: &str) -> PathBuf {
        let mut folders = Vec::new();
        for experiment in std::fs::read_dir(self.path().join(out)).into_iter().flatten().flatten() {
            folders.extend(std::fs::read_dir(experiment.path()).unwrap().flatten().map(|entry| entry.path()));
        }
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.remove(0)
    }

    /// Runs `tiny.toml` with more words to its end, on the CPU unless they name a device.
    pub fn finish(&self, out: &str, words: &str) -> Left {
        self.ht(&run_words(out, words)).succeeds();
        self.left(out)
    }

    pub fn left(&self, out: &str) -> Left {
        let folder = self.run_folder(out);
        Left {
            checkpoint: std::fs::read(folder.join("checkpoint.safetensors")).unwrap(),
            metrics: std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap(),
        }
    }

    /// The last whole line of the metrics that lie there now: phase and step.
    pub fn position(&self, out: &str) -> Option<(u64, u64)> {
        let mut experiments = std::fs::read_dir(self.path().join(out)).ok()?.flatten();
        let folder = std::fs::read_dir(experiments.next()?.path()).ok()?.flatten().next()?.path();
        let text = std::fs::read_to_string(folder.join("metrics.jsonl")).ok()?;
        let last = text.rsplit_once('\n')?.0.lines().next_back()?.parse::<serde_json::Value>().ok()?;
        Some((last["phase"].as_u64()?, last["step"].as_u64()?))
    }

    /// Waits until the metrics show this phase and at least this step of the run.
    pub fn wait_for(&self, out: &str, started: &mut Started, phase: u64, step: u64) {
        let begin = Instant::now();
        loop {
            if self.position(out).is_some_and(|now| now >= (phase, step)) {
                return;
            }
            let ended = started.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended before phase {phase}, step {step}: {ended:?}");
            assert!(
                begin.elapsed() < Duration::from_secs(120),
                "it never came to phase {phase}, step {step}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// `run tiny.toml --out OUT ...`, on the CPU unless the words name a device.
pub fn run_words(out: &str, words: &str) -> String {
    let device = if words.contains("--device") { "" } else { "--device cpu" };
    format!("run tiny.toml --out {out} {device} {words}")
}

/// Equal bytes, with a message of bearable length.
pub fn assert_same(a: &Left, b: &Left, what: &str) {
    let line = a.metrics.lines().zip(b.metrics.lines()).find(|(a, b)| a != b);
    assert!(a.metrics == b.metrics, "{what}: the metrics differ, first in {line:?}");
    let state = |left: &Left| {
        String::from_utf8_lossy(&left.checkpoint[..left.checkpoint.len().min(900)]).into_owned()
    };
    assert!(a.checkpoint == b.checkpoint, "{what}: the checkpoints differ\n{}\n{}", state(a), state(b));
}

/// A process that goes on in the background; ended with the test.
pub struct Started {
    words: String,
    child: Option<Child>,
}

impl Started {
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(status.success(), "kill -{signal}");
    }

    pub fn wait(mut self) -> Ended {
        Ended::new(&self.words, self.child.take().unwrap().wait_with_output().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub words: String,
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn new(words: &str, output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { words: words.to_string(), code: output.status.code(), stdout, stderr }
    }

    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails with this code and one message that has all these words; no panic.
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        let mut lines = self.stderr.lines().skip_while(|line| line.starts_with("note: "));
        assert!(lines.next().is_some_and(|line| line.starts_with("error: ")), "{self:?}");
        assert_eq!(self.stderr.matches("error: ").count(), 1, "one message: {self:?}");
        for ugly in ["panicked", "backtrace", "os error 2): No such"] {
            assert!(!self.stderr.contains(ugly), "'{ugly}' in {self:?}");
        }
        for word in words {
            assert!(self.stderr.contains(word), "no '{word}' in {self:?}");
        }
        self
    }
}

/// An IDX file: magic number, lengths, bytes.
pub fn idx(magic: u32, lengths: &[u32], bytes: &[u8]) -> Vec<u8> {
    let words = [&[magic], lengths].concat();
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    file.write_all(bytes).unwrap();
    file
}

/// The four files of a small MNIST of 600 + 200 images; its labels go round the ten classes.
pub fn small_mnist() -> [(&'static str, Vec<u8>); 4] {
    let images = |n: u32| {
        let pixels: Vec<u8> = (0..n * 784).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        idx(0x803, &[n, 28, 28], &pixels)
    };
    let labels = |n: u32| idx(0x801, &[n], &(0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>());
    [
        ("train-images-idx3-ubyte", images(600)),
        ("train-labels-idx1-ubyte", labels(600)),
        ("t10k-images-idx3-ubyte", images(200)),
        ("t10k-labels-idx1-ubyte", labels(200)),
    ]
}

/// Gzip with stored blocks (RFC 1951, 1952): nothing is compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = bytes.chunks(0xffff);
    let last = blocks.len().saturating_sub(1);
    for (index, block) in blocks.enumerate() {
        let length = block.len() as u16;
        file.push(u8::from(index == last));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(block);
    }
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    file.extend((!crc).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}
