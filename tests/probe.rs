//! Probe tasks: what they measure, and that they measure the same again.

mod common;

use engine::optim::Adam;
use engine::{Device, Network};
use experiments::agents::Output;
use experiments::plasticity::{Look, Options, Probe, ProbeResult};
use kernels::case::test_values;
use kernels::categorical::Support;
use models::{Mlp, MlpConfig, Model};
use std::sync::Arc;

const INPUTS: usize = 70;

fn model(batch_norm: bool, outputs: usize) -> Mlp {
    Mlp::new(MlpConfig {
        classes: outputs,
        image_size: 6,
        channels: 1,
        hidden: vec![64, 64],
        batch_norm,
        ..MlpConfig::default()
    })
}

fn options() -> Options {
    Options {
        inputs: INPUTS,
        batch: 16,
        steps: 400,
        functions: 3,
        learning_rate: 2e-3,
        seed: 3,
        winograd: true,
    }
}

/// A probe on random inputs.
fn probe_of(device: &Device, model: &Mlp, output: Output, options: Options) -> Probe {
    let probe = Probe::new(device, (model, &output), options, Arc::new(Adam::default())).unwrap();
    let x = test_values(probe.inputs().words, 1);
    device.write(&probe.inputs().buffer, 0, bytemuck::cast_slice(&x)).unwrap();
    probe
}

fn probe(device: &Device, model: &Mlp, options: Options) -> Probe {
    probe_of(device, model, Output::Scalar, options)
}

/// A network with first values times a factor.
fn network(device: &Device, model: &Mlp, factor: f32) -> Network {
    let network = Network::new(device, "measured", model.parameters()).unwrap();
    let values: Vec<f32> = model.parameters().initial_values(9).iter().map(|w| w * factor).collect();
    network.write(device, &values, &model.parameters().initial_statistics(9)).unwrap();
    network
}

fn measure(probe: &mut Probe, network: &Network) -> ProbeResult {
    probe.measure(network, &mut |_| true).unwrap().unwrap()
}

fn fresh(probe: &mut Probe, seed: u32) -> ProbeResult {
    probe.measure_fresh(seed, &mut |_| true).unwrap().unwrap()
}

#[test]
fn a_fresh_network_learns_and_one_without_active_units_does_not() {
    let (device, model) = (Device::cpu(2).unwrap(), model(false, 3));
    let mut probe = probe(&device, &model, options());
    let fresh = fresh(&mut probe, 9);
    assert_eq!(fresh.functions.len(), 3);
    for function in &fresh.functions {
        assert!((function.variance - 0.5).abs() < 0.1, "of a sine: {}", function.variance);
        assert_eq!(function.curve.len(), 8);
        assert!(function.curve[7] < 0.5 * function.curve[0], "{:?}", function.curve);
    }
    approx::assert_relative_eq!(
        fresh.curve()[2],
        fresh.functions.iter().map(|function| function.curve[2]).sum::<f64>() / 3.0,
        max_relative = 1e-12
    );
    // All is 0: no unit is active and none gets a gradient, so only the last bias learns: the mean of each output.
    let dead = measure(&mut probe, &network(&device, &model, 0.0));
    assert!(
        fresh.plasticity() > 0.25 && dead.plasticity() < 0.1,
        "{} {}",
        fresh.plasticity(),
        dead.plasticity()
    );
    approx::assert_relative_eq!(dead.loss() + dead.plasticity(), 0.5, epsilon = 0.1);
}

#[test]
fn results_are_paired_repeat_and_leave_the_network_as_it_is() {
    let model = model(true, 3);
    let options = Options { steps: 60, ..options() };
    let results = [1, 2].map(|threads| {
        let device = Device::cpu(threads).unwrap();
        let (mut probe, network) = (probe(&device, &model, options), network(&device, &model, 1.0));
        let read = || {
            let [p, s] = [&network.parameters, &network.statistics];
            [device.read(p, 0..p.words()).unwrap(), device.read(s, 0..s.words()).unwrap()]
        };
        let before = read();
        let first = measure(&mut probe, &network);
        assert_eq!(read(), before);
        assert_ne!(fresh(&mut probe, 10), first);
        let allocated = probe.allocated_bytes();
        assert_eq!(measure(&mut probe, &network), first);
        assert_eq!(fresh(&mut probe, 9), first, "the same values");
        assert_eq!(probe.allocated_bytes(), allocated);
        first
    });
    assert_eq!(results[0], results[1], "one after another, and side by side");
    let device = Device::cpu(2).unwrap();
    let other = fresh(&mut probe(&device, &model, Options { seed: 4, ..options }), 9);
    assert_ne!(other, results[0]);
    // Fewer functions are the first of more.
    let fewer = fresh(&mut probe(&device, &model, Options { functions: 2, ..options }), 9);
    assert_eq!(fewer.functions, results[0].functions[..2]);
}

