//! Files that are written whole or not at all, whoever else writes beside; and regular files, read.
//!
//! Architecture invariants of this crate:
//!
//! - It knows nothing of what is written: every other crate that writes a file may use it, and it uses none of them.
//! - A regular file is replaced by renaming a complete one over it, which is durable unless the caller says that it need
//!   not be. Readers see the old content or the new. The temporary file has a name of its own, so that any number of
//!   processes may replace one file at once: the last wins.
//! - Links are followed: what they point at is replaced, and they stay. What is no regular file (a pipe, a device) is
//!   written through, never replaced; so is what the process has open already (`/dev/stdout`, `/dev/fd/3`), whatever it is.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufWriter, Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the names of temporary files end with; they begin with a dot and the name of the file they are for.
pub const PARTIAL: &str = ".partial";

/// Nobody takes so long between two writes to one file, even if the clocks of two machines differ by hours: a temporary
/// file of this age is nobody's.
pub const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Characters of a file's name that the name of its temporary file begins with.
const MOST_OF_NAME: usize = 50;

/// Links in a row before they are taken for a loop, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// Replaces the content of `path` by `bytes`: [`write_with`] for content that is there already.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces the content of `path` by what `content` writes, and makes it durable.
///
/// # Errors
/// The reason why `content` or the system failed. A regular file is untouched then, and no temporary file stays.
pub fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    put(path, true, content)
}

/// As [`write()`], without waiting for the disk: for what can be made again, in many small files.
///
/// Readers see the old content or the new, but after a loss of power the file may be empty.
///
/// # Errors
/// As [`write_with`].
pub fn write_not_durable(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, false, |file| file.write_all(bytes))
}

/// The bytes of a regular file. A pipe would be waited for, and a device may never end.
///
/// # Errors
/// The system's reason; it is no regular file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    regular(path)?;
    std::fs::read(path)
}

/// As [`read`], as text.
///
/// # Errors
/// As [`read`]; it is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    regular(path)?;
    std::fs::read_to_string(path)
}

fn regular(path: &Path) -> Result<()> {
    match std::fs::metadata(path)? {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
        _ => Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

fn put(path: &Path, durable: bool, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    #[cfg(unix)]
    if let Some(number) = descriptor_of(path) {
        let mut file = BufWriter::new(open_descriptor(number, path)?);
        content(&mut file)?;
        return file.flush();
    }
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let mut file = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        content(&mut file)?;
        return file.flush();
    }
    let target = target_of(path)?;
    let present = match std::fs::metadata(&target) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match present {
        Some(metadata) if metadata.is_dir() => {
            Err(Error::new(ErrorKind::IsADirectory, "a folder of this name is there"))
        }
        present => replace(&target, present.as_ref(), durable, content),
    }
}

fn replace(
    target: &Path,
    present: Option<&Metadata>,
    durable: bool,
    content: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let (folder, name) = (folder_of(target), target.file_name().unwrap_or_default());
    // Names may have 255 bytes, and this one is longer than the file's.
    let name: String = name.to_string_lossy().chars().take(MOST_OF_NAME).collect();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PARTIAL);
    #[cfg(unix)]
    let as_usual = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    // The process's mask takes from these what it takes from any new file.
    #[cfg(unix)]
    builder.permissions(as_usual);
    let temporary = builder.tempfile_in(folder).map_err(without_path)?;
    if let Some(present) = present {
        // Not everybody may set every mode; the content matters more.
        let _ = temporary.as_file().set_permissions(present.permissions());
    }
    let mut file = BufWriter::new(temporary.as_file());
    content(&mut file)?;
    file.flush()?;
    drop(file);
    if durable {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(target).map_err(|failed| failed.error)?;
    if durable { sync_folder(folder) } else { Ok(()) }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<()> {
    if !cfg!(unix) {
        return Ok(()); // Windows has no such call.
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems do not know this for folders, and a folder may be writable but not readable.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

/// Removes the temporary files that processes which were killed left in a folder, where nobody has written to them for
/// `age`: none at all under a lock that keeps all others out, else [`ABANDONED`], because a file that somebody is writing
/// looks the same.
///
/// # Errors
/// The folder cannot be read, or a file not be removed.
pub fn remove_partial(folder: &Path, age: Duration) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') || !name.ends_with(PARTIAL) {
            continue;
        }
        let removed = entry.metadata().and_then(|metadata| {
            // A time in the future is that of another clock.
            let written = metadata.modified()?.elapsed().unwrap_or_default();
            if metadata.is_file() && written >= age { std::fs::remove_file(entry.path()) } else { Ok(()) }
        });
        match removed {
            // Its writer has finished, or somebody else cleans up as well.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Which of this process's open files a path stands for, such as `/dev/stdout` or `/dev/fd/3`. What the links of these
/// folders say is no path to a pipe, and for a file it would replace the one that somebody else has open.
#[cfg(unix)]
fn descriptor_of(path: &Path) -> Option<u32> {
    let mut path = path.to_path_buf();
    let own = std::fs::canonicalize("/proc/self/fd").ok();
    for _ in 0..MOST_LINKS {
        let folder = std::fs::canonicalize(folder_of(&path)).ok()?;
        if folder == Path::new("/dev/fd") || own.as_ref() == Some(&folder) {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = folder.join(std::fs::read_link(&path).ok()?);
    }
    None
}

/// The standard streams are shared with whoever has them open, so that the next writes follow; others are written to at
/// their end.
#[cfg(unix)]
fn open_descriptor(number: u32, path: &Path) -> Result<File> {
    use std::os::fd::AsFd;
    match number {
        1 => {
            let mut stdout = std::io::stdout();
            stdout.flush()?;
            Ok(stdout.as_fd().try_clone_to_owned()?.into())
        }
        2 => Ok(std::io::stderr().as_fd().try_clone_to_owned()?.into()),
        _ => OpenOptions::new().append(true).open(path),
    }
}

/// Where a path leads: links followed, the last of which may point at nothing yet.
fn target_of(path: &Path) -> Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&target) {
            Ok(link) => target = folder_of(&target).join(link),
            // No link, or nothing there.
            Err(_) => return Ok(target),
        }
    }
    Err(Error::other("too many links one behind the other"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The temporary file's name would only confuse: nobody asked for it.
fn without_path(error: Error) -> Error {
    match error.raw_os_error() {
        Some(code) => Error::from_raw_os_error(code),
        // tempfile hides the code behind a text of its own.
        None if error.kind() == ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, "there is no such folder")
        }
        None => Error::from(error.kind()),
    }
}

#[cfg(test)]
mod tests;
