//! Environments with finitely many states, whose values are known exactly.

use crate::{Environment, Error, Result};

/// Values are computed to within this.
const TOLERANCE: f64 = 1e-10;

/// One thing that may follow an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// How likely it is.
    pub probability: f64,
    /// The reward that comes with it.
    pub reward: f64,
    /// Where it leads.
    pub next: Next,
}

/// Where an outcome leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To this state.
    State(usize),
    /// To a state drawn as the first of an episode is, while the episode goes on.
    Drawn,
    /// To the end of the episode.
    Terminated,
}

/// A Markov decision process with finitely many states and actions.
///
/// A policy is a table `[states][actions]` of probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct FiniteMdp {
    /// How likely an episode is to begin in each state.
    pub start: Vec<f64>,
    /// `[states][actions]`: what may follow an action in a state. The probabilities of each add up to 1.
    pub outcomes: Vec<Vec<Vec<Outcome>>>,
}

/// What the best agent reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// V*(s), `[states]`.
    pub values: Vec<f64>,
    /// Q*(s, a), `[states][actions]`.
    pub action_values: Vec<Vec<f64>>,
    /// An action with the largest Q*(s, a), `[states]`; the first of several.
    pub actions: Vec<usize>,
}

/// An environment whose model is known. Its states are hidden from agents and shown to tests.
pub trait Finite: Environment {
    /// The model. It leaves out time limits: these cut episodes, but change the value of no state.
    fn model(&self) -> FiniteMdp;

    /// The state now; none after a termination.
    fn state(&self) -> Option<usize>;
}

impl FiniteMdp {
    /// V* and Q* by value iteration, and a policy that reaches them:
    ///
    /// ```text
    /// Q(s, a) = sum over outcomes of p (r + g V(s'))      V(s) = max_a Q(s, a)      V = 0 after a termination
    /// ```
    ///
    /// # Errors
    /// The discount is not in [0, 1).
    pub fn optimum(&self, discount: f64) -> Result<Optimum> {
        self.optimum_while_exploring(discount, 0.0)
    }

