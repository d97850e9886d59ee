//! What can be wrong with a config.

/// What is wrong with a config: the key, the value, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that does not exist.
    #[error("{origin}: there is no key '{key}'{hint}")]
    UnknownKey {
        /// Preset, file or `--set`.
        origin: String,
        /// The dotted key.
        key: String,
        /// The nearest key that exists.
        hint: String,
    },
    /// A key that has another name now.
    #[error("{origin}: '{key}' is called {now} now")]
    Renamed {
        /// Preset, file or `--set`.
        origin: String,
        /// The dotted key.
        key: String,
        /// Its new name or names, in quotes.
        now: String,
    },
    /// A key of something that takes no part.
    #[error("{origin}: {key} is set, but {choice} has no {part}")]
    WithoutEffect {
        /// Preset, file or `--set`.
        origin: String,
        /// The dotted key.
        key: String,
        /// The key and value that decide what takes part.
        choice: String,
        /// What would have to.
        part: String,
    },
    /// A value of another type.
    #[error("{origin}: '{key}' is {got}, {expected} expected")]
    WrongType {
        /// Preset, file or `--set`.
        origin: String,
        /// The dotted key.
        key: String,
        /// What was given.
        got: String,
        /// What the key takes.
        expected: String,
    },
    /// A value that cannot be.
    #[error("{key} = {value}: {reason}")]
    Value {
        /// The dotted key.
        key: String,
        /// What was given.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// Sizes of a model that cannot be.
    #[error("{0}")]
    Model(String),
    /// A file without a key.
    #[error("{name} sets nothing: it has no key; `ht presets PRESET` prints a config to begin with")]
    Empty {
        /// The file.
        name: String,
    },
    /// A `--set` that is none.
    #[error("--set {text}: {message}")]
    Set {
        /// What was given.
        text: String,
        /// What is expected.
        message: &'static str,
    },
    /// Text that is not TOML.
    #[error("{origin} is not TOML: {message}")]
    Syntax {
        /// The file.
        origin: String,
        /// The parser's message.
        message: String,
    },
    /// A preset that does not exist.
    #[error("there is no preset or file '{name}'{hint}; `ht presets` lists them all")]
    UnknownPreset {
        /// The name given.
        name: String,
        /// The nearest preset.
        hint: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
