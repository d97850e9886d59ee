//! What keeps an agent's network plastic does what its formula says, and nothing else: every method against a learner without
//! one on the same transitions.

use data::{Images, LoadOptions};
use engine::Device;
use engine::checkpoint::{File, StoredValues};
use experiments::agents::{Learner, Method, Options, Output, RING_ROWS, Target};
use kernels::categorical::Support;
use models::{Cnn, CnnConfig, Mlp, MlpConfig, Model, ResNet, ResNetConfig, VitBlock, VitBlockConfig};
use std::path::Path;

const ACTIONS: usize = 10;
/// Updates between two target updates.
const PERIOD: u64 = 5;
const AVERAGE: Target = Target::Average { momentum: 0.9 };
const TWO_HOT: Output = Output::TwoHot(Support { bins: 7, smallest: -1.0, largest: 5.0 });
const METHODS: [Method; 7] = [
    Method::None,
    Method::LastLayerReset,
    Method::ShrinkPerturb { keep: 0.8, perturb: 0.2 },
    Method::OptimizerReset,
    Method::WeightDecay { strength: 1e-3 },
    Method::Redo { threshold: 0.5 },
    Method::HareTortoise { reset_interval: 3 },
];

fn images() -> Images {
    let load = LoadOptions { train: 30, test: 10, ..LoadOptions::default() };
    data::load("strokes", Path::new(""), &load).unwrap().train
}

fn mlp(config: MlpConfig) -> Mlp {
    let images = images();
    let (image_size, channels, hidden) = (images.height, images.channels, vec![16, 12]);
    Mlp::new(MlpConfig { image_size, channels, hidden, batch_norm: false, ..config })
}

fn plain() -> Mlp {
    mlp(MlpConfig::default())
}

fn options(method: Method) -> Options {
    let target = if matches!(method, Method::HareTortoise { .. }) { AVERAGE } else { Target::Copy };
    let (batch, capacity, learning_starts, target_period) = (8, 50, 8, PERIOD);
    Options { batch, capacity, learning_starts, target_period, target, method, ..Options::default() }
}

/// A learner with 40 transitions.
fn learner_on(device: &Device, model: &dyn Model, options: Options) -> experiments::Result<Learner> {
    let images = images();
    let mut learner = Learner::new(device, model, &images, options, 3)?;
    for i in 0..40 {
        learner.append(&transition(i)).unwrap();
    }
    Ok(learner)
}

/// From image i to image 7 i.
fn transition(i: u32) -> [u32; 5] {
    [i % 30, 7 * i % 30, i % ACTIONS as u32, ((i % 3) as f32).to_bits(), u32::from(i % 5 == 0)]
}

fn learner(model: &dyn Model, options: Options) -> Learner {
    learner_on(&Device::cpu(2).unwrap(), model, options).unwrap()
}

fn update(learner: &mut Learner, updates: u64) {
    for _ in 0..updates {
        learner.update().unwrap();
    }
}

/// Everything that a learner keeps, by name.
fn state(learner: &Learner) -> File {
    let mut file = File::default();
    learner.save(&mut file).unwrap();
    file
}

fn floats<'a>(file: &'a File, name: &str) -> &'a [f32] {
    match &file.tensors.get(name).unwrap_or_else(|| panic!("no {name}")).values {
        StoredValues::F32(values) => values,
        StoredValues::Integers(_) => panic!("{name} holds integers"),
    }
}

/// The tensors behind a prefix with their names.
fn behind<'a>(file: &'a File, prefix: &str) -> Vec<(&'a str, &'a [f32])> {
    let names = file.tensors.keys().filter_map(|name| name.strip_prefix(prefix));
    names.map(|name| (name, floats(file, &format!("{prefix}{name}")))).collect()
}

/// The state after so many updates with a method, and without.
fn with_and_without(method: Method, updates: u64) -> [File; 2] {
    let target = options(method).target;
    [options(method), Options { target, ..options(Method::None) }].map(|options| {
        let mut learner = learner(&plain(), options);
        update(&mut learner, updates);
        state(&learner)
    })
}