    /// The same for an agent that takes any action, each as likely, with probability `epsilon`:
    /// V(s) = (1 - epsilon) max_a Q(s, a) + epsilon mean_a Q(s, a). Of actions that are as good without exploration, such as
    /// to move to where a ball will fall now or later, those are best that leave room for random ones.
    ///
    /// # Errors
    /// The discount is not in [0, 1).
    pub fn optimum_while_exploring(&self, discount: f64, epsilon: f64) -> Result<Optimum> {
        let best = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let values = self.iterate(discount, |_, values| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            // Exact where nothing is random, whatever the mean.
            if epsilon == 0.0 { best(values) } else { (1.0 - epsilon) * best(values) + epsilon * mean }
        })?;
        let action_values: Vec<Vec<f64>> =
            self.outcomes.iter().map(|actions| self.action_values(actions, discount, &values)).collect();
        // Rounding must not choose between actions that are as good.
        let first = |values: &Vec<f64>| {
            let most = best(values);
            values.iter().position(|&value| value >= most - TOLERANCE).unwrap_or(0)
        };
        let actions = action_values.iter().map(first).collect();
        Ok(Optimum { values, action_values, actions })
    }

    /// The values of a policy, `[states]`: V(s) = sum over a of policy(a | s) Q(s, a).
    ///
    /// # Errors
    /// The discount is not in [0, 1).
    pub fn policy_values(&self, policy: &[Vec<f64>], discount: f64) -> Result<Vec<f64>> {
        self.iterate(discount, |state, values| dot(&policy[state], values))
    }

    /// The policy that takes `actions[state]`, but with probability `epsilon` any action, each as likely.
    pub fn epsilon_greedy(&self, actions: &[usize], epsilon: f64) -> Vec<Vec<f64>> {
        let row = |(&best, outcomes): (&usize, &Vec<Vec<Outcome>>)| {
            let mut row = vec![epsilon / outcomes.len() as f64; outcomes.len()];
            row[best] += 1.0 - epsilon;
            row
        };
        actions.iter().zip(&self.outcomes).map(row).collect()
    }

    /// How much of its time a policy spends in each state in the long run, `[states]`. After a termination the next
    /// episode begins.
    ///
    /// The chain is followed until it moves less than 1e-14 per step; it stays in place every second time, which changes
    /// nothing in the long run and ends cycles.
    pub fn occupancy(&self, policy: &[Vec<f64>]) -> Vec<f64> {
        let mut now = self.start.clone();
        loop {
            let mut next: Vec<f64> = now.iter().map(|share| share / 2.0).collect();
            let mut begins = 0.0;
            for ((share, probabilities), actions) in now.iter().zip(policy).zip(&self.outcomes) {
                for (probability, outcome) in probabilities.iter().zip(actions).flat_map(with_each) {
                    let flow = share * probability * outcome.probability / 2.0;
                    match outcome.next {
                        Next::State(state) => next[state] += flow,
                        Next::Drawn | Next::Terminated => begins += flow,
                    }
                }
            }
            next.iter_mut().zip(&self.start).for_each(|(next, start)| *next += begins * start);
            let moved: f64 = now.iter().zip(&next).map(|(now, next)| (now - next).abs()).sum();
            now = next;
            if moved < 1e-14 {
                return now;
            }
        }
    }

    /// The mean reward per step of a policy in the long run, episode after episode.
    pub fn reward_per_step(&self, policy: &[Vec<f64>]) -> f64 {
        let nowhere = vec![0.0; self.outcomes.len()];
        let in_state = |(policy, actions): (&Vec<f64>, &Vec<Vec<Outcome>>)| {
            dot(policy, &self.action_values(actions, 0.0, &nowhere))
        };
        let rewards: Vec<f64> = policy.iter().zip(&self.outcomes).map(in_state).collect();
        dot(&self.occupancy(policy), &rewards)
    }

    /// Q(s, a) for all actions of a state, where `values` are those of the next states.
    fn action_values(&self, actions: &[Vec<Outcome>], discount: f64, values: &[f64]) -> Vec<f64> {
        let drawn = dot(&self.start, values);
        let after = |outcome: &Outcome| {
            let next = match outcome.next {
                Next::State(state) => values[state],
                Next::Drawn => drawn,
                Next::Terminated => 0.0,
            };
            outcome.probability * (outcome.reward + discount * next)
        };
        actions.iter().map(|outcomes| outcomes.iter().map(after).sum()).collect()
    }

    /// Repeats V(s) = choose(s, Q(s, .)) from V = 0. After k rounds V is within g^k R / (1 - g) of its limit, where R is
    /// the largest reward, so that the number of rounds follows from the tolerance; it grows as 1 / (1 - g).
    fn iterate(&self, discount: f64, choose: impl Fn(usize, &[f64]) -> f64) -> Result<Vec<f64>> {
        if !(0.0..1.0).contains(&discount) {
            return Err(Error::option("discount", discount, "a number from 0 to below 1"));
        }
        let outcomes = self.outcomes.iter().flatten().flatten();
        let largest = outcomes.map(|outcome| outcome.reward.abs()).fold(0.0, f64::max);
        let rounds = (TOLERANCE * (1.0 - discount) / largest.max(TOLERANCE)).ln() / discount.ln();
        let mut values = vec![0.0; self.outcomes.len()];
        for _ in 0..=rounds.ceil() as u64 {
            let new = |(state, actions): (usize, &Vec<Vec<Outcome>>)| {
                choose(state, &self.action_values(actions, discount, &values))
            };
            values = self.outcomes.iter().enumerate().map(new).collect();
        }
        Ok(values)
    }
}

/// Each outcome of an action, with how likely the policy takes that action.
fn with_each<'a>(
    (probability, outcomes): (&'a f64, &'a Vec<Outcome>),
) -> impl Iterator<Item = (f64, &'a Outcome)> {
    outcomes.iter().map(|outcome| (*probability, outcome))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
