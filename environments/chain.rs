//! States in a row: the smallest task with exact values.

use crate::environment::check;
use crate::random::{Purpose, Random};
use crate::{
    Environment, Error, Finite, FiniteMdp, Next, Observation, ObservationKind, Outcome, Result, Step, state,
};

/// What a [`Chain`] is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainOptions {
    /// Number of states, 2 to 1,000.
    pub states: u32,
    /// How likely a move goes the other way, 0 to 1.
    pub slip: f64,
    /// After how many steps an episode is truncated, if it is.
    pub time_limit: Option<u32>,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self { states: 10, slip: 0.0, time_limit: None }
    }
}

/// States 0 to n - 1 in a row. An episode begins at 0; the agent moves left or right.
///
/// ```text
/// left  from s > 0:      to s - 1, reward 0        right from s < n - 1:   to s + 1, reward 0
/// left  from 0:          stays,    reward 0        right from n - 1:       reward 1, terminated
/// ```
///
/// With probability `slip` the other move happens. The observation is the state, one-hot, `[n]`. With a time limit an
/// episode that has not ended by then is truncated in the state it has reached. Without slip V*(s) = g^(n - 1 - s).
#[derive(Clone, Debug)]
pub struct Chain {
    options: ChainOptions,
    seed: u64,
    random: Random,
    /// The number of states after a termination.
    state: u32,
    steps: u32,
    observation: Vec<f32>,
}

impl Chain {
    /// The action that moves towards state 0.
    pub const LEFT: u32 = 0;
    /// The action that moves towards the reward.
    pub const RIGHT: u32 = 1;

    /// A chain at state 0.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn new(options: ChainOptions, seed: u64) -> Result<Self> {
        let ChainOptions { states, slip, time_limit } = options;
        if !(2..=1000).contains(&states) {
            return Err(Error::option("states", states, "2 to 1000"));
        }
        if !(0.0..=1.0).contains(&slip) {
            return Err(Error::option("slip", slip, "a probability from 0 to 1"));
        }
        if time_limit == Some(0) {
            return Err(Error::option("time_limit", 0, "at least one step, or none"));
        }
        let random = Random::new(seed, Purpose::Episodes, 0);
        let mut chain = Self { options, seed, random, state: 0, steps: 0, observation: Vec::new() };
        chain.look();
        Ok(chain)
    }

    fn has_terminated(&self) -> bool {
        self.state == self.options.states
    }

    fn has_run_out(&self) -> bool {
        self.options.time_limit.is_some_and(|limit| self.steps >= limit)
    }

    /// Makes the observation of the state. After a termination there is nothing to see: all zeros.
    fn look(&mut self) {
        self.observation.clear();
        self.observation.extend((0..self.options.states).map(|state| f32::from(state == self.state)));
    }
}

/// Where a move leads: left stays at 0, right leads behind the last state.
fn moved(state: u32, right: bool) -> u32 {
    if right { state + 1 } else { state.saturating_sub(1) }
}

impl Environment for Chain {
    fn description(&self) -> String {
        let ChainOptions { states, slip, time_limit } = self.options;
        let limit = time_limit.map_or("no".into(), |limit| limit.to_string());
        format!("chain: {states} states, slip {slip}, {limit} time limit, seed {}", self.seed)
    }

    fn actions(&self) -> u32 {
        2
    }

    fn terminates(&self) -> bool {
        true
    }

    fn observation_kind(&self) -> ObservationKind {
        ObservationKind::Numbers { len: self.options.states as usize }
    }

    fn observation(&self) -> Observation<'_> {
        Observation::Numbers(&self.observation)
    }

    fn reset(&mut self) {
        (self.state, self.steps) = (0, 0);
        self.look();
    }

    fn step(&mut self, action: u32) -> Result<Step> {
        check(self, action, self.has_terminated() || self.has_run_out())?;
        let slips = self.random.unit() < self.options.slip;
        self.state = moved(self.state, (action == Self::RIGHT) != slips);
        self.steps = self.steps.saturating_add(1);
        self.look();
        let terminated = self.has_terminated();
        let reward = f32::from(terminated);
        Ok(Step { reward, terminated, truncated: !terminated && self.has_run_out() })
    }

    fn save(&self) -> Vec<u8> {
        let numbers = [self.state.into(), self.steps.into(), self.random.drawn()];
        state::write(&self.description(), &numbers)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let description = self.description();
        let [state, steps, drawn] = state::read(&description, saved)?;
        let (Ok(state), Ok(steps)) = (u32::try_from(state), u32::try_from(steps)) else {
            return Err(state::damaged(&description, "a number is too large"));
        };
        if state > self.options.states || self.options.time_limit.is_some_and(|limit| steps > limit) {
            return Err(state::damaged(&description, "there is no such state"));
        }
        (self.state, self.steps) = (state, steps);
        self.random.restore(drawn);
        self.look();
        Ok(())
    }
}

impl Finite for Chain {
    fn model(&self) -> FiniteMdp {
        let ChainOptions { states, slip, .. } = self.options;
        let outcome = |state, right, probability| {
            let next = moved(state, right);
            match next == states {
                true => Outcome { probability, reward: 1.0, next: Next::Terminated },
                false => Outcome { probability, reward: 0.0, next: Next::State(next as usize) },
            }
        };
        let action =
            |state, right: bool| vec![outcome(state, right, 1.0 - slip), outcome(state, !right, slip)];
        FiniteMdp {
            start: (0..states).map(|state| if state == 0 { 1.0 } else { 0.0 }).collect(),
            outcomes: (0..states).map(|state| vec![action(state, false), action(state, true)]).collect(),
        }
    }

    fn state(&self) -> Option<usize> {
        (!self.has_terminated()).then_some(self.state as usize)
    }
}
