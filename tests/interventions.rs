//! Each intervention against its few-line definition, observed from outside: a run is stopped before a step, and its
//! checkpoint tells hare, tortoise and moments. Every stop is a resume too.

mod common;

use data::{DataSet, LoadOptions};
use engine::Device;
use engine::checkpoint::File;
use engine::params::{Init, Segment};
use experiments::Config;
use experiments::config::parse_set;
use experiments::lifecycle;
use experiments::protocols::phases::{self, Context, Outcome};
use experiments::provenance::DataIdentity;
use kernels::random::{pcg4d, stream, unit};
use models::Model;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Phase 0: 64 images, 22 epochs of 2 steps. Phase 1: 128 images, 22 epochs of 4 steps.
const SHARED: [&str; 13] = [
    "name=interventions",
    "data.set=strokes",
    "data.train=128",
    "data.test=32",
    "model.hidden=[8,6]",
    "optimizer.batch=32",
    "optimizer.lr=0.02",
    "protocol.ratios=[0.5,0.5]",
    "protocol.noise=[0.5,0]",
    "protocol.base_epochs=11",
    "protocol.evaluate_every=5",
    "intervention.momentum=0.9",
    "seed=3",
];
const PHASE_1: u64 = 44;
const END: u64 = 44 + 88;

type Tensors = BTreeMap<String, Vec<f32>>;

struct Experiment {
    config: Config,
    data: DataSet,
    device: Device,
    out: tempfile::TempDir,
}

/// Hare, tortoise and moments at one moment.
struct State {
    hare: Tensors,
    tortoise: Tensors,
    moments: Tensors,
}

impl Experiment {
    fn new(sets: &[&str]) -> Self {
        Self::on(Device::cpu(1).unwrap(), sets)
    }

    fn on(device: Device, sets: &[&str]) -> Self {
        let layers: Vec<_> = SHARED.iter().chain(sets).map(|set| parse_set(set).unwrap()).collect();
        let config = Config::resolve(&layers).unwrap();
        let options = LoadOptions { train: 128, test: 32, ..LoadOptions::default() };
        let data = data::load("strokes", Path::new(""), &options).unwrap();
        Self { config, data, device, out: tempfile::tempdir().unwrap() }
    }

    /// Goes on until before step `stop_at`, or to the end.
    fn run(&self, stop_at: Option<u64>) -> Outcome {
        let stop = AtomicBool::new(false);
        let mut context = Context {
            device: &self.device,
            config: &self.config,
            data: &self.data,
            data_identity: &DataIdentity::of(&self.data),
            retry: false,
            stop: &stop,
            stop_at,
            progress: &mut |_| {},
            note: &mut |_| {},
        };
        phases::run(&mut context, self.out.path()).unwrap()
    }

    fn file(&self) -> File {
        let path = lifecycle::path_of(&self.config, self.out.path());
        File::load(&path.join("checkpoint.safetensors")).unwrap()
    }

    fn state_now(&self) -> State {
        let (mut hare, mut tortoise, mut moments) = (Tensors::new(), Tensors::new(), Tensors::new());
        let file = self.file();
        for name in file.tensors.keys() {
            let (_, values) = file.floats(name).unwrap();
            match name {
                _ if name.starts_with("exp_avg") => moments.insert(name.clone(), values),
                _ => match name.strip_prefix("tortoise.") {
                    Some(name) => tortoise.insert(name.into(), values),
                    None => hare.insert(name.clone(), values),
                },
            };
        }
        State { hare, tortoise, moments }
    }

    /// What there is before step `step`, after all that the steps before it brought.
    fn before(&self, step: u64) -> State {
        assert_eq!(self.run(Some(step)), Outcome::Interrupted);
        self.state_now()
    }

    fn at_the_end(&self) -> State {
        assert!(matches!(self.run(None), Outcome::Finished(_)));
        self.state_now()
    }

    fn model(&self) -> Box<dyn Model> {
        self.config.model.build().unwrap()
    }

