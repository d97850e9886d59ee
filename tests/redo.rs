//! ReDo on all four models: dormant units against a count on the host, recycled ones against the documented weights and
//! moments, named and ordered as in weight files; the same run whether stopped or not.

mod common;

use common::Place;
use common::begun::{Arenas, Begun, MODELS};
use data::LoadOptions;
use engine::Device;
use engine::params::{Layout, Segment};
use engine::units::Units;
use experiments::Config;
use experiments::config::{RedoOptions, parse_set};
use experiments::interventions::Redo;
use experiments::lifecycle;
use experiments::lifecycle::{Context, Outcome};
use experiments::protocols::phases;
use experiments::provenance::DataIdentity;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// One batch of 32 and one of 5: no multiple of anything.
const EXAMPLES: usize = 37;

/// Makes every fifth unit of each group put out nothing.
fn silence(begun: &Begun) -> Arenas {
    let mut arenas = begun.arenas();
    for group in begun.groups() {
        (0..group.count).step_by(5).for_each(|unit| begun.silence(&mut arenas, &group, unit));
    }
    begun.write(&arenas);
    arenas
}

/// For each unit of each group whether its score is at most the threshold, from all outputs in f64.
fn dormant_on_the_host(begun: &mut Begun, threshold: f64) -> Vec<Vec<bool>> {
    let (outputs, _, _) = begun.outputs(EXAMPLES);
    let groups = begun.groups();
    let of = |(values, group): (&Vec<f32>, &Units)| {
        assert_eq!(values.len(), EXAMPLES * group.values * group.count, "{}", group.layer);
        let mut mean = vec![0.0; group.count];
        for (i, value) in values.iter().enumerate() {
            mean[i % group.count] += f64::from(value.abs()) / (EXAMPLES * group.values) as f64;
        }
        let of_layer = mean.iter().sum::<f64>() / group.count as f64;
        mean.iter().map(|mean| mean / (of_layer + 1e-9) <= threshold).collect()
    };
    outputs.iter().zip(&groups).map(of).collect()
}

fn redo(begun: &mut Begun, threshold: f64) -> Redo {
    let options = RedoOptions { threshold, examples: EXAMPLES, interval: 5, recycles: true };
    let mut redo = Redo::new(&begun.trainer, &options).unwrap();
    redo.begin_phase(&mut begun.trainer).unwrap();
    redo
}

fn counts(dormant: &[Vec<bool>]) -> Vec<usize> {
    dormant.iter().map(|units| units.iter().filter(|&&unit| unit).count()).collect()
}

/// What a number becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Kept,
    Zero,
    One,
    Drawn { bound: f32 },
}

/// Which unit a number of a file's tensor belongs to, if the tensor reads `count` units.
fn read_unit(segment: &Segment, count: usize, at: usize) -> usize {
    let width: usize = segment.shape[1..].iter().product();
    match segment.layout {
        // [O, I, K, K]
        Layout::Convolution => at % width / (segment.shape[2] * segment.shape[3]),
        // [out, C H W]
        Layout::FlattenedImage { channels } => at % width / (width / channels),
        // [out, in]; a CReLU's two halves are one behind the other.
        Layout::Plain => at % width % count,
    }
}

/// What documentation says of every number of a network: by tensor, in the order of weight files.
fn fates(begun: &Begun, dormant: &[Vec<bool>]) -> (Vec<Vec<Fate>>, Vec<Vec<Fate>>) {
    let parameters = begun.parameters();
    let kept = |segments: &[Segment]| segments.iter().map(|s| vec![Fate::Kept; s.len]).collect::<Vec<_>>();
    let (mut trained, mut statistics) = (kept(parameters.trained()), kept(parameters.statistics()));
    let groups = begun.groups();
    for (group, dormant) in groups.iter().zip(dormant) {
        let segment = &parameters.trained()[group.incoming.tensor];
        let fan_in: usize = segment.shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f32).sqrt();
        for (at, fate) in trained[group.incoming.tensor].iter_mut().enumerate() {
            if dormant[at / fan_in] {
                *fate = Fate::Drawn { bound };
            }
        }
        let norm = group.norm.as_ref();
        let vectors = [
            (group.bias.as_ref(), Fate::Zero),
            (norm.map(|norm| &norm.weight), Fate::One),
            (norm.map(|norm| &norm.bias), Fate::Zero),
        ];
        for (axis, fate) in vectors.into_iter().filter_map(|(axis, fate)| Some((axis?, fate))) {
            trained[axis.tensor].iter_mut().zip(dormant).filter(|(_, d)| **d).for_each(|(f, _)| *f = fate);
        }
        for (axis, fate) in
            norm.into_iter().flat_map(|n| [(&n.running_mean, Fate::Zero), (&n.running_var, Fate::One)])
        {
            statistics[axis.tensor].iter_mut().zip(dormant).filter(|(_, d)| **d).for_each(|(f, _)| *f = fate);
        }
    }
    for (group, dormant) in groups.iter().zip(dormant) {
        for axis in &group.outgoing {
            let segment = &parameters.trained()[axis.tensor];
            for (at, fate) in trained[axis.tensor].iter_mut().enumerate() {
                if dormant[read_unit(segment, group.count, at)] {
                    *fate = Fate::Zero;
                }
            }
        }
    }
    (trained, statistics)
}