/// `1 / sqrt(fan_in)` of the layers of [`plain`].
fn bound(name: &str) -> f32 {
    let inputs = if name.contains("fc1") { 784 } else { 16 };
    1.0 / (if name.starts_with("head") { 12 } else { inputs } as f32).sqrt()
}

#[test]
fn nothing_happens_before_a_methods_time_has_come() {
    for method in METHODS.into_iter().filter(|method| !matches!(method, Method::WeightDecay { .. })) {
        let [with, without] = with_and_without(method, 2);
        assert_eq!(with, without, "{method:?}");
    }
}

#[test]
fn a_last_layer_reset_draws_the_last_layer_and_leaves_the_rest_and_the_target() {
    let [with, without] = with_and_without(Method::LastLayerReset, PERIOD);
    for (name, tensor) in &with.tensors {
        let reset = ["online.head.", "exp_avg.head.", "exp_avg_sq.head."];
        let is_reset = reset.iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(*tensor != without.tensors[name], is_reset, "{name}");
        if is_reset && !name.starts_with("online.") {
            assert!(floats(&with, name).iter().all(|&moment| moment == 0.0), "{name}");
        }
    }
    let model = plain();
    let first = model.parameters().export(&model.parameters().initial_values(3));
    for (name, drawn) in behind(&with, "online.head.") {
        let first = &first.iter().find(|(first, ..)| *first == format!("head.{name}")).unwrap().2;
        assert!(drawn.iter().all(|w| w.abs() <= bound("head")) && drawn != first, "{name}");
    }
    // The target took over what the online network had learned.
    assert_eq!(behind(&with, "target."), behind(&without, "online."));
    let [again, _] = with_and_without(Method::LastLayerReset, 2 * PERIOD);
    assert_ne!(floats(&again, "online.head.fc.bias"), floats(&with, "online.head.fc.bias"));
}

#[test]
fn shrink_and_perturb_adds_fresh_weights() {
    for (keep, perturb) in [(0.5, 0.0), (0.8, 0.2), (0.0, 1.0)] {
        let [with, without] = with_and_without(Method::ShrinkPerturb { keep, perturb }, PERIOD);
        for ((name, after), (_, before)) in
            behind(&with, "online.").into_iter().zip(behind(&without, "online."))
        {
            let fresh: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - keep as f32 * b).collect();
            let most = perturb as f32 * bound(name) + 1e-6;
            assert!(fresh.iter().all(|w| w.abs() <= most), "{name}");
            // Uniform within the bound: a third of its square is the mean square.
            if fresh.len() > 1000 && perturb > 0.0 {
                let square = fresh.iter().map(|w| w * w).sum::<f32>() / fresh.len() as f32;
                approx::assert_relative_eq!(square, most * most / 3.0, max_relative = 0.05);
            }
        }
        for prefix in ["target.", "exp_avg.", "exp_avg_sq."] {
            assert_eq!(behind(&with, prefix), behind(&without, prefix));
        }
    }
}

#[test]
fn an_optimizer_reset_makes_the_next_step_a_first_step() {
    let [with, without] = with_and_without(Method::OptimizerReset, PERIOD);
    assert_eq!(behind(&with, "online."), behind(&without, "online."));
    for prefix in ["exp_avg.", "exp_avg_sq."] {
        assert!(behind(&with, prefix).iter().all(|(_, moments)| moments.iter().all(|&m| m == 0.0)));
    }
    // Adam's first step is the learning rate times the sign of the gradient.
    let [next, _] = with_and_without(Method::OptimizerReset, PERIOD + 1);
    let rate = options(Method::None).learning_rate as f32;
    let steps = behind(&next, "online.").into_iter().zip(behind(&with, "online."));
    let steps: Vec<f32> = steps
        .flat_map(|((_, after), (_, before))| after.iter().zip(before).map(|(a, b)| (a - b).abs()))
        .filter(|&step| step > 0.0)
        .collect();
    let whole = steps.iter().filter(|&&step| step > 0.99 * rate).count();
    assert!(steps.iter().all(|&step| step < 1.001 * rate) && 10 * whole > 9 * steps.len());
}

