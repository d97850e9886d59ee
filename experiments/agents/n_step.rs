//! Transitions over several steps, made of those over one (Sutton 1988; Hessel and others 2018).
//!
//! ```text
//! one step    (s_t, a_t, r_t, s_{t+1}, end)          end: the task was over, or the episode cut off, or neither
//! k steps     (s_t, a_t, R, s_{t+k}, discount^k)     R = sum over i < k of discount^i r_{t+i}
//! ```
//!
//! with k = n, or as many steps as there were until the end of the episode. Where the task was over, nothing comes after it,
//! and a discount of 0 says so; where the episode was only cut off, the state that it had reached keeps its value. To leave
//! out the last transitions before a cut would not do: those that end with the task would remain of them, and states near
//! its end would seem better than they are.

use crate::error::Result;

/// How the step of a transition ended, as its last word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The episode goes on.
    None = 0,
    /// The task was over.
    Terminated = 1,
    /// The episode was cut off: the state that was reached keeps its value.
    Truncated = 2,
}

impl End {
    /// Of a step in an environment.
    pub(super) fn of(step: &environments::Step) -> Self {
        match (step.terminated, step.truncated) {
            (true, _) => Self::Terminated,
            (_, true) => Self::Truncated,
            _ => Self::None,
        }
    }
}

/// The transitions that wait for the steps behind them.
#[derive(Clone, Debug)]
pub(super) struct NStep {
    /// Words of an observation.
    observation: usize,
    /// `discount^i` for i from 0 to n.
    factors: Vec<f64>,
    /// Those that wait, in the order in which they came, from `first` on and around: rows over one step.
    rows: Vec<u32>,
    /// The discounted sum of each so far.
    returns: Vec<f64>,
    first: usize,
    waiting: usize,
    /// A row over n steps.
    made: Vec<u32>,
}

impl NStep {
    /// Over `steps` steps, at least 1, of observations of so many words.
    pub(super) fn new(steps: u32, discount: f64, observation: usize) -> Self {
        let (n, row) = (steps as usize, 2 * observation + 3);
        Self {
            observation,
            factors: (0..=steps).map(|i| discount.powf(f64::from(i))).collect(),
            rows: vec![0; n * row],
            returns: vec![0.0; n],
            first: 0,
            waiting: 0,
            made: vec![0; row],
        }
    }

    /// Takes the next transition over one step, whose last word is an [`End`], and gives those over several that are whole
    /// now, rows as `kernels/replay` lays them out.
    pub(super) fn push(
        &mut self,
        transition: &[u32],
        mut take: impl FnMut(&[u32]) -> Result<()>,
    ) -> Result<()> {
        let (n, row, observation) = (self.returns.len(), self.made.len(), self.observation);
        let newest = (self.first + self.waiting) % n;
        self.rows[newest * row..][..row].copy_from_slice(transition);
        self.returns[newest] = 0.0;
        self.waiting += 1;
        let reward = f64::from(f32::from_bits(transition[2 * observation + 1]));
        for k in 0..self.waiting {
            self.returns[(self.first + k) % n] += self.factors[self.waiting - 1 - k] * reward;
        }
        let end = transition[2 * observation + 2];
        let whole = if end == End::None as u32 { usize::from(self.waiting == n) } else { self.waiting };
        for _ in 0..whole {
            let state = &self.rows[self.first * row..][..row];
            let discount = if end == End::Terminated as u32 { 0.0 } else { self.factors[self.waiting] };
            self.made[..observation].copy_from_slice(&state[..observation]);
            self.made[observation..2 * observation]
                .copy_from_slice(&transition[observation..2 * observation]);
            self.made[2 * observation] = state[2 * observation];
            self.made[2 * observation + 1] = (self.returns[self.first] as f32).to_bits();
            self.made[2 * observation + 2] = (discount as f32).to_bits();
            (self.first, self.waiting) = ((self.first + 1) % n, self.waiting - 1);
            take(&self.made)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Episodes of states that are counted on, action 10 + state, reward 1 + state, with the end of each.
    fn made(steps: u32, episodes: &[(u32, End)]) -> Vec<[f32; 5]> {
        let (mut n_step, mut all, mut state) = (NStep::new(steps, 0.5, 1), Vec::new(), 0);
        for &(length, end) in episodes {
            for step in 1..=length {
                let end = if step == length { end } else { End::None };
                let reward = (1.0 + state as f32).to_bits();
                n_step
                    .push(&[state, state + 1, 10 + state, reward, end as u32], |row| {
                        let [reward, discount] = [row[3], row[4]].map(f32::from_bits);
                        all.push([row[0] as f32, row[1] as f32, row[2] as f32, reward, discount]);
                        Ok(())
                    })
                    .unwrap();
                state += 1;
            }
            state = 100 * (1 + state / 100);
        }
        all
    }

    #[test]
    fn returns_are_those_of_the_definition_at_both_ends() {
        let over = End::Terminated;
        assert_eq!(
            made(3, &[(4, over), (1, End::None)]),
            [
                [0.0, 3.0, 10.0, 1.0 + 0.5 * 2.0 + 0.25 * 3.0, 0.125],
                [1.0, 4.0, 11.0, 2.0 + 0.5 * 3.0 + 0.25 * 4.0, 0.0],
                [2.0, 4.0, 12.0, 3.0 + 0.5 * 4.0, 0.0],
                [3.0, 4.0, 13.0, 4.0, 0.0],
            ]
        );
        // Cut off: fewer steps, and the value of the state that was reached. Nothing reaches the next episode.
        assert_eq!(
            made(3, &[(3, End::Truncated), (1, over)]),
            [
                [0.0, 3.0, 10.0, 1.0 + 0.5 * 2.0 + 0.25 * 3.0, 0.125],
                [1.0, 3.0, 11.0, 2.0 + 0.5 * 3.0, 0.25],
                [2.0, 3.0, 12.0, 3.0, 0.5],
                [100.0, 101.0, 110.0, 101.0, 0.0],
            ]
        );
        // Shorter than n.
        assert_eq!(made(5, &[(2, over)]), [[0.0, 2.0, 10.0, 2.0, 0.0], [1.0, 2.0, 11.0, 2.0, 0.0]]);
    }

    #[test]
    fn over_one_step_a_cut_is_no_end() {
        for (end, discount) in [(End::None, 0.5), (End::Terminated, 0.0), (End::Truncated, 0.5)] {
            assert_eq!(made(1, &[(1, end)]), [[0.0, 1.0, 10.0, 1.0, discount]]);
        }
    }
}
