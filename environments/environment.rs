//! What every environment can do.

use crate::{Error, Observation, ObservationKind, Result};

/// What follows an action, besides the new observation.
///
/// The two ends differ in what the state after them is worth. With discount g and reward r, the target of Q(s, a) is
///
/// ```text
/// terminated                 r                          nothing comes after this state
/// truncated, or no end       r + g max_b Q(s', b)       the task goes on, only this episode was cut
/// ```
///
/// After either the next call is [`Environment::reset`]. (Pardo and others, *Time Limits in Reinforcement Learning*,
/// 2018.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The reward of the action.
    pub reward: f32,
    /// The task is over: the state reached has the value 0.
    pub terminated: bool,
    /// The episode was cut, for example by a time limit: the state reached keeps its value.
    pub truncated: bool,
}

impl Step {
    /// Whether the episode is over, for either reason.
    pub fn is_last(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// A task in which an agent acts. A new environment stands at the first state of an episode, as after
/// [`reset`](Self::reset).
pub trait Environment {
    /// Name, parameters and seed in one line. Environments with the same line behave the same.
    fn description(&self) -> String;

    /// Number of actions; they are `0..actions`.
    fn actions(&self) -> u32;

    /// Whether episodes can terminate: values then are finite at a discount of 1 too.
    fn terminates(&self) -> bool;

    /// What its observations are, the same for all of them.
    fn observation_kind(&self) -> ObservationKind;

    /// What the agent sees now; after the last step of an episode, the state that the episode ended in.
    fn observation(&self) -> Observation<'_>;

    /// Begins a new episode. It draws on from where the generator stands, so that no two episodes are the same.
    fn reset(&mut self);

    /// Takes an action.
    ///
    /// # Errors
    /// There is no such action, or the episode is over. The environment stays as it was.
    fn step(&mut self, action: u32) -> Result<Step>;

    /// All that the future depends on, as a few dozen bytes.
    fn save(&self) -> Vec<u8>;

    /// Goes on where an environment with the same [`description`](Self::description) was saved: from here on both give
    /// the same observations and steps for the same actions.
    ///
    /// # Errors
    /// The bytes are no such state, or that of an environment with another description. The environment stays as it was.
    fn restore(&mut self, saved: &[u8]) -> Result<()>;
}

/// Whether `environment` can take `action` now.
pub(crate) fn check(environment: &impl Environment, action: u32, is_over: bool) -> Result<()> {
    let actions = environment.actions();
    if action >= actions {
        return Err(Error::Action { environment: environment.description(), action, actions });
    }
    if is_over {
        return Err(Error::EpisodeIsOver { environment: environment.description() });
    }
    Ok(())
}