#[test]
fn weight_decay_is_in_the_gradient() {
    let strength = 0.5;
    let [with, without] = with_and_without(Method::WeightDecay { strength }, 1);
    let model = plain();
    for (name, _, first) in model.parameters().export(&model.parameters().initial_values(3)) {
        let moments = [&with, &without].map(|file| floats(file, &format!("exp_avg.{name}")));
        for ((with, without), w) in moments[0].iter().zip(moments[1]).zip(first) {
            // exp_avg = (1 - beta1) gradient after one step.
            approx::assert_abs_diff_eq!(with - without, 0.1 * strength as f32 * w, epsilon = 1e-6);
        }
    }
}

#[test]
fn redo_recycles_what_is_dormant_and_nothing_else() {
    // Unit 3 of the first layer never puts out anything.
    let dead = |method| {
        let mut learner = learner(&plain(), options(method));
        update(&mut learner, 1);
        let mut file = state(&learner);
        for name in ["online.backbone.fc1.bias", "target.backbone.fc1.bias"] {
            let StoredValues::F32(bias) = &mut file.tensors.get_mut(name).unwrap().values else { panic!() };
            bias[3] = -100.0;
        }
        learner.load(&file, 1).unwrap();
        update(&mut learner, PERIOD - 1);
        state(&learner)
    };
    let (with, without) = (dead(Method::Redo { threshold: 0.0 }), dead(Method::None));
    // On eight images other units put out nothing either.
    let recycled = |layer: &str| {
        let name = format!("online.backbone.{layer}.bias");
        let pairs = floats(&with, &name).iter().zip(floats(&without, &name));
        pairs.map(|(after, before)| after != before).collect::<Vec<_>>()
    };
    let (first, second) = (recycled("fc1"), recycled("fc2"));
    assert!(first[3] && first.contains(&false) && second.contains(&false));
    for ((name, after), (_, before)) in behind(&with, "online.").into_iter().zip(behind(&without, "online."))
    {
        for (index, (&after, &before)) in after.iter().zip(before).enumerate() {
            let (drawn, zero) = match name {
                "backbone.fc1.weight" => (first[index / 784], false),
                "backbone.fc1.bias" => (false, first[index]),
                "backbone.fc2.weight" => (second[index / 16], first[index % 16]),
                "backbone.fc2.bias" => (false, second[index]),
                "head.fc.weight" => (false, second[index % 12]),
                _ => (false, false),
            };
            match (zero, drawn) {
                (true, _) => assert_eq!(after, 0.0, "{name} {index}"),
                (false, true) => assert!(after != before && after.abs() <= bound(name), "{name} {index}"),
                (false, false) => assert_eq!(after, before, "{name} {index}"),
            }
            let moments = ["exp_avg", "exp_avg_sq"].map(|of| floats(&with, &format!("{of}.{name}"))[index]);
            assert!(!(zero || drawn) || moments == [0.0; 2], "moments of {name} {index}");
        }
    }
    assert_eq!(behind(&with, "target."), behind(&without, "target."));
}

#[test]
fn a_hare_is_set_back_to_its_average() {
    let method = Method::HareTortoise { reset_interval: 3 };
    let mut hare = learner(&plain(), options(method));
    let mut average = floats(&state(&hare), "target.backbone.fc2.weight").to_vec();
    for done in 1..=3 {
        update(&mut hare, 1);
        let now = state(&hare);
        let online = floats(&now, "online.backbone.fc2.weight");
        let target = floats(&now, "target.backbone.fc2.weight");
        if done == 3 {
            assert_eq!(behind(&now, "online."), behind(&now, "target."));
            break;
        }
        for ((average, online), target) in average.iter_mut().zip(online).zip(target) {
            *average = 0.9 * *average + 0.1 * online;
            approx::assert_abs_diff_eq!(*average, *target, epsilon = 1e-7);
        }
        assert_ne!(online, target);
    }
    // The control has the same average and the same moments.
    let [with, without] = with_and_without(method, 3);
    for prefix in ["target.", "exp_avg.", "exp_avg_sq."] {
        assert_eq!(behind(&with, prefix), behind(&without, prefix));
    }
    assert_ne!(behind(&with, "online."), behind(&without, "online."));
}

