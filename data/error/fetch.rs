//! What can go wrong with a server.

/// Why a server's answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchProblem {
    /// The server refuses.
    #[error("the server answers with status {code}{}", if *.code == 404 { " (no such file)" } else { "" })]
    Status {
        /// The HTTP status.
        code: u16,
    },
    /// The connection ends too early, again and again.
    #[error("got {got} of {expected} bytes ({reason}); they are kept, and the next attempt continues there")]
    Truncated {
        /// Bytes received so far.
        got: u64,
        /// Bytes of the whole file.
        expected: u64,
        /// How the connection ended.
        reason: String,
    },
    /// The answer announces another length than that of the file: a changed file, or a page in its place.
    #[error("expected {expected} bytes, the server announces {announced}: this is not the file")]
    Length {
        /// Bytes that are missing.
        expected: u64,
        /// Bytes that the server would send.
        announced: u64,
    },
    /// More bytes than the file has.
    #[error("the server sends more than the expected {expected} bytes; the file is deleted")]
    TooLong {
        /// Bytes of the whole file.
        expected: u64,
    },
    /// All bytes, but not the right ones.
    #[error("corrupt content: expected md5 {expected}, got {got}; the file is deleted")]
    Checksum {
        /// The published checksum.
        expected: String,
        /// The checksum of what was received.
        got: String,
    },
    /// No connection, no answer, a timeout.
    #[error("{0}")]
    Network(String),
}
