//! Downloads the files of a published data set, verified and resumable.
//!
//! A file is received as `NAME.part` beside its destination, compared with its published md5, and only then renamed to
//! its name: what carries the name is complete, whenever the process dies. What a broken connection leaves is
//! continued with a `Range` request, now or on the next call. The md5 tells damage, and a file that merely
//! resembles the published one; it is no defence against forgery.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Body;
use ureq::http::Response;

use crate::Error;
use crate::catalogue::{Name, PublishedFile};
use crate::checksum::{md5_of, md5_of_file};
use crate::error::FetchProblem;

/// How long a server may take to connect, to answer, or to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one address is asked to continue; each time must have brought new bytes.
const ATTEMPTS: usize = 20;

/// A file that is now in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// False if it was already there, complete and undamaged.
    pub downloaded: bool,
}

/// Puts the files of the data set called `name` into `dir/name`, except those already in `dir/name` or `dir`.
///
/// They come from the published mirrors, or from the folder at `base_url` if given. `progress` is called with the
/// name of a file, its bytes received so far, and its length. Proxies are taken from the environment (`HTTPS_PROXY`,
/// `NO_PROXY`, ...), except for addresses of this machine.
///
/// # Errors
/// [`Error::UnknownName`]; [`Error::BuiltIn`]; [`Error::Download`] with the reason for each address;
/// [`Error::NotWritable`]; [`Error::Busy`].
pub fn fetch(
    name: &str,
    dir: &Path,
    base_url: Option<&str>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<Fetched>, Error> {
    let name: Name = name.parse()?;
    if name.files().is_empty() {
        return Err(Error::BuiltIn { name: name.as_str() });
    }
    let job = Job {
        folders: name.folders(dir),
        mirrors: base_url.map_or_else(|| name.mirrors().to_vec(), |url| vec![url]),
        patience: PATIENCE,
    };
    name.files().iter().map(|file| job.fetch(file, progress)).collect()
}

/// What the files of a set have in common.
struct Job<'a> {
    /// Where files may be already; new ones go into the first.
    folders: [PathBuf; 2],
    mirrors: Vec<&'a str>,
    patience: Duration,
}

/// Why a file cannot be had: from one address, or at all.
enum Failure {
    Remote(FetchProblem),
    Local(Error),
}

impl From<FetchProblem> for Failure {
    fn from(problem: FetchProblem) -> Self {
        Failure::Remote(problem)
    }
}

impl Job<'_> {
    fn fetch(
        &self,
        file: &PublishedFile,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Fetched, Error> {
        if let Some(path) = self.present(file) {
            return Ok(Fetched { path, downloaded: false });
        }
        let folder = &self.folders[0];
        fs::create_dir_all(folder)
            .map_err(|source| not_writable("create the folder", folder, file.bytes, source))?;
        let mut part = Part::open(folder.join(format!("{}.part", file.name)), *file)?;
        // Another process may have finished between the first look and the lock.
        if let Some(path) = self.present(file) {
            part.remove_if_empty();
            return Ok(Fetched { path, downloaded: false });
        }
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let address = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
            match self.receive(&address, &mut part, progress) {
                Ok(()) => {
                    let path = folder.join(file.name);
                    part.rename(&path).map_err(|source| part.not_writable("rename", source))?;
                    return Ok(Fetched { path, downloaded: true });
                }
                Err(Failure::Remote(problem)) => failures.push((address, problem)),
                Err(Failure::Local(error)) => return Err(error),
            }
        }
        part.remove_if_empty();
        let advice = format!(
            "check the connection and try again, name another mirror, or put the file into {} yourself",
            folder.display()
        );
        Err(Error::Download { file: file.name, failures, advice })
    }

    /// Where the complete, undamaged file lies already.
    fn present(&self, file: &PublishedFile) -> Option<PathBuf> {
        let good = |path: &PathBuf| path.is_file() && md5_of(path).is_ok_and(|md5| md5 == file.md5);
        self.folders.iter().map(|folder| folder.join(file.name)).find(good)
    }

    /// Completes and verifies `part` from one address.
    fn receive(
        &self,
        address: &str,
        part: &mut Part,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), Failure> {
        let agent = self.agent(address);
        let mut most = part.length()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let continued = part.length()? > 0;
            match part.receive(&agent, address, progress) {
                Ok(()) => {}
                Err(Failure::Remote(FetchProblem::Truncated { got, .. }))
                    if got > most && attempts < ATTEMPTS =>
                {
                    most = got;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            let got = part.md5()?;
            if got == part.file.md5 {
                return Ok(());
            }
            part.clear()?;
            most = 0;
            // Pieces of different origin may not fit together: only a file received in one go is judged.
            if !continued || attempts >= ATTEMPTS {
                return Err(FetchProblem::Checksum { expected: part.file.md5.to_owned(), got }.into());
            }
        }
    }

    fn agent(&self, address: &str) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(self.patience))
            .timeout_connect(Some(self.patience))
            .timeout_recv_response(Some(self.patience))
            .timeout_per_read(Some(self.patience))
            .user_agent(concat!("hare-tortoise/", env!("CARGO_PKG_VERSION")));
        let config = if is_this_machine(address) { config.proxy(None) } else { config };
        config.build().new_agent()
    }
}