/// Networks that outputs of some width are asked of.
fn networks(width: usize) -> Vec<Box<dyn Model>> {
    let images = images();
    let (image_size, channels, classes) = (images.height, images.channels, ACTIONS * width);
    let cnn =
        CnnConfig { image_size, channels, classes, width: 4, hidden: vec![12, 8], ..CnnConfig::default() };
    let vit = VitBlockConfig {
        image_size,
        channels,
        classes,
        patch: 7,
        dim: 16,
        heads: 2,
        ..VitBlockConfig::default()
    };
    vec![
        Box::new(mlp(MlpConfig { classes, ..MlpConfig::default() })),
        Box::new(mlp(MlpConfig { classes, layer_norm: true, spectral_norm: true, ..MlpConfig::default() })),
        Box::new(Cnn::new(cnn.clone())),
        Box::new(Cnn::new(CnnConfig { layer_norm: true, spectral_norm: true, ..cnn })),
        Box::new(VitBlock::new(vit)),
        Box::new(resnet(classes)),
    ]
}

fn resnet(classes: usize) -> ResNet {
    let images = images();
    let (image_size, channels) = (images.height, images.channels);
    ResNet::new(ResNetConfig {
        image_size,
        channels,
        classes,
        width: 8,
        head_hidden: 32,
        ..ResNetConfig::default()
    })
}

