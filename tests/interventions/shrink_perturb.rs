//! Shrink & Perturb in its three variants.

use super::*;

#[test]
fn shrink_and_perturb_blends_weights_with_the_first_ones_and_spares_statistics() {
    let (plain, shrunk) = (Experiment::new(&[]), Experiment::new(&["intervention.method=shrink-perturb"]));
    assert_eq!(
        bits(&shrunk.before(PHASE_1 - 1).hare),
        bits(&plain.before(PHASE_1 - 1).hare),
        "only at the end"
    );
    let (before, after) = (plain.before(PHASE_1).hare, shrunk.before(PHASE_1).hare);
    assert_blend(&after, 0.2, &before, &plain.initial(), "0.2 stays");
    for (name, values) in after.iter().filter(|(name, _)| is_statistic(name)) {
        assert_eq!(values, &before[name], "{name}");
    }
    assert_ne!(after["backbone.bn1.weight"], before["backbone.bn1.weight"], "scale and shift take part");
    let half =
        Experiment::new(&["intervention.method=shrink-perturb", "intervention.shrink-perturb.keep=0.5"])
            .before(PHASE_1)
            .hare;
    assert_blend(&half, 0.5, &before, &plain.initial(), "half stays");

    // With a tortoise: the hare is shrunk, the tortoise is not.
    let both = Experiment::new(&["intervention.method=hare-tortoise+shrink-perturb"]).before(PHASE_1);
    let alone = Experiment::new(&["intervention.method=hare-tortoise"]).before(PHASE_1);
    assert_eq!(bits(&both.tortoise), bits(&alone.tortoise));
    assert_blend(&both.hare, 0.2, &alone.hare, &plain.initial(), "with a tortoise");
}

#[test]
fn shrink_and_perturb_of_2020_adds_a_fresh_draw_and_begins_statistics_anew() {
    let sets = ["intervention.method=shrink-perturb", "intervention.shrink-perturb.variant=ash-adams-2020"];
    let (plain, shrunk) = (Experiment::new(&[]), Experiment::new(&sets));
    assert_eq!(bits(&shrunk.before(PHASE_1 - 1).hare), bits(&plain.before(PHASE_1 - 1).hare));
    let (before, after) = (plain.before(PHASE_1).hare, shrunk.before(PHASE_1).hare);
    assert_sum(&after, (0.4, &before), (0.1, &shrunk.fresh(1)));
    for (name, values) in after.iter().filter(|(name, _)| is_statistic(name)) {
        let new = if name.ends_with("running_var") { 1.0 } else { 0.0 };
        assert!(values.iter().all(|&value| value == new), "{name}");
    }
}

#[test]
fn shrink_and_perturb_per_step_adds_a_draw_of_its_own_after_every_step() {
    let sets = [
        "intervention.method=shrink-perturb",
        "intervention.shrink-perturb.variant=per-step",
        "intervention.shrink-perturb.keep=0.99",
        "intervention.shrink-perturb.perturb=0.03",
    ];
    let (plain, shrunk) = (Experiment::new(&[]), Experiment::new(&sets));
    // The first step of a phase has learning rate 0: the network is what the draw makes of it.
    for step in [0, PHASE_1] {
        let (before, after) = (shrunk.before(step).hare, shrunk.before(step + 1).hare);
        assert_sum(&after, (0.99, &before), (0.03, &shrunk.fresh(step)));
    }
    assert_eq!(
        bits(&plain.before(1).moments),
        bits(&Experiment::new(&sets).before(1).moments),
        "behind the step"
    );
    assert_ne!(shrunk.fresh(0), shrunk.fresh(1));
}