    /// The fresh weights that Shrink & Perturb draws at `step`, by their definition.
    fn fresh(&self, step: u64) -> Tensors {
        let draw = |at: usize, init: Init| match init {
            Init::Constant(value) => value,
            Init::FanIn(fan_in) => {
                let words = pcg4d([at as u32 / 4, step as u32, stream::PERTURB, self.config.seed]);
                (2.0 * unit(words[at % 4]) - 1.0) / (fan_in as f32).sqrt()
            }
            Init::Normal => panic!("an MLP has no normal weights"),
        };
        let model = self.model();
        let tensor = |s: &Segment| (s.name.clone(), s.range().map(|at| draw(at, s.init)).collect());
        model.parameters().trained().iter().map(tensor).collect()
    }

    /// The run's first weights; running statistics are not among them.
    fn initial(&self) -> Tensors {
        let model = self.model();
        let values = model.parameters().initial_values(self.config.seed);
        model.parameters().trained().iter().map(|s| (s.name.clone(), values[s.range()].to_vec())).collect()
    }
}

fn is_statistic(name: &str) -> bool {
    name.contains("running_")
}

fn bits(tensors: &Tensors) -> Vec<(&str, Vec<u32>)> {
    tensors
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

/// `keep * a + (1 - keep) * b` in f64 for every value of `a`, against `c`.
fn assert_blend(c: &Tensors, keep: f64, a: &Tensors, b: &Tensors, what: &str) {
    assert!(!c.is_empty());
    for (name, values) in c.iter().filter(|(name, _)| a.contains_key(*name) && b.contains_key(*name)) {
        for (i, &value) in values.iter().enumerate() {
            let expected = keep * f64::from(a[name][i]) + (1.0 - keep) * f64::from(b[name][i]);
            let error = (f64::from(value) - expected).abs();
            assert!(
                error <= 1e-6 * expected.abs().max(1.0),
                "{what}: {name}[{i}] = {value}, {expected} expected"
            );
        }
    }
}

/// `keep * a + scale * b` in f64 for every trained value of `a`, against `c`.
fn assert_sum(c: &Tensors, (keep, a): (f64, &Tensors), (scale, b): (f64, &Tensors)) {
    for (name, b) in b {
        for (i, &value) in c[name].iter().enumerate() {
            let expected = keep * f64::from(a[name][i]) + scale * f64::from(b[i]);
            let error = (f64::from(value) - expected).abs();
            assert!(error <= 1e-6 * expected.abs().max(1.0), "{name}[{i}] = {value}, {expected} expected");
        }
    }
}

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
        "intervention.reset_unit=steps",
        "intervention.reset_interval=5",
        "intervention.first_reset=after-interval",
    ]);
    for step in (1..12).chain(PHASE_1 + 1..PHASE_1 + 12) {
        let (now, in_phase) = (run.before(step), step - if step > PHASE_1 { PHASE_1 } else { 0 });
        assert_eq!(bits(&now.hare) == bits(&now.tortoise), in_phase.is_multiple_of(5), "before step {step}");
    }
}

#[test]
fn memory_that_a_reset_shares_moves_the_tortoise_by_one_whole_step() {
    let method = "intervention.method=hare-tortoise";
    let shared = Experiment::new(&[method, "intervention.reset_shares_memory=true"]);
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
    assert!(code.config.intervention.reset_shares_memory);
}

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
    let half = Experiment::new(&["intervention.method=shrink-perturb", "intervention.keep=0.5"])
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
    let sets = ["intervention.method=shrink-perturb", "intervention.shrink_perturb=ash-adams-2020"];
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
        "intervention.shrink_perturb=per-step",
        "intervention.keep=0.99",
        "intervention.perturb=0.03",
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