fn assert_fates(name: &str, fates: &[Fate], before: &[f32], after: &[f32]) {
    assert_eq!((fates.len(), before.len()), (after.len(), after.len()));
    let mut drawn = Vec::new();
    for (at, fate) in fates.iter().enumerate() {
        let holds = match fate {
            Fate::Kept => after[at].to_bits() == before[at].to_bits(),
            Fate::Zero => after[at] == 0.0,
            Fate::One => after[at] == 1.0,
            Fate::Drawn { bound } => {
                drawn.push(f64::from(after[at] / bound));
                after[at].abs() <= *bound && after[at] != before[at]
            }
        };
        assert!(holds, "{name}[{at}]: {fate:?}, {} became {}", before[at], after[at]);
    }
    if drawn.len() > 200 {
        let (n, moment) = (drawn.len() as f64, |p| drawn.iter().map(|v| v.powi(p)).sum::<f64>());
        assert!(moment(1).abs() / n < 4.0 / (3.0 * n).sqrt(), "{name}: mean {}", moment(1) / n);
        assert!((moment(2) / n - 1.0 / 3.0).abs() < 1.5 / n.sqrt(), "{name}: square {}", moment(2) / n);
    }
}

fn on_a_model(device: &Device, model: &[&str]) {
    let mut begun = Begun::new(device, model, &[]);
    let before = silence(&begun);
    let clock = begun.clock;

    // At a threshold that takes some live units too.
    let some = redo(&mut begun, 0.9);
    let expected = dormant_on_the_host(&mut begun, 0.9);
    let found: Vec<usize> = some.dormant(&clock).unwrap().into_iter().map(|(_, count)| count).collect();
    assert_eq!(found, counts(&expected), "{model:?}");
    let silent = |group: &Vec<bool>| group.iter().step_by(5).all(|&dormant| dormant);
    assert!(expected.iter().all(silent), "{model:?}: what was silenced is dormant");
    let all = counts(&dormant_on_the_host(&mut begun, 0.0));
    assert_ne!(counts(&expected), all, "{model:?}: and more than that");

    // Only what puts out nothing.
    let dead = redo(&mut begun, 0.0);
    let dormant = dormant_on_the_host(&mut begun, 0.0);
    let (_, _, logits) = begun.outputs(EXAMPLES);
    dead.between_epochs(&clock, 4).unwrap();
    assert!(begun.arenas() == before, "not due");
    dead.between_epochs(&clock, 5).unwrap();
    let after = begun.arenas();
    let (_, _, logits_after) = begun.outputs(EXAMPLES);
    assert_eq!(logits_after, logits, "{model:?}: what put out nothing changes nothing");

    let parameters = begun.parameters();
    let (trained, statistics) = fates(&begun, &dormant);
    let pairs = parameters.export(&before.trained).into_iter().zip(parameters.export(&after.trained));
    for (((name, _, before), (_, _, after)), fates) in pairs.zip(&trained) {
        assert_fates(&name, fates, &before, &after);
    }
    let [old, new] = [&before, &after].map(|arenas| parameters.export_statistics(&arenas.statistics));
    for (((name, _, before), (_, _, after)), fates) in old.into_iter().zip(new).zip(&statistics) {
        assert_fates(&name, fates, &before, &after);
    }
    for (old, new) in before.moments.iter().zip(&after.moments) {
        assert!(old.iter().any(|&moment| moment != 0.0));
        for (((name, _, old), (_, _, new)), fates) in
            parameters.export(old).into_iter().zip(parameters.export(new)).zip(&trained)
        {
            let zeroed: Vec<Fate> =
                fates.iter().map(|&f| if f == Fate::Kept { f } else { Fate::Zero }).collect();
            assert_fates(&format!("moments of {name}"), &zeroed, &old, &new);
        }
    }
    // The recycled units are awake; another step draws other weights, the same step the same.
    let still = dead.dormant(&clock).unwrap().into_iter().map(|(_, count)| count).sum::<usize>();
    assert!(still < counts(&dormant).iter().sum(), "{model:?}: {still} are still dormant");
    let again = |step: u32| {
        begun.write(&before);
        dead.between_epochs(&engine::Clock { step, ..clock }, 10).unwrap();
        begun.arenas().trained
    };
    assert!(again(clock.step) == after.trained && again(clock.step + 1) != after.trained);
}

