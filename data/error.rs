//! What can go wrong: each error names the file, the byte, what was expected, what was found and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Name;

mod fetch;

pub use fetch::FetchProblem;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No data set has this name.
    #[error("unknown data set `{name}`{}; known are: {}", suggestion(*.nearest), .known.join(", "))]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// The known name that resembles it most, if one does.
        nearest: Option<&'static str>,
        /// All names that exist.
        known: Vec<&'static str>,
    },
    /// Files of a published set are not there.
    #[error("{name}: missing {} ({forms} in {}{}); {advice}", .missing.join(", "), paths(.looked_in), others(.not_read))]
    Missing {
        /// The data set.
        name: Name,
        /// Names of the missing files, unpacked.
        missing: Vec<&'static str>,
        /// In which forms they were looked for, such as `each looked for as FILE.gz and FILE`.
        forms: Box<str>,
        /// The folders that were searched.
        looked_in: Vec<PathBuf>,
        /// Files in them that may hold the set in a form that is not read.
        not_read: Box<[PathBuf]>,
        /// What to do.
        advice: String,
    },
    /// A file is there but cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A built-in set was asked for in an unusable size.
    #[error("{option} = {requested}: a built-in set can have 1 to {limit} images")]
    Size {
        /// The option that is out of range.
        option: &'static str,
        /// Its value.
        requested: usize,
        /// The largest value possible.
        limit: usize,
    },
    /// The images of a built-in set cannot be drawn with this side.
    #[error("side = {requested}: {name} can be drawn with {}", sides(.possible))]
    Side {
        /// The data set.
        name: &'static str,
        /// What was asked for.
        requested: usize,
        /// The sides there are, in pixels.
        possible: &'static [usize],
    },
    /// Dithering was asked for on images that are not grey.
    #[error("{name}: only grey images can be dithered to black and white; these have {channels} channels")]
    NotGrey {
        /// The images.
        name: String,
        /// Their number of channels.
        channels: usize,
    },
    /// Images cannot be cut into squares of this many pixels.
    #[error(
        "{name}: images of {height}x{width} cannot be cut into squares of {factor}x{factor} pixels; choose a factor \
        that divides both sides"
    )]
    Downsample {
        /// The images.
        name: String,
        /// Side of a square.
        factor: usize,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
    },
    /// A built-in set needs no download.
    #[error("{name} is built in and drawn from a seed: there is nothing to download")]
    BuiltIn {
        /// The data set.
        name: &'static str,
    },
    /// A file or folder cannot be created, written or renamed.
    #[error("cannot {action} {}: {source}; choose a folder that can be written to and has {} free",
        .path.display(), megabytes(*.needed))]
    NotWritable {
        /// What was tried, such as `create the folder`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Bytes that are to be written there.
        needed: u64,
        /// The reason.
        source: io::Error,
    },
    /// Another process downloads the same file into the same folder.
    #[error("another process is writing {}: wait until it is done, then try again", .path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// No server delivered a file.
    #[error("cannot download {file}:{}\n{advice}", attempts(.failures))]
    Download {
        /// The name of the file.
        file: &'static str,
        /// Each address that was tried, in order, and what was wrong with it.
        failures: Vec<(String, FetchProblem)>,
        /// What to do.
        advice: String,
    },
}

impl Error {
    /// Whether something was asked for that there is not, whatever lies on disk or on servers.
    pub fn is_misuse(&self) -> bool {
        use Error::{Busy, Download, File, Missing, NotWritable};
        !matches!(self, Missing { .. } | File(_) | NotWritable { .. } | Busy { .. } | Download { .. })
    }
}

/// A file that cannot be used, and where it goes wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{problem}; {advice}", .path.display(), place(*.at, .problem))]
pub struct FileError {
    /// The file; a member of an archive is written as a path below the archive.
    pub path: PathBuf,
    /// Where in it.
    pub at: Position,
    /// What is wrong there.
    pub problem: FileProblem,
    /// What to do.
    pub advice: String,
}

/// The remedy as long as nothing better is known.
const UNDAMAGED: &str = "replace it by an undamaged copy";

impl FileError {
    /// A problem at a byte of the file at `path`, or of a member of an archive written as a path below it.
    pub(crate) fn new(path: &Path, byte: u64, problem: FileProblem) -> Self {
        let at = Position { byte, unpacked: false };
        let advice = match problem {
            FileProblem::Forbidden => "allow this user to read it, and to enter its folders",
            FileProblem::OutOfMemory => "end other programs, or use a machine with more memory",
            FileProblem::Packing { .. } => {
                "unpack it into the folder that it lies in, or pack it anew by deflate without a password"
            }
            FileProblem::Hdf5 => {
                "save it as version 7: `save(.., '-v7')` in MATLAB, `scipy.io.savemat` in Python; or use the published file"
            }
            _ => UNDAMAGED,
        };
        Self { path: path.to_path_buf(), at, problem, advice: advice.to_owned() }
    }

    /// [`FileProblem::Format`] at a byte.
    pub(crate) fn format(
        path: &Path,
        byte: u64,
        expected: impl Into<String>,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(path, byte, FileProblem::Format { expected: expected.into(), found: found.to_string() })
    }

