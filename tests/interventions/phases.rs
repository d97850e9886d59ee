//! What begins with a phase, plain weight decay, stops, and the same through WGSL.

use super::*;
use approx::abs_diff_eq;

#[test]
fn a_phase_begins_with_a_new_optimiser_and_the_old_weights() {
    let run = Experiment::new(&[]);
    let before = run.before(PHASE_1 - 1);
    assert!(before.moments.values().flatten().any(|&value| value != 0.0));
    let begun = run.before(PHASE_1);
    assert_eq!(begun.moments.len(), 2 * run.initial().len());
    assert!(begun.moments.values().flatten().all(|&value| value == 0.0), "zero moments");
    // Its first learning rate is 0: the first step leaves the weights, the second does not.
    let (first, second) = (run.before(PHASE_1 + 1), run.before(PHASE_1 + 2));
    assert!(first.moments.values().flatten().any(|&value| value != 0.0));
    for (name, values) in begun.hare.iter().filter(|(name, _)| !is_statistic(name)) {
        assert_eq!(values, &first.hare[name], "{name}");
    }
    assert_ne!(bits(&first.hare), bits(&second.hare));
}

/// Three label sets of 44 steps.
const LABEL_SETS: [&str; 5] = [
    "protocol.label_sets=3",
    "protocol.ratios=[1]",
    "protocol.noise=[0]",
    "protocol.base_epochs=11",
    "optimizer.kind=adam",
];

#[test]
fn from_one_label_set_to_the_next_the_optimiser_goes_on() {
    let (run, straight) = (Experiment::new(&LABEL_SETS), Experiment::new(&LABEL_SETS));
    let before = run.before(43);
    let begun = run.before(44);
    assert_ne!(bits(&before.moments), bits(&begun.moments), "one more step");
    assert!(begun.moments.values().flatten().any(|&value| value != 0.0), "moments stay");
    // The weights of another optimiser, which is new, go elsewhere.
    for step in [45, 60, 87, 88, 89] {
        run.before(step);
    }
    run.at_the_end();
    straight.at_the_end();
    assert!(run.file() == straight.file(), "stopped and gone on");
    let state: serde_json::Value = run.file().state.parse().unwrap();
    assert_eq!(state["methods"]["optimizer_steps"], 132, "the step count is that of all label sets");
}