#[test]
fn outputs_over_bins_learn_the_same_functions() {
    let device = Device::cpu(2).unwrap();
    let support = Support { bins: 21, smallest: -2.0, largest: 2.0 };
    let model = model(false, 3 * 21);
    let mut probe = probe_of(&device, &model, Output::TwoHot(support), options());
    let result = fresh(&mut probe, 9);
    assert!(result.functions.iter().all(|function| (function.variance - 0.5).abs() < 0.1));
    assert!(result.plasticity() > 0.25, "{}", result.plasticity());
}

#[test]
fn it_can_be_stopped_and_made_again() {
    let (device, model) = (Device::cpu(2).unwrap(), model(false, 3));
    let mut probe = probe(&device, &model, options());
    let mut asked = 0;
    let stopped = probe.measure_fresh(9, &mut |k| {
        asked += 1;
        assert!(k < 3);
        asked < 4
    });
    assert_eq!(stopped.unwrap(), None);
    let again = fresh(&mut probe, 9);
    assert_eq!(again, fresh(&mut self::probe(&device, &model, options()), 9));
}

#[test]
fn what_a_look_sees_is_what_it_should_be() {
    let (device, model) = (Device::cpu(1).unwrap(), model(false, 3));
    let inputs = device.buffer("inputs", INPUTS * 36).unwrap();
    device.write(&inputs, 0, bytemuck::cast_slice(&test_values(INPUTS * 36, 1))).unwrap();
    let network = network(&device, &model, 1.0);
    let look = Look::new(&device, &model, &network, (&inputs, INPUTS)).unwrap();
    let seen = look.look().unwrap();
    let values = model.parameters().initial_values(9);
    let norm = values.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    approx::assert_relative_eq!(seen.weight_norm, norm, max_relative = 1e-6);
    assert!((10.0..=64.0).contains(&seen.feature_rank), "{seen:?}");
    assert!(seen.weight_rank > 20.0 && seen.weight_rank < 64.0, "{seen:?}");
    assert!(seen.dead_units < 0.5, "{seen:?}");
    // A network of zeros: nothing is active, nothing has a rank.
    network.write(&device, &vec![0.0; values.len()], &model.parameters().initial_statistics(9)).unwrap();
    let dead = look.look().unwrap();
    assert_eq!(
        (dead.weight_norm, dead.feature_rank, dead.weight_rank, dead.dead_units),
        (0.0, 0.0, 0.0, 1.0)
    );
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let (device, model) = (Device::cpu(1).unwrap(), model(false, 3));
    let refused = |options| {
        Probe::new(&device, (&model, &Output::Scalar), options, Arc::new(Adam::default()))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(Options { inputs: 0, ..options() }).contains("0 inputs"));
    assert!(refused(Options { batch: 0, ..options() }).contains("0 rows of a batch"));
    assert!(refused(Options { steps: 0, ..options() }).contains("0 steps"));
    assert!(refused(Options { functions: 0, ..options() }).contains("0 functions"));
    let mut probe = probe(&device, &model, options());
    let larger = Mlp::new(MlpConfig::default());
    let error = probe.measure(&network(&device, &larger, 1.0), &mut |_| true).unwrap_err().to_string();
    assert!(error.contains("a network of"), "{error}");
    let broken = network(&device, &model, f32::NAN);
    let error = probe.measure(&broken, &mut |_| true).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

#[test]
fn a_gpu_gets_the_functions_of_the_cpu() {
    let gpu = Device::open(common::wgsl_device(), 0).unwrap();
    let (cpu, model) = (Device::cpu(2).unwrap(), model(false, 3));
    let options = Options { steps: 51, functions: 1, ..options() };
    let [on_gpu, on_cpu] = [&gpu, &cpu].map(|device| fresh(&mut probe(device, &model, options), 9));
    let [gpu, cpu] = [&on_gpu.functions[0], &on_cpu.functions[0]];
    // The same numbers around the same offset, which is a mean of predictions.
    approx::assert_relative_eq!(gpu.variance, cpu.variance, max_relative = 1e-5);
    approx::assert_relative_eq!(gpu.curve[0], cpu.curve[0], max_relative = 1e-4);
    approx::assert_relative_eq!(gpu.loss, cpu.loss, max_relative = 1e-2);
}
