//! When an agent acts at random.

use crate::random::{Purpose, Random};
use crate::{Error, Result};

/// How likely a random action is, as a function of the step:
///
/// ```text
/// epsilon(t) = start                                                      t < after
///            = start + (end - start) (t - after) / over          after <= t < after + over
///            = end                                           after + over <= t
/// ```
///
/// The choices are a function of the seed and the step, so that there is no state to save. [`Exploration::ALWAYS`] is the
/// random policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exploration {
    /// Epsilon of the first step, 0 to 1.
    start: f64,
    /// Epsilon of the last step, 0 to 1.
    end: f64,
    /// The step at which epsilon begins to change.
    after: u64,
    /// How many steps the change takes.
    over: u64,
}

impl Exploration {
    /// Every action is random.
    pub const ALWAYS: Self = Self { start: 1.0, end: 1.0, after: 0, over: 0 };

    /// The same epsilon at every step.
    ///
    /// # Errors
    /// It is no probability.
    pub fn constant(epsilon: f64) -> Result<Self> {
        Self::linear(epsilon, epsilon, 0, 0)
    }

    /// From `start` to `end` in `over` steps, beginning at step `after`.
    ///
    /// # Errors
    /// `start` or `end` is no probability.
    pub fn linear(start: f64, end: f64, after: u64, over: u64) -> Result<Self> {
        for epsilon in [start, end] {
            if !(0.0..=1.0).contains(&epsilon) {
                return Err(Error::option("epsilon", epsilon, "a probability from 0 to 1"));
            }
        }
        Ok(Self { start, end, after, over })
    }

    /// Epsilon at a step.
    pub fn epsilon(&self, step: u64) -> f64 {
        let done = step.saturating_sub(self.after);
        match step {
            _ if step < self.after => self.start,
            _ if done >= self.over => self.end,
            _ => self.start + (self.end - self.start) * done as f64 / self.over as f64,
        }
    }

    /// The random action of this step, one of `0..actions`; none if the agent is to take the one it finds best.
    pub fn action(&self, seed: u64, step: u64, actions: u32) -> Option<u32> {
        let mut random = Random::new(seed, Purpose::Exploration, step);
        (random.unit() < self.epsilon(step)).then(|| random.below(actions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn epsilon_falls_in_a_straight_line_between_its_ends() {
        let drq = Exploration::linear(1.0, 0.01, 1600, 5000).unwrap();
        let known = [(0, 1.0), (1599, 1.0), (1600, 1.0), (4100, 0.505), (6600, 0.01), (u64::MAX, 0.01)];
        for (step, epsilon) in known {
            assert_abs_diff_eq!(drq.epsilon(step), epsilon, epsilon = 1e-12);
        }
        let at_once = Exploration::linear(1.0, 0.0, 3, 0).unwrap();
        assert_eq!([2, 3].map(|step| at_once.epsilon(step)), [1.0, 0.0]);
        assert_eq!(Exploration::constant(0.1).unwrap().epsilon(7), 0.1);
    }

    #[test]
    fn actions_are_random_as_often_as_epsilon_says_and_uniform() {
        for (exploration, epsilon) in [
            (Exploration::constant(0.0).unwrap(), 0.0),
            (Exploration::constant(0.1).unwrap(), 0.1),
            (Exploration::ALWAYS, 1.0),
        ] {
            let mut counts = [0.0f64; 5];
            let actions = (0..100_000).filter_map(|step| exploration.action(3, step, 5));
            actions.for_each(|action| counts[action as usize] += 1.0);
            // The standard deviation of a count is at most 127.
            assert!(counts.iter().all(|count| (count - 20_000.0 * epsilon).abs() < 600.0), "{counts:?}");
        }
    }

    #[test]
    fn the_choice_depends_on_seed_and_step_alone() {
        let half = Exploration::constant(0.5).unwrap();
        let choices = |seed| (0..100).map(|step| half.action(seed, step, 10)).collect::<Vec<_>>();
        assert_eq!(choices(1), choices(1));
        assert_ne!(choices(1), choices(2));
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for epsilon in [-0.1, 1.1, f64::NAN] {
            assert!(Exploration::constant(epsilon).unwrap_err().to_string().starts_with("epsilon = "));
            assert!(Exploration::linear(1.0, epsilon, 0, 1).is_err());
        }
    }
}