/// A file on its way.
struct Part {
    path: PathBuf,
    /// Open for reading and writing, and locked against other processes where the file system can.
    handle: File,
    file: PublishedFile,
}

impl Part {
    fn open(path: PathBuf, file: PublishedFile) -> Result<Self, Error> {
        let handle = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| not_writable("create", &path, file.bytes, source))?;
        match handle.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path }),
            // Some network file systems have no locks; the checksum still guards the result.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path, handle, file }),
        }
    }

    /// One request: appends what is missing, or starts anew if the server cannot continue.
    fn receive(
        &mut self,
        agent: &ureq::Agent,
        address: &str,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), Failure> {
        let expected = self.file.bytes;
        if self.length()? > expected {
            self.clear()?;
        }
        let mut got = self.length()?;
        if got == expected {
            return Ok(());
        }
        let mut response = request(agent, address, got)?;
        // A server that is merely busy (503) costs nothing that was received.
        let answers = matches!(response.status().as_u16(), 200 | 206 | 416);
        if got > 0 && answers && !continues(&response, got) {
            self.clear()?;
            got = 0;
            // Anything but the whole file: a refused range, or another than the one asked for.
            if matches!(response.status().as_u16(), 206 | 416) {
                response = request(agent, address, 0)?;
            }
        }
        match response.status().as_u16() {
            200 => {}
            206 if got > 0 => {}
            code => return Err(FetchProblem::Status { code }.into()),
        }
        if let Some(announced) = response.body().content_length().filter(|&length| length != expected - got) {
            return Err(FetchProblem::Length { expected: expected - got, announced }.into());
        }
        self.handle.seek(SeekFrom::Start(got)).map_err(|source| self.cannot_write(source))?;
        let mut reader = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        progress(self.file.name, got, expected);
        let reason = loop {
            match reader.read(&mut buffer) {
                Ok(0) => break "the connection was closed".to_owned(),
                Ok(length) if got + length as u64 > expected => {
                    self.clear()?;
                    return Err(FetchProblem::TooLong { expected }.into());
                }
                Ok(length) => {
                    self.handle.write_all(&buffer[..length]).map_err(|source| self.cannot_write(source))?;
                    got += length as u64;
                    progress(self.file.name, got, expected);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.to_string(),
            }
        };
        if got == expected { Ok(()) } else { Err(FetchProblem::Truncated { got, expected, reason }.into()) }
    }

    fn length(&self) -> Result<u64, Failure> {
        self.handle.metadata().map(|metadata| metadata.len()).map_err(|source| self.cannot_write(source))
    }

    fn clear(&self) -> Result<(), Failure> {
        self.handle.set_len(0).map_err(|source| self.cannot_write(source))
    }

    fn md5(&mut self) -> Result<String, Failure> {
        // Through the handle that holds the lock: on some systems no other may read.
        let sum = self.handle.seek(SeekFrom::Start(0)).and_then(|_| md5_of_file(&mut self.handle));
        sum.map_err(|source| self.cannot_write(source))
    }

    fn rename(&self, path: &Path) -> io::Result<()> {
        self.handle.sync_all()?;
        fs::rename(&self.path, path)
    }

    fn remove_if_empty(&self) {
        if self.handle.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // An empty file left behind does no harm: the next download uses it.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn not_writable(&self, action: &'static str, source: io::Error) -> Error {
        not_writable(action, &self.path, self.file.bytes, source)
    }

    fn cannot_write(&self, source: io::Error) -> Failure {
        Failure::Local(self.not_writable("write", source))
    }
}

fn request(agent: &ureq::Agent, address: &str, from: u64) -> Result<Response<Body>, FetchProblem> {
    let mut request = agent.get(address);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    request.call().map_err(|error| FetchProblem::Network(error.to_string()))
}

/// Whether the answer is the part of the file from byte `from` on.
fn continues(response: &Response<Body>, from: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok());
    response.status().as_u16() == 206 && start == Some(from)
}

fn is_this_machine(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
        host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

fn not_writable(action: &'static str, path: &Path, needed: u64, source: io::Error) -> Error {
    Error::NotWritable { action, path: path.to_path_buf(), needed, source }
}

#[cfg(test)]
mod tests;
