//! Threads, stops, batch norm, what is recorded, what is refused.

use super::*;
use experiments::agents::{Output, RING_ROWS};
use kernels::categorical::Support;
use models::{Cnn, CnnConfig, ResNet, ResNetConfig, VitBlock, VitBlockConfig};

const TWO_HOT: Output = Output::TwoHot(Support { bins: 7, smallest: -1.0, largest: 5.0 });

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
fn the_shaders_give_the_losses_of_the_cpu_and_the_same_bits_twice() {
    let gpu = Device::open("gpu", 0).or_else(|_| Device::open("llvmpipe", 0)).unwrap();
    let models = networks(TWO_HOT.width());
    let runs = [
        // Layer norm and spectral norm, convolutions, batch norm.
        (1, Method::ShrinkPerturb { keep: 0.8, perturb: 0.2 }),
        (2, Method::Redo { threshold: 0.0 }),
        (5, Method::HareTortoise { reset_interval: 3 }),
    ];
    for (index, method) in runs {
        let options = Options { output: TWO_HOT, ..options(method) };
        let run = |device: &Device| {
            let mut learner = learner_on(device, models[index].as_ref(), options).unwrap();
            update(&mut learner, 7);
            let actions: Vec<u32> = (0..5).map(|image| learner.greedy_action(&[image]).unwrap()).collect();
            (learner.diagnostics_since(0).unwrap(), state(&learner), actions)
        };
        let (seen, _, _) = run(&Device::cpu(2).unwrap());
        let (first, again) = (run(&gpu), run(&gpu));
        assert_eq!(first, again, "{method:?}");
        for (cpu, gpu) in seen.iter().zip(&first.0) {
            approx::assert_relative_eq!(cpu.loss, gpu.loss, max_relative = 1e-3);
            approx::assert_relative_eq!(cpu.mean_max_q, gpu.mean_max_q, max_relative = 1e-2, epsilon = 1e-3);
            approx::assert_relative_eq!(cpu.gradient_norm, gpu.gradient_norm, max_relative = 1e-2);
        }
    }
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
        let actions: Vec<u32> = (0..30).map(|image| learner.greedy_action(&[image]).unwrap()).collect();
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