    /// The same error with the remedy for its data set, unless the problem itself has one.
    pub(crate) fn advise(mut self, advice: &str) -> Self {
        if self.advice == UNDAMAGED {
            advice.clone_into(&mut self.advice);
        }
        self
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of bytes before it.
    pub byte: u64,
    /// Whether they are counted after decompression.
    pub unpacked: bool,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unpacked = if self.unpacked { " of the unpacked data" } else { "" };
        write!(f, "at byte {}{unpacked}", self.byte)
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// The system cannot read it.
    #[error("cannot read: {0}")]
    Unreadable(io::Error),
    /// There, but this user may not read it.
    #[error("permission to read it is denied")]
    Forbidden,
    /// What is in it does not fit into the memory.
    #[error("out of memory while reading it")]
    OutOfMemory,
    /// A MATLAB file of version 7.3, which is HDF5.
    #[error("expected a MATLAB 5 file, found one of version 7.3, which is HDF5")]
    Hdf5,
    /// Not an IDX file of the right kind.
    #[error("expected the magic number 0x{expected:08x} ({}), found 0x{found:08x} ({})", kind(*.expected), kind(*.found))]
    Magic {
        /// The magic number such a file begins with.
        expected: u32,
        /// The first four bytes.
        found: u32,
    },
    /// A size in the header is impossible or not that of the data set.
    #[error("expected {expected} {what}, found {found}")]
    Dimension {
        /// What is counted: `images`, `rows`, ...
        what: &'static str,
        /// What would be right.
        expected: String,
        /// The number in the header.
        found: u32,
    },
    /// The data end before the header's promise is kept.
    #[error("the data end here; expected {expected} bytes in all")]
    Truncated {
        /// The length that the header announces, header included.
        expected: u64,
    },
    /// A gzip stream breaks off.
    #[error("the gzip stream breaks off after {unpacked} unpacked bytes; expected {expected}")]
    GzipTruncated {
        /// Bytes that could be unpacked.
        unpacked: u64,
        /// Bytes that the unpacked header announces, header included.
        expected: u64,
    },
    /// A gzip stream is damaged.
    #[error("the gzip stream is damaged after {unpacked} unpacked bytes: {detail}")]
    Gzip {
        /// Bytes that could be unpacked.
        unpacked: u64,
        /// What the decompressor says.
        detail: String,
    },
    /// Not what its format or its data set says.
    #[error("expected {expected}, found {found}")]
    Format {
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An archive that cannot be unpacked.
    #[error("the archive is damaged or cut short: {detail}")]
    Archive {
        /// What stops the unpacking.
        detail: String,
    },
    /// An archive packed in a way that is not read.
    #[error("the archive is packed in a way that is not read here: {detail}")]
    Packing {
        /// What way.
        detail: String,
    },
    /// An image that cannot be decoded.
    #[error("cannot decode the image: {detail}")]
    Image {
        /// What the decoder says.
        detail: String,
    },
    /// Something follows where the file should end.
    #[error("expected the end of the file, found more bytes")]
    Trailing,
    /// A label is not a class.
    #[error("expected a label below {classes}, found {found}")]
    Label {
        /// Number of classes.
        classes: usize,
        /// The label.
        found: i64,
    },
    /// A label file with another number of examples than its image file.
    #[error("it holds {labels} labels, but {} holds {images} images: the two do not belong together", .images_path.display())]
    Count {
        /// Number of labels.
        labels: usize,
        /// The image file.
        images_path: PathBuf,
        /// Number of images.
        images: usize,
    },
    /// A file of another data set, under the same name.
    #[error("expected a file of {expected}, found the one of {found}")]
    OtherSet {
        /// The data set asked for.
        expected: &'static str,
        /// The data set the file belongs to.
        found: &'static str,
    },
}

impl FileProblem {
    /// Whether it lies at a byte, and not in the file as a whole.
    pub(crate) fn is_placed(&self) -> bool {
        use FileProblem::{Count, Forbidden, Hdf5, OtherSet, OutOfMemory, Unreadable};
        !matches!(self, Unreadable(_) | Forbidden | OutOfMemory | Hdf5 | OtherSet { .. } | Count { .. })
    }

    /// Why the system does not read a file.
    pub(crate) fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => FileProblem::Forbidden,
            io::ErrorKind::OutOfMemory => FileProblem::OutOfMemory,
            _ => FileProblem::Unreadable(error),
        }
    }

    /// Why an archive cannot be unpacked.
    pub(crate) fn archive(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::OutOfMemory => FileProblem::OutOfMemory,
            _ => {
                let detail = error.to_string();
                // The words of the crate `tar` for a header whose numbers or checksum are wrong.
                let in_header = detail.contains("numeric field") || detail.contains("header checksum");
                let detail =
                    if in_header { "the header of a member is no header".to_owned() } else { detail };
                FileProblem::Archive { detail }
            }
        }
    }
}

fn place(at: Position, problem: &FileProblem) -> String {
    if problem.is_placed() { format!("{at}: ") } else { String::new() }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn others(not_read: &[PathBuf]) -> String {
    if not_read.is_empty() { String::new() } else { format!("; {} cannot be used", paths(not_read)) }
}

fn sides(sides: &[usize]) -> String {
    sides.iter().map(|side| format!("{side} x {side}")).collect::<Vec<_>>().join(" or ")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn attempts(failures: &[(String, FetchProblem)]) -> String {
    failures.iter().map(|(address, problem)| format!("\n  {address}: {problem}")).collect()
}

fn kind(magic: u32) -> &'static str {
    match magic {
        0x0000_0803 => "IDX images",
        0x0000_0801 => "IDX labels",
        _ => "not IDX bytes of images or labels",
    }
}
