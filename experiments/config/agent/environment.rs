//! `[environment]`: which task the agent is on.

use super::super::Error;
use super::super::check::{at_least_one, refused};
use serde::{Deserialize, Serialize};

/// A classification MDP over the training images of a set (`docs/environments.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Which of the three tasks.
    pub task: Task,
    /// What follows the right class in the last state of the sparse task; of another the default.
    pub after_last: AfterLast,
    /// One of `ht data list`.
    pub set: String,
    /// How many of its training images take part, drawn by the seed; 0 means all.
    pub images: usize,
    /// Side of the squares of pixels that are averaged into one: 1, 2 or 4. `model.image_size` is the smaller size.
    pub downsample: usize,
}

/// Which task of Lyle and others 2023, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The right class is paid.
    True,
    /// A class that was drawn for each image is paid.
    Random,
    /// The right class leads on, and only the last one is paid.
    Sparse,
}

/// What follows the right class in the last state of the sparse task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterLast {
    /// State 0.
    Wrap,
    /// Any state, each as likely.
    Uniform,
}

impl Task {
    /// Its name in configs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Random => "random",
            Self::Sparse => "sparse",
        }
    }
}

impl Environment {
    pub(super) fn defaults(set: &str) -> Self {
        Self { task: Task::True, after_last: AfterLast::Wrap, set: set.into(), images: 0, downsample: 1 }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        at_least_one("environment.downsample", self.downsample)?;
        if ![1, 2, 4].contains(&self.downsample) {
            return Err(refused("environment.downsample", self.downsample, "it must be 1, 2 or 4"));
        }
        if self.task != Task::Sparse && self.after_last != AfterLast::Wrap {
            let reason = "it has an effect with environment.task = \"sparse\" only";
            return Err(refused("environment.after_last", "\"uniform\"", reason));
        }
        if self.images > u32::MAX as usize {
            return Err(refused("environment.images", self.images, "there are not as many"));
        }
        Ok(())
    }
}
