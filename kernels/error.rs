//! Why a processor cannot be had as it was asked for.

/// A processor that cannot be had as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// An instruction set that is not known, or that the processor lacks.
    #[error("HT_ISA={wanted}: {problem}; this processor has {supported}")]
    InstructionSet {
        /// The name given.
        wanted: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The names of those there are.
        supported: String,
    },
    /// More threads than a pool may have.
    #[error("{wanted} threads are too many: at most {most} can be asked for, and 0 takes one per processor")]
    TooManyThreads {
        /// How many were asked for.
        wanted: usize,
        /// The most there can be.
        most: usize,
    },
    /// The system starts fewer threads than were asked for.
    #[error(
        "the system refuses thread {refused} of {wanted} ({source}): ask for fewer, or for 0, which takes as many as \
         there can be, or raise the limit (`ulimit -u`, or that of the container)",
        refused = had + 1
    )]
    ThreadsRefused {
        /// How many were asked for.
        wanted: usize,
        /// How many there were.
        had: usize,
        /// The system's reason.
        source: std::io::Error,
    },
}
