//! The chain against its closed form, and the two ends of an episode.

use super::simulate;
use approx::{abs_diff_eq, assert_abs_diff_eq};
use environments::{Chain, ChainOptions, Environment, Error, Finite, Purpose, Random};

fn chain(states: u32, slip: f64, time_limit: Option<u32>) -> Chain {
    Chain::new(ChainOptions { states, slip, time_limit }, 5).unwrap()
}

#[test]
fn without_slip_the_values_are_powers_of_the_discount() {
    for (states, discount) in [(2, 0.5), (5, 0.9), (10, 0.99), (40, 0.0)] {
        let optimum = chain(states, 0.0, None).model().optimum(discount).unwrap();
        for (state, value) in optimum.values.iter().enumerate() {
            let exact = f64::powi(discount, states as i32 - 1 - state as i32);
            assert!(
                abs_diff_eq!(*value, exact, epsilon = 1e-9),
                "state {state} of {states}: {value}, {exact}"
            );
        }
        let left = optimum.action_values[1][0];
        assert_abs_diff_eq!(left, discount * optimum.values[0], epsilon = 1e-9);
    }
}

#[test]
fn right_is_best_and_simulation_agrees_with_the_model() {
    for slip in [0.0, 0.2] {
        let mut chain = chain(6, slip, None);
        let model = chain.model();
        let optimum = model.optimum(0.9).unwrap();
        assert_eq!(optimum.actions, [1; 6]);
        let same = model.policy_values(&model.epsilon_greedy(&optimum.actions, 0.0), 0.9).unwrap();
        assert_abs_diff_eq!(same[..], optimum.values[..], epsilon = 1e-9);
        for epsilon in [0.0, 0.5, 1.0] {
            let policy = model.epsilon_greedy(&optimum.actions, epsilon);
            let (exact, seen) = (model.reward_per_step(&policy), simulate(&mut chain, &policy, 300_000));
            // At most one reward in six steps: the standard deviation of the mean is below 7e-4.
            assert!(
                abs_diff_eq!(exact, seen, epsilon = 3e-3),
                "slip {slip}, epsilon {epsilon}: {exact}, {seen}"
            );
        }
    }
    // Six steps per episode, the last of them paid.
    let model = chain(6, 0.0, None).model();
    assert_abs_diff_eq!(
        model.reward_per_step(&model.epsilon_greedy(&[1; 6], 0.0)),
        1.0 / 6.0,
        epsilon = 1e-9
    );
    // A random walk from 0, reflected there, leaves behind n states after n (n + 1) steps on average.
    assert_abs_diff_eq!(
        model.reward_per_step(&model.epsilon_greedy(&[1; 6], 1.0)),
        1.0 / 42.0,
        epsilon = 1e-9
    );
}

#[test]
fn an_episode_ends_in_one_of_two_ways() {
    let ends = |limit, moves: &[u32]| {
        let mut chain = chain(3, 0.0, limit);
        let steps: Vec<_> = moves.iter().map(|&action| chain.step(action).unwrap()).collect();
        assert!(steps[..steps.len() - 1].iter().all(|step| !step.is_last() && step.reward == 0.0));
        assert!(matches!(chain.step(0), Err(Error::EpisodeIsOver { .. })));
        let last = *steps.last().unwrap();
        (last.reward, last.terminated, last.truncated, chain.state())
    };
    assert_eq!(ends(None, &[1, 1, 1]), (1.0, true, false, None));
    assert_eq!(ends(Some(4), &[1, 0, 1, 1]), (0.0, false, true, Some(2)));
    // Both at once is a termination: the task is done, and no time is missing.
    assert_eq!(ends(Some(3), &[1, 1, 1]), (1.0, true, false, None));
}

/// Q-learning with the target that [`environments::Step`] states: it finds the exact values although a time limit cuts
/// most episodes. Where a truncation is taken for a termination, values come out too low.
#[test]
fn truncation_is_not_termination() {
    let discount = 0.9;
    let learn = |bootstraps_after_truncation: bool| {
        let mut chain = chain(6, 0.0, Some(8));
        let mut random = Random::new(9, Purpose::Episodes, 0);
        let mut q = [[0.0; 2]; 6];
        let mut truncations = 0;
        for step in 0..200_000 {
            let (state, action) = (chain.state().unwrap(), random.below(2));
            let outcome = chain.step(action).unwrap();
            let next = chain.state().map_or(0.0, |next| f64::max(q[next][0], q[next][1]));
            let goes_on = !outcome.terminated && (bootstraps_after_truncation || !outcome.truncated);
            let target = f64::from(outcome.reward) + if goes_on { discount * next } else { 0.0 };
            let rate = 20.0 / (200.0 + f64::from(step).sqrt());
            q[state][action as usize] += rate * (target - q[state][action as usize]);
            truncations += u32::from(outcome.truncated);
            if outcome.is_last() {
                chain.reset();
            }
        }
        assert!(truncations > 10_000, "{truncations}");
        q
    };
    let exact = chain(6, 0.0, None).model().optimum(discount).unwrap().action_values;
    let error = |q: [[f64; 2]; 6]| -> f64 {
        let errors = (0..6).flat_map(|state| [0, 1].map(|action| q[state][action] - exact[state][action]));
        errors.map(f64::abs).fold(0.0, f64::max)
    };
    let (right, wrong) = (error(learn(true)), error(learn(false)));
    assert!(right < 1e-3, "{right}");
    assert!(wrong > 0.05, "{wrong}");
}

#[test]
fn options_that_cannot_be_are_named() {
    for (states, slip, limit, option) in [
        (1, 0.0, None, "states"),
        (1001, 0.0, None, "states"),
        (5, 1.5, None, "slip"),
        (5, f64::NAN, None, "slip"),
        (5, 0.0, Some(0), "time_limit"),
    ] {
        let error = Chain::new(ChainOptions { states, slip, time_limit: limit }, 0).unwrap_err();
        assert!(error.to_string().starts_with(option), "{error}");
    }
    let error = chain(3, 0.0, None).step(2).unwrap_err().to_string();
    assert!(error.contains("action 2 in chain: 3 states") && error.contains("0 to 1"), "{error}");
    for discount in [1.0, -0.1, f64::NAN] {
        let error = chain(3, 0.0, None).model().optimum(discount).unwrap_err();
        assert!(error.to_string().starts_with("discount"), "{error}");
    }
}
