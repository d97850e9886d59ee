//! Hare & Tortoise, and EMA: the average, the resets and their schedule.

use super::*;

/// Steps after which an epoch of this phase's epochs 1, 11, 21 has ended.
const RESETS: [u64; 6] = [2, 22, 42, PHASE_1 + 4, PHASE_1 + 44, PHASE_1 + 84];

#[test]
fn the_tortoise_averages_every_step_and_the_hare_is_reset_after_epochs_1_11_21() {
    let run = Experiment::new(&["intervention.method=hare-tortoise"]);
    let mut last = run.before(0);
    assert_eq!(bits(&last.hare), bits(&last.tortoise), "they start as one");
    assert!(last.hare.keys().filter(|name| is_statistic(name)).count() == 4, "statistics take part");
    for step in 1..END {
        let now = run.before(step);
        let equal = bits(&now.hare) == bits(&now.tortoise);
        assert_eq!(equal, RESETS.contains(&step), "hare and tortoise before step {step}");
        if !equal {
            assert_blend(&now.tortoise, 0.9, &last.tortoise, &now.hare, &format!("before step {step}"));
        }
        last = now;
    }
    // All these stops changed nothing.
    let (stopped, straight) = (run.at_the_end(), Experiment::new(&["intervention.method=hare-tortoise"]));
    straight.at_the_end();
    assert_eq!(bits(&stopped.hare), bits(&straight.state_now().hare));
    assert!(run.file() == straight.file());
}

#[test]
fn the_reset_changes_the_hare_alone() {
    let ema = Experiment::new(&["intervention.method=ema"]).before(2);
    let reset = Experiment::new(&["intervention.method=hare-tortoise"]).before(2);
    let cleared = ["intervention.method=hare-tortoise+optimizer-reset"];
    let cleared = Experiment::new(&cleared).before(2);
    // Up to the first reset the three are one run: EMA shows the hare that the tortoise still followed.
    let plain = Experiment::new(&[]);
    let (first, second) = (Experiment::new(&["intervention.method=ema"]).before(1), plain.before(2));
    assert_eq!(bits(&ema.hare), bits(&second.hare), "the tortoise does not touch the hare");
    assert_blend(&ema.tortoise, 0.9, &first.tortoise, &ema.hare, "the step before the reset");
    assert_eq!(bits(&reset.tortoise), bits(&ema.tortoise));
    assert_eq!(bits(&reset.hare), bits(&ema.tortoise));
    assert_ne!(bits(&ema.hare), bits(&ema.tortoise));
    assert!(reset.moments.values().flatten().any(|&value| value != 0.0));
    assert_eq!(bits(&reset.moments), bits(&ema.moments), "Adam's moments survive");
    assert!(cleared.moments.values().flatten().all(|&value| value == 0.0), "the ablation clears them");
    assert_eq!(bits(&cleared.hare), bits(&reset.hare));
}

#[test]
fn ema_never_resets() {
    let run = Experiment::new(&["intervention.method=ema"]);
    for step in RESETS {
        let now = run.before(step);
        assert_ne!(bits(&now.hare), bits(&now.tortoise), "before step {step}");
    }
    assert_eq!(bits(&run.at_the_end().hare), bits(&Experiment::new(&[]).at_the_end().hare), "a bystander");
}

#[test]
fn a_schedule_in_steps_counts_the_steps_of_the_phase() {
    let run = Experiment::new(&[
        "intervention.method=hare-tortoise",
        "intervention.hare-tortoise.reset_unit=steps",
        "intervention.hare-tortoise.reset_interval=5",
        "intervention.hare-tortoise.first_reset=after-interval",
    ]);
    for step in (1..12).chain(PHASE_1 + 1..PHASE_1 + 12) {
        let (now, in_phase) = (run.before(step), step - if step > PHASE_1 { PHASE_1 } else { 0 });
        assert_eq!(bits(&now.hare) == bits(&now.tortoise), in_phase.is_multiple_of(5), "before step {step}");
    }
}

#[test]
fn memory_that_a_reset_shares_moves_the_tortoise_by_one_whole_step() {
    let method = "intervention.method=hare-tortoise";
    let shared = Experiment::new(&[method, "intervention.hare-tortoise.reset_shares_memory=true"]);
    let copied = Experiment::new(&[method]);
    for reset in [2, PHASE_1 + 4] {
        let (at, after, later) = (shared.before(reset), shared.before(reset + 1), shared.before(reset + 2));
        assert_eq!(bits(&after.tortoise), bits(&after.hare), "the step after the reset");
        assert_ne!(bits(&after.tortoise), bits(&at.tortoise));
        assert_ne!(bits(&later.tortoise), bits(&later.hare), "one step only");
        assert_blend(&later.tortoise, 0.9, &after.tortoise, &later.hare, "then as ever");
        let copied = copied.before(reset + 1);
        assert_ne!(bits(&copied.tortoise), bits(&copied.hare), "a true copy");
    }
    let code = Experiment::new(&[method, "fidelity=code"]);
    assert!(code.config.intervention.hare_tortoise.as_ref().unwrap().reset_shares_memory);
}