#[test]
fn the_tortoise_of_self_distillation_averages_and_teaches_but_does_not_predict() {
    let run = Experiment::new(&["intervention.method=self-distillation"]);
    let mut last = run.before(0);
    for step in 1..5 {
        let now = run.before(step);
        assert_blend(&now.tortoise, 0.9, &last.tortoise, &now.hare, &format!("before step {step}"));
        last = now;
    }
    let plain = Experiment::new(&["intervention.method=ema"]);
    assert_ne!(bits(&last.hare), bits(&plain.before(4).hare), "it teaches");
    run.at_the_end();
    let folder = lifecycle::path_of(&run.config, run.out.path());
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert!(
        metrics.contains("\"test_accuracy\"") && !metrics.contains("tortoise_test_accuracy"),
        "{metrics}"
    );
    // Joined with EMA there is one tortoise, and it predicts.
    let both = Experiment::new(&["intervention.method=self-distillation+ema"]);
    both.at_the_end();
    assert_eq!(bits(&both.state_now().tortoise), bits(&run.state_now().tortoise));
    let folder = lifecycle::path_of(&both.config, both.out.path());
    assert!(
        std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap().contains("tortoise_test_accuracy")
    );
}

#[test]
fn methods_in_the_loss_change_nothing_at_strength_0_and_the_logged_loss_at_others() {
    let method = "intervention.method=spectral-decoupling+self-distillation+regen";
    let keys = ["spectral_strength", "distillation_strength", "regen_strength"];
    let plain = Experiment::new(&[]);
    plain.at_the_end();
    let loss = |run: &Experiment| {
        let folder = lifecycle::path_of(&run.config, run.out.path());
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let line = metrics.lines().filter(|line| line.contains("train_loss")).nth(1).unwrap().to_string();
        line.parse::<serde_json::Value>().unwrap()["train_loss"].as_f64().unwrap()
    };
    for strong in [None, Some(0), Some(1), Some(2)] {
        let sets: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| format!("intervention.{key}={}", if strong == Some(i) { 10 } else { 0 }))
            .collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).chain([method]).collect();
        let run = Experiment::new(&sets);
        let end = run.at_the_end();
        match strong {
            None => assert_eq!(end.hare, plain.state_now().hare),
            Some(_) => assert!(loss(&run) > loss(&plain) + 1e-3, "{sets:?}: {}", loss(&run)),
        }
    }
}

#[test]
fn stops_in_both_phases_change_nothing_whatever_the_method() {
    let fresh = "intervention.method=shrink-perturb";
    let dropout = "model.dropout=0.2";
    for sets in [
        ["intervention.method=spectral-decoupling+self-distillation+regen", dropout],
        [fresh, "intervention.shrink_perturb=ash-adams-2020"],
        [fresh, "intervention.shrink_perturb=per-step"],
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
    let l2 = ["intervention.method=l2", "intervention.weight_decay=0.5", "optimizer.weight_decay=0.01"];
    let (l2, decayed) = (Experiment::new(&l2), Experiment::new(&["optimizer.weight_decay=0.5"]));
    // Step 0 has learning rate 0, step 1 a quarter of 0.02 (4 steps of warm-up).
    let (start, plain, l2_then) = (plain.before(1), plain.before(2), l2.before(2));
    assert_eq!(bits(&l2_then.moments), bits(&plain.moments), "the gradient knows nothing of it");
    for (name, values) in plain.hare.iter().filter(|(name, _)| !is_statistic(name)) {
        for (i, value) in values.iter().enumerate() {
            let decay = f64::from(*value) - f64::from(l2_then.hare[name][i]);
            let expected = 0.25 * 0.02 * (0.5 - 0.01) * f64::from(start.hare[name][i]);
            assert!((decay - expected).abs() < 3e-7, "{name}[{i}]: {decay}, {expected} expected");
        }
    }
    assert_eq!(bits(&l2.at_the_end().hare), bits(&decayed.at_the_end().hare));
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
            assert!(
                (f64::from(*value) - expected).abs() < 1e-6,
                "{name}[{i}] = {value}, {expected} expected"
            );
        }
    }
}
