//! Environments against the exact values of their models.

mod catch;
mod chain;
mod classification;

use environments::{Finite, Purpose, Random};

/// Mean reward per step over `steps` steps of the policy `[states][actions]`, episode after episode.
fn simulate(environment: &mut dyn Finite, policy: &[Vec<f64>], steps: u32) -> f64 {
    let mut random = Random::new(77, Purpose::Episodes, 1);
    let mut sum = 0.0;
    for _ in 0..steps {
        let state = environment.state().expect("the episode goes on");
        let step = environment.step(drawn(&policy[state], random.unit())).unwrap();
        sum += f64::from(step.reward);
        if step.is_last() {
            environment.reset();
        }
    }
    sum / f64::from(steps)
}

/// The action at which the probabilities of a row add up to more than `unit`.
fn drawn(row: &[f64], unit: f64) -> u32 {
    let mut sum = 0.0;
    let action = row.iter().position(|probability| {
        sum += probability;
        unit < sum
    });
    action.unwrap_or(row.len() - 1) as u32
}