#[test]
fn label_sets_are_seen_at_both_ends_and_remembered_as_the_epoch_says() {
    // With a learning rate of next to nothing the network stays as it began: an epoch sees what an evaluation sees.
    let still = ["optimizer.lr=1e-30", "optimizer.warmup=0", "model.batch_norm=false"];
    let run = Experiment::new(&[&LABEL_SETS[..], &still].concat());
    run.at_the_end();
    let path = lifecycle::path_of(&run.config, run.out.path()).join("metrics.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| line.parse().unwrap()).collect();
    for phase in 0..3 {
        let of = |key: &str| -> Vec<f64> {
            lines.iter().filter(|line| line["phase"] == phase).filter_map(|line| line[key].as_f64()).collect()
        };
        let (trained, seen) = (of("train_accuracy"), of("label_set_accuracy"));
        assert!(seen.len() >= 2 && trained.len() == 11, "{seen:?}");
        assert!(seen.iter().all(|&accuracy| accuracy == trained[0]), "{seen:?}, {trained:?}");
        assert_eq!(of("dead_unit_share").len(), seen.len());
    }
    assert!(
        lines.iter().any(|line| line["label_set_accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.0))
    );
}

#[test]
fn head_reset_copies_the_first_head_and_nothing_else() {
    let (plain, reset) = (Experiment::new(&[]), Experiment::new(&["intervention.method=head-reset"]));
    let (before, after, initial) = (plain.before(PHASE_1).hare, reset.before(PHASE_1).hare, plain.initial());
    for (name, values) in &after {
        if name.starts_with("head.") {
            assert_eq!(values, &initial[name], "{name}");
            assert_ne!(values, &before[name], "{name} had moved");
        } else {
            assert_eq!(values, &before[name], "{name}");
        }
    }
}

#[test]
fn l2_is_a_larger_weight_decay_and_nothing_else() {
    let plain = Experiment::new(&["optimizer.weight_decay=0.01"]);
    let l2 = ["intervention.method=l2", "intervention.l2.weight_decay=0.5", "optimizer.weight_decay=0.01"];
    let (l2, decayed) = (Experiment::new(&l2), Experiment::new(&["optimizer.weight_decay=0.5"]));
    // Step 0 has learning rate 0, step 1 a quarter of 0.02 (4 steps of warm-up).
    let (start, plain, l2_then) = (plain.before(1), plain.before(2), l2.before(2));
    assert_eq!(bits(&l2_then.moments), bits(&plain.moments), "the gradient knows nothing of it");
    for (name, values) in plain.hare.iter().filter(|(name, _)| !is_statistic(name)) {
        for (i, value) in values.iter().enumerate() {
            let decay = f64::from(*value) - f64::from(l2_then.hare[name][i]);
            let expected = 0.25 * 0.02 * (0.5 - 0.01) * f64::from(start.hare[name][i]);
            assert!(
                abs_diff_eq!(decay, expected, epsilon = 3e-7),
                "{name}[{i}]: {decay}, {expected} expected"
            );
        }
    }
    assert_eq!(bits(&l2.at_the_end().hare), bits(&decayed.at_the_end().hare));
}

#[test]
fn stops_in_both_phases_change_nothing_whatever_the_method() {
    let fresh = "intervention.method=shrink-perturb";
    let dropout = "model.dropout=0.2";
    for sets in [
        ["intervention.method=spectral-decoupling+self-distillation+regen", dropout],
        [fresh, "intervention.shrink-perturb.variant=ash-adams-2020"],
        [fresh, "intervention.shrink-perturb.variant=per-step"],
    ] {
        let (stopped, straight) = (Experiment::new(&sets), Experiment::new(&sets));
        for step in [1, 3, PHASE_1 - 1, PHASE_1, PHASE_1 + 1, PHASE_1 + 7] {
            stopped.before(step);
        }
        stopped.at_the_end();
        straight.at_the_end();
        assert!(stopped.file() == straight.file(), "{sets:?}");
    }
}

#[test]
fn through_wgsl_the_same_holds() {
    let device = Device::open(common::wgsl_device(), 0).unwrap();
    let run = Experiment::on(device.clone(), &["intervention.method=hare-tortoise"]);
    let mut last = run.before(0);
    for step in 1..=4 {
        let now = run.before(step);
        let equal = bits(&now.hare) == bits(&now.tortoise);
        assert_eq!(equal, step == 2, "hare and tortoise before step {step}");
        if !equal {
            assert_blend(&now.tortoise, 0.9, &last.tortoise, &now.hare, &format!("before step {step}"));
        }
        last = now;
    }
    let sets = ["intervention.method=shrink-perturb+head-reset"];
    let (plain, both) = (Experiment::on(device.clone(), &[]), Experiment::on(device, &sets));
    let (before, after) = (plain.before(PHASE_1), both.before(PHASE_1).hare);
    assert!(before.moments.values().flatten().all(|&value| value == 0.0), "zero moments");
    let initial = plain.initial();
    for (name, values) in &after {
        let (keep, first) = match name {
            _ if is_statistic(name) => (1.0, &before.hare[name]),
            _ if name.starts_with("head.") => (0.0, &initial[name]),
            _ => (0.2, &initial[name]),
        };
        for (i, value) in values.iter().enumerate() {
            let expected = keep * f64::from(before.hare[name][i]) + (1.0 - keep) * f64::from(first[i]);
            let close = abs_diff_eq!(f64::from(*value), expected, epsilon = 1e-6);
            assert!(close, "{name}[{i}] = {value}, {expected} expected");
        }
    }
}