#[test]
fn every_method_with_every_output_is_the_same_on_any_number_of_threads_and_after_a_stop() {
    let devices = [1, 3].map(|threads| Device::cpu(threads).unwrap());
    let whole = |device: &Device, model: &dyn Model, options: Options| {
        let mut learner = learner_on(device, model, options).unwrap();
        update(&mut learner, 12);
        state(&learner)
    };
    let mut checked = 0;
    for output in [Output::Scalar, TWO_HOT] {
        for (index, model) in networks(output.width()).iter().enumerate() {
            // All methods with the first network, and the first and last with the others.
            for method in METHODS
                .into_iter()
                .filter(|m| index == 0 || matches!(m, Method::None | Method::HareTortoise { .. }))
            {
                let options = Options { output, double: index == 0, ..options(method) };
                let expected = whole(&devices[0], model.as_ref(), options);
                assert!(expected.all_finite(), "{method:?} {index}");
                assert_eq!(whole(&devices[1], model.as_ref(), options), expected, "{method:?} {index}");
                let mut stopped = learner_on(&devices[0], model.as_ref(), options).unwrap();
                update(&mut stopped, 7);
                let saved = state(&stopped);
                let mut resumed = learner_on(&devices[0], model.as_ref(), options).unwrap();
                resumed.load(&saved, 7).unwrap();
                update(&mut resumed, 5);
                assert_eq!(state(&resumed), expected, "{method:?} {index} resumed");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 2 * (7 + 5 * 2));
}

#[test]
fn the_replay_comes_back_whole() {
    let device = Device::cpu(2).unwrap();
    // Before the replay is full, when it is, and long after.
    for stop in [20, 50, 123] {
        let mut whole = Learner::new(&device, &plain(), &images(), options(Method::None), 3).unwrap();
        for i in 0..stop {
            whole.append(&transition(i)).unwrap();
        }
        let mut resumed = Learner::new(&device, &plain(), &images(), options(Method::None), 3).unwrap();
        let kept: Vec<u32> = (stop.saturating_sub(50)..stop).flat_map(transition).collect();
        assert!(resumed.refill(&kept[5..], u64::from(stop)).is_err());
        resumed.refill(&kept, u64::from(stop)).unwrap();
        for learner in [&mut whole, &mut resumed] {
            for i in stop..stop + 30 {
                learner.append(&transition(i)).unwrap();
                update(learner, 1);
            }
        }
        assert_eq!(state(&resumed), state(&whole), "stopped after {stop} steps");
    }
}

#[test]
fn batch_norm_takes_the_batch_in_updates_and_what_runs_in_acting_and_in_the_target() {
    let model = resnet(ACTIONS);
    let fresh = || learner(&model, options(Method::None));
    let moved = |prefix: &str| {
        let mut learner = fresh();
        let mut file = state(&learner);
        for (name, tensor) in &mut file.tensors {
            if let StoredValues::F32(values) = &mut tensor.values
                && name.starts_with(prefix)
                && name.ends_with("running_mean")
            {
                values.iter_mut().enumerate().for_each(|(i, mean)| *mean += 3.0 * (i % 3) as f32 - 3.0);
            }
        }
        learner.load(&file, 0).unwrap();
        let actions: Vec<u32> = (0..30).map(|image| learner.greedy_action(image).unwrap()).collect();
        assert_eq!(state(&learner), file, "acting changes nothing");
        update(&mut learner, 1);
        (actions, learner.diagnostics().unwrap())
    };
    let (actions, as_it_is) = moved("none.");
    let (other_actions, online_moved) = moved("online.");
    assert_eq!(online_moved, as_it_is);
    assert_ne!(other_actions, actions);
    let (same_actions, target_moved) = moved("target.");
    assert_eq!(same_actions, actions);
    assert_ne!(target_moved.loss, as_it_is.loss);

    // Updates move the online network's statistics, and the target takes them over when its time has come.
    let (name, mut learner) = ("backbone.bn1.running_mean", fresh());
    let statistics = |learner: &Learner| {
        let file = state(learner);
        ["online.", "target."].map(|network| floats(&file, &format!("{network}{name}")).to_vec())
    };
    let [first, _] = statistics(&learner);
    update(&mut learner, PERIOD - 1);
    let [online, target] = statistics(&learner);
    assert!(online != first && target == first);
    update(&mut learner, 1);
    let [online, target] = statistics(&learner);
    assert_eq!(online, target);
}

#[test]
fn the_ring_of_diagnostics_holds_what_each_update_saw() {
    let mut learner = learner(&plain(), options(Method::None));
    let mut seen = Vec::new();
    for _ in 0..RING_ROWS + 10 {
        update(&mut learner, 1);
        seen.push(learner.diagnostics().unwrap());
    }
    assert_eq!(learner.diagnostics_since(10).unwrap(), seen[10..]);
    assert_eq!(learner.diagnostics_since(learner.updates()).unwrap(), []);
    let refused = learner.diagnostics_since(9).unwrap_err().to_string();
    assert!(refused.contains("257 updates"), "{refused}");

    let [first, _] = with_and_without(Method::None, 1);
    let squares =
        behind(&first, "exp_avg.").into_iter().flat_map(|(_, m)| m.iter().map(|&m| f64::from(m).powi(2)));
    // exp_avg = (1 - beta1) gradient after one step.
    approx::assert_relative_eq!(
        seen[0].gradient_norm,
        10.0 * squares.sum::<f64>().sqrt(),
        max_relative = 1e-5
    );
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let device = Device::cpu(1).unwrap();
    let refusal =
        |model: &dyn Model, options: Options| learner_on(&device, model, options).unwrap_err().to_string();
    let normed = mlp(MlpConfig { layer_norm: true, ..MlpConfig::default() });
    let refused = refusal(&normed, options(Method::Redo { threshold: 0.1 }));
    assert!(refused.contains("redo") && refused.contains("layer normalisation"), "{refused}");
}
