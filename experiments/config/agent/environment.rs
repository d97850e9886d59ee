//! `[environment]`: which task the agent is on.

use super::super::Error;
use super::super::check::{at_least_one, refused};
use environments::{Catch, ChainOptions};
use serde::{Deserialize, Serialize};

/// The task, and its keys: those of the other tasks are absent (`docs/environments.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Which task.
    pub task: Task,
    /// Of a classification MDP: what follows the right class in the last state of the sparse task; of another the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_last: Option<AfterLast>,
    /// Of a classification MDP: one of `ht data list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Of a classification MDP: how many of the training images take part, drawn by the seed; 0 means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Of a classification MDP: side of the squares of pixels that are averaged into one: 1, 2 or 4. `model.image_size` is
    /// the smaller size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downsample: Option<usize>,
    /// Of `catch`: height and width of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Of `chain`: how many states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<u32>,
    /// Of `chain`: how likely a move goes the other way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slip: Option<f64>,
    /// Of `chain`: after how many steps an episode is cut off; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<u32>,
}

/// Which task; the first three are those of Lyle and others 2023, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The right class is paid.
    True,
    /// A class that was drawn for each image is paid.
    Random,
    /// The right class leads on, and only the last one is paid.
    Sparse,
    /// A ball falls, and a paddle is to catch it.
    Catch,
    /// States in a row, of which only the last one is paid.
    Chain,
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
            Self::Catch => "catch",
            Self::Chain => "chain",
        }
    }

    /// Whether it shows images of a set, which is then of classes.
    pub(super) fn is_of_classes(self) -> bool {
        matches!(self, Self::True | Self::Random | Self::Sparse)
    }

    /// Whether its episodes terminate.
    pub(super) fn terminates(self) -> bool {
        !self.is_of_classes()
    }
}

impl Environment {
    /// The keys of a task at their defaults.
    pub(super) fn defaults(task: Task, set: &str) -> Self {
        let all = Self::every_key(set);
        match task {
            Task::Catch => Self { task, size: all.size, ..Self::none() },
            Task::Chain => {
                Self { task, states: all.states, slip: all.slip, time_limit: all.time_limit, ..Self::none() }
            }
            _ => Self { task, size: None, states: None, slip: None, time_limit: None, ..all },
        }
    }

    /// The keys of all tasks.
    pub(super) fn every_key(set: &str) -> Self {
        let ChainOptions { states, slip, .. } = ChainOptions::default();
        Self {
            task: Task::True,
            after_last: Some(AfterLast::Wrap),
            set: Some(set.into()),
            images: Some(0),
            downsample: Some(1),
            size: Some(Catch::BOARD),
            states: Some(states),
            slip: Some(slip),
            time_limit: Some(0),
        }
    }

    fn none() -> Self {
        let task = Task::True;
        let (after_last, set, images, downsample) = (None, None, None, None);
        Self {
            task,
            after_last,
            set,
            images,
            downsample,
            size: None,
            states: None,
            slip: None,
            time_limit: None,
        }
    }

    /// How many of the images take part, if not all.
    pub fn images_taken(&self) -> Option<u32> {
        self.images.filter(|&images| images > 0).map(|images| images as u32)
    }

    /// What the chain is like.
    pub fn chain(&self) -> ChainOptions {
        let default = ChainOptions::default();
        ChainOptions {
            states: self.states.unwrap_or(default.states),
            slip: self.slip.unwrap_or(default.slip),
            time_limit: self.time_limit.filter(|&limit| limit > 0),
        }
    }

    /// Keys of another task, in the order of the config.
    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        let classes = "\"true\", \"random\" and \"sparse\"";
        let of_classes = [
            ("environment.after_last", self.after_last.is_some()),
            ("environment.set", self.set.is_some()),
            ("environment.images", self.images.is_some()),
            ("environment.downsample", self.downsample.is_some()),
        ];
        let of_chain = [
            ("environment.states", self.states.is_some()),
            ("environment.slip", self.slip.is_some()),
            ("environment.time_limit", self.time_limit.is_some()),
        ];
        let of_catch = [("environment.size", self.size.is_some())];
        let all = (of_classes.iter().map(|key| (key, classes, self.task.is_of_classes())))
            .chain(of_catch.iter().map(|key| (key, "\"catch\"", self.task == Task::Catch)))
            .chain(of_chain.iter().map(|key| (key, "\"chain\"", self.task == Task::Chain)));
        all.filter(|((_, given), _, takes)| *given && !takes).map(|((key, _), task, _)| (*key, task)).next()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some((key, tasks)) = self.without_effect() {
            let reason =
                format!("{key} has no effect with it; leave it out, it belongs to the tasks {tasks}");
            return Err(refused("environment.task", format!("{:?}", self.task.name()), &reason));
        }
        if let Some(downsample) = self.downsample {
            at_least_one("environment.downsample", downsample)?;
            if ![1, 2, 4].contains(&downsample) {
                return Err(refused("environment.downsample", downsample, "it must be 1, 2 or 4"));
            }
        }
        if self.task != Task::Sparse && self.after_last == Some(AfterLast::Uniform) {
            let reason = "it has an effect with environment.task = \"sparse\" only";
            return Err(refused("environment.after_last", "\"uniform\"", reason));
        }
        if let Some(images) = self.images.filter(|&images| images > u32::MAX as usize) {
            return Err(refused("environment.images", images, "there are not as many"));
        }
        Ok(())
    }
}
