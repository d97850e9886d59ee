//! Every optimiser as its launches, on the CPU and on a GPU adapter: a gradient of a sum of squares is followed down.

mod common;

use approx::relative_eq;
use engine::optim::{Adam, Optimizer, OptimizerMemory, RmsProp, Sgd};
use engine::{Clock, Device};
use kernels::Access;

/// A gradient that does not change, followed for ten steps: how far the first parameter moved.
fn moved(device: &Device, optimizer: &dyn Optimizer, states: &[&str]) -> engine::Result<f32> {
    let len = 100;
    let buffer = |name: &str, values: Vec<f32>| device.buffer_with(name, bytemuck::cast_slice(&values));
    let parameters = buffer("parameters", vec![1.0; len])?;
    let gradients = buffer("gradients", vec![0.5; len])?;
    let states: Vec<_> = states.iter().map(|name| device.buffer(name, len)).collect::<Result<_, _>>()?;
    let states: Vec<_> = states.iter().collect();
    let memory = OptimizerMemory {
        parameters: &parameters,
        gradients: &gradients,
        states: &states,
        clip: &device.buffer("clip", 2)?,
        ring: &device.buffer("ring", 4)?,
        ring_rows: 1,
        row_words: 4,
    };
    let program = device.compile(optimizer.launches(len, &memory))?;
    for t in 1..=10 {
        let mut clock = Clock::default();
        optimizer.set_clock(&mut clock, t, 1e-2);
        program.run(&clock)?;
    }
    Ok(1.0 - device.read_f32(&parameters.all())?[0])
}

#[test]
fn each_optimizer_moves_by_its_formula_and_names_its_states() {
    // Of a constant gradient Adam makes steps of lr; SGD sums up lr g (1 + 0.9 + ...), with the norm of 5 clipped to 2.5;
    // RMSProp divides by sqrt(1 - 0.99^t).
    let sgd: f64 = (1..=10).map(|t| 1e-2 * 0.25 * (1.0 - 0.9f64.powi(t)) / 0.1).sum();
    let rmsprop: f64 = (1..=10).map(|t| 1e-2 / (1.0 - 0.99f64.powi(t)).sqrt()).sum();
    let deviation = |t| (1.0 - 0.99f64.powi(t) - (1.0 - 0.99f64.powi(t)).powi(2)).sqrt();
    let centered: f64 = (1..=10).map(|t| 1e-2 / deviation(t)).sum();
    let optimizers: [(&dyn Optimizer, f64); 5] = [
        (&Adam::adamw(0.0), 0.1),
        (&Adam::default(), 0.1),
        (&Sgd { momentum: 0.9, clip: Some(2.5), ..Sgd::default() }, sgd),
        (&RmsProp::default(), rmsprop),
        (&RmsProp { centered: true, ..RmsProp::default() }, centered),
    ];
    for device in [Device::cpu(1).unwrap(), common::gpu()] {
        for (optimizer, expected) in optimizers {
            let kernel = optimizer.update(100);
            let written = kernel.bindings().into_iter().filter(|binding| binding.access != Access::Read);
            let written: Vec<_> = written.map(|binding| binding.name).skip(1).collect();
            assert_eq!(optimizer.states(), written, "{kernel:?}");
            let moved = f64::from(moved(&device, optimizer, optimizer.states()).unwrap());
            assert!(
                relative_eq!(moved, expected, max_relative = 1e-4),
                "{kernel:?}: {moved}, {expected} expected"
            );
        }
        let error = moved(&device, &Sgd::default(), &[]).unwrap_err();
        assert!(error.to_string().contains("4 buffers, 3 were given"), "{error}");
    }
}
