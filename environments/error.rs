//! What can go wrong.

/// An error of this crate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value that cannot be.
    #[error("{option} = {value}: give {allowed}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it was set to.
        value: String,
        /// What it can be.
        allowed: String,
    },
    /// A label that is no class.
    #[error(
        "image {image} has the label {label}, but there are {classes} classes; set as many as the set has"
    )]
    Label {
        /// The image.
        image: u32,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: u32,
    },
    /// A state that would have nothing to show.
    #[error(
        "images: none of the {images} images has class {class} of {classes}; take more images, or fewer classes"
    )]
    NoImage {
        /// The class.
        class: usize,
        /// Number of classes.
        classes: u32,
        /// Number of images that take part.
        images: usize,
    },
    /// An action that the environment does not have.
    #[error(
        "action {action} in {environment}: its actions are 0 to {}; does the network have as many outputs?",
        .actions - 1
    )]
    Action {
        /// The description of the environment.
        environment: String,
        /// The action.
        action: u32,
        /// How many there are.
        actions: u32,
    },
    /// An action after the end of an episode.
    #[error("{environment}: the episode is over; reset the environment before the next action")]
    EpisodeIsOver {
        /// The description of the environment.
        environment: String,
    },
    /// A state that was saved by another environment, or by this one with other parameters.
    #[error(
        "this state was saved by `{saved}`, which is not `{here}`; restore it with the parameters it was saved with"
    )]
    OtherEnvironment {
        /// The description of the environment that saved it.
        saved: String,
        /// The description of the environment that was to be restored.
        here: String,
    },
    /// Bytes that are no saved state.
    #[error(
        "these bytes are no saved state of {environment}: {problem}; begin anew, or restore an undamaged checkpoint"
    )]
    Damaged {
        /// The description of the environment that was to be restored.
        environment: String,
        /// What is wrong with them.
        problem: &'static str,
    },
}

impl Error {
    /// An option that cannot have this value.
    pub(crate) fn option(option: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Option { option, value: value.to_string(), allowed: allowed.into() }
    }
}