#[test]
fn dormant_units_are_found_and_recycled_in_every_model() {
    for model in MODELS {
        on_a_model(&Device::cpu(2).unwrap(), model);
    }
}

#[test]
fn through_wgsl_the_same_holds() {
    let device = Device::open(common::wgsl_device(), 0).unwrap();
    on_a_model(&device, MODELS[0]);
    if common::has_gpu() {
        MODELS[1..].iter().for_each(|model| on_a_model(&device, model));
    }
}

const RUN: &str = "--set protocol.base_epochs=5 --set fidelity=code";
const REDO: &str =
    "--set intervention.method=redo --set intervention.redo.interval=2 --set intervention.redo.threshold=0.6";

/// Goes on until before step `stop_at`, or to the end; what lies in the run folder then.
fn go_on(config: &Config, out: &Path, stop_at: Option<u64>) -> (Vec<u8>, String) {
    let options = LoadOptions { train: 128, test: 32, ..LoadOptions::default() };
    let (device, data) = (Device::cpu(1).unwrap(), data::load("strokes", Path::new(""), &options).unwrap());
    let stop = AtomicBool::new(false);
    let (device, data, stop) = (&device, &data, &stop);
    let data_identity = &DataIdentity::of(data);
    let mut context = Context {
        device,
        config,
        data,
        data_identity,
        stop,
        stop_at,
        progress: &mut |_| {},
        note: &mut |_| {},
    };
    let outcome = phases::run(&mut context, out).unwrap();
    assert_eq!(outcome == Outcome::Interrupted, stop_at.is_some());
    let folder = lifecycle::path_of(config, out);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    (read("checkpoint.safetensors"), String::from_utf8(read("metrics.jsonl")).unwrap())
}

#[test]
fn a_run_is_the_same_whether_it_is_stopped_or_not() {
    // 6 epochs of 2 steps, then 6 of 4; recycling between epochs 2 and 3, 4 and 5.
    let sets = [
        "name=redo",
        "data.set=strokes",
        "data.train=128",
        "data.test=32",
        "model.hidden=[16,12]",
        "optimizer.batch=32",
        "protocol.ratios=[0.5,0.5]",
        "protocol.noise=[0.5,0]",
        "protocol.base_epochs=3",
        "protocol.evaluate_every=1",
        "protocol.indicators=true",
        "intervention.method=hare-tortoise+redo",
        "intervention.redo.interval=2",
        "intervention.redo.threshold=0.6",
    ];
    let config = Config::resolve(&sets.map(|set| parse_set(set).unwrap())).unwrap();
    let [whole, cut] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = go_on(&config, whole.path(), None);
    let dormant = |line: &str| line.parse::<serde_json::Value>().unwrap()["dormant_units"].as_u64();
    assert!(expected.1.lines().filter_map(dormant).any(|units| units > 0), "{}", expected.1);
    for step in 1..36 {
        go_on(&config, cut.path(), Some(step));
    }
    let stopped = go_on(&config, cut.path(), None);
    assert_eq!(stopped.1, expected.1);
    assert!(stopped.0 == expected.0, "the checkpoints differ");
}

#[test]
fn as_in_the_released_code_it_changes_nothing() {
    let place = Place::new();
    let plain = place.finish("plain", RUN);
    let logged = place.finish("code", &format!("{RUN} {REDO}"));
    let redone = place.finish("redo", &format!("{RUN} {REDO} --set intervention.redo.recycles=true"));
    let accuracies = |text: &str| -> Vec<(f64, bool)> {
        let lines = text.lines().map(|line| line.parse::<serde_json::Value>().unwrap());
        lines.filter_map(|l| Some((l["test_loss"].as_f64()?, l["dormant_units"].is_u64()))).collect()
    };
    let loss = |text: &str| accuracies(text).iter().map(|a| a.0).collect::<Vec<_>>();
    assert_eq!(loss(&plain.metrics), loss(&logged.metrics));
    assert!(
        accuracies(&logged.metrics).iter().all(|a| a.1) && accuracies(&plain.metrics).iter().all(|a| !a.1)
    );
    assert_ne!(loss(&redone.metrics), loss(&logged.metrics));
}
