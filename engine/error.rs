//! What can go wrong in the engine: each error says what failed, on what, and what to do.

use std::path::PathBuf;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No GPU adapter, or none that was meant.
    #[error("no usable GPU adapter\n{diagnosis}")]
    NoAdapter {
        /// What was looked for and found, and what to try.
        diagnosis: String,
    },
    /// The name of a device matches nothing.
    #[error("no device is called '{wanted}'; there are: {available}")]
    NoSuchDevice {
        /// The name asked for.
        wanted: String,
        /// The names there are.
        available: String,
    },
    /// An instruction set or a number of threads that cannot be had.
    #[error(transparent)]
    Cpu(#[from] kernels::CpuError),
    /// The adapter lacks something that every kernel needs.
    #[error("the adapter {adapter} lacks {what}; update its driver or use the CPU")]
    Unsupported {
        /// The adapter's name.
        adapter: String,
        /// The missing feature or limit.
        what: String,
    },
    /// Shapes that do not fit together.
    #[error("{op}: {message}")]
    Shape {
        /// The operation, with the parameter it belongs to.
        op: String,
        /// Both shapes and what was expected.
        message: String,
    },
    /// More than the device can bind or launch.
    #[error("{what} needs {need}, but {device} allows {have}; {hint}")]
    Limit {
        /// What was too large.
        what: String,
        /// How much it needs.
        need: String,
        /// The device.
        device: String,
        /// How much there is.
        have: String,
        /// What to do.
        hint: &'static str,
    },
    /// Memory of the device ran out.
    #[error("{device} is out of memory: {what}, {in_use} bytes in use; take a smaller batch or model")]
    OutOfMemory {
        /// The device.
        device: String,
        /// What was asked for.
        what: String,
        /// Bytes that this device object already holds.
        in_use: u64,
    },
    /// A shader did not compile: a bug in a kernel or in the driver.
    #[error("kernel {kernel} does not compile on {device}: {log}")]
    Compile {
        /// Kernel and shape.
        kernel: String,
        /// The device.
        device: String,
        /// The compiler's message.
        log: String,
    },
    /// The device went away.
    #[error("the device {device} was lost ({reason}); whatever is not saved is gone, open it again")]
    DeviceLost {
        /// The device.
        device: String,
        /// The driver's reason.
        reason: String,
    },
    /// An error that the GPU runtime reported outside any call.
    #[error("{device} reports: {message}")]
    Gpu {
        /// The device.
        device: String,
        /// The runtime's message.
        message: String,
    },
    /// A launch whose buffers overlap: a bug in the planner or in the caller.
    #[error("launch '{launch}': its buffer '{buffer}' overlaps another of its buffers")]
    Aliasing {
        /// The launch.
        launch: String,
        /// The written buffer.
        buffer: String,
    },
    /// A buffer of one device given to another.
    #[error(
        "{what}: the buffer belongs to another device than {device}; make it with the device that uses it"
    )]
    OtherDevice {
        /// What was to use it.
        what: String,
        /// The device it was given to.
        device: String,
    },
    /// Words outside a buffer.
    #[error("{what}: {words} words from word {offset} on are not in a buffer of {available} words")]
    OutOfRange {
        /// What asked for them.
        what: String,
        /// First word.
        offset: usize,
        /// Number of words.
        words: usize,
        /// Words of the buffer.
        available: usize,
    },
    /// A constant that was to be written.
    #[error("{what} is a constant, which nothing may write; take a buffer for what changes")]
    Constant {
        /// What was to be written.
        what: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Weights that do not fit the model.
    #[error("{what}: {message}")]
    Weights {
        /// Where they come from.
        what: String,
        /// The tensor, both shapes.
        message: String,
    },
    /// A weight or checkpoint file with wrong contents.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
}

/// Result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn shape(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape { op: op.into(), message: message.into() }
    }
    pub(crate) fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }
}
