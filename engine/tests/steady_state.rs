//! In the steady state of training, a CPU replay allocates nothing from the heap: a test binary of its own, because it
//! counts every allocation of the process.

#[path = "../../tests/common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
mod common;

use allocations::allocations;
use common::network::{Forward, Network, batch_norm, bias, filters, weight};
use engine::layers::LayerNorm;
use engine::optim::{Adam, Optimizer, OptimizerMemory};
use engine::{Activation, Clock, Device, Parameters};

/// A network with every kind of layer.
fn network(width: usize) -> Network {
    let mut parameters = Parameters::new();
    let (w, b) = (weight(&mut parameters, "fc1", [width, 20]), bias(&mut parameters, "fc1", width));
    let norm = batch_norm(&mut parameters, "bn1", width);
    let (v, c) = (weight(&mut parameters, "fc2", [width, width]), bias(&mut parameters, "fc2", width));
    let (u, d) = (weight(&mut parameters, "fc3", [10, width]), bias(&mut parameters, "fc3", 10));
    let qkv = weight(&mut parameters, "qkv", [24, width]);
    let proj = weight(&mut parameters, "proj", [width, 8]);
    let layer_norm = LayerNorm::new(&mut parameters, "backbone.norm", width);
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, w, Some(b), Activation::None)?;
        let x = graph.batch_norm(x, &norm, true, None)?;
        let x = graph.dropout(x, 0.1)?;
        let y = graph.linear(x, v, Some(c), Activation::Relu)?;
        let y = graph.add(x, y)?;
        let z = graph.linear(y, qkv, None, Activation::None)?;
        let z = graph.attention(z, 5, 2, 0.1)?;
        let z = graph.linear(z, proj, None, Activation::None)?;
        let (_, y) = layer_norm.add_forward(graph, y, z, 0.1)?;
        let y = graph.gelu(y, 0.1)?;
        graph.linear(y, u, Some(d), Activation::None)
    });
    Network::new(parameters, [65, 20], 10, 1, forward)
}

/// A residual network on images, with every kind of layer for them.
fn images() -> Network {
    let mut parameters = Parameters::new();
    let stem = filters(&mut parameters, "stem", [8, 3, 3]);
    let norms = [1, 2, 3].map(|k| batch_norm(&mut parameters, &format!("bn{k}"), 8));
    let (conv, shift) = (filters(&mut parameters, "conv", [8, 8, 3]), bias(&mut parameters, "conv", 8));
    let downsample = filters(&mut parameters, "downsample", [8, 8, 1]);
    let (w, b) = (weight(&mut parameters, "fc1", [20, 8]), bias(&mut parameters, "fc1", 20));
    let v = weight(&mut parameters, "fc2", [4, 40]);
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.reshape(x, &[16, 12, 12, 3])?;
        let z = graph.conv2d(x, stem, None, 1, 1)?;
        let y = graph.batch_norm(z, &norms[0], true, None)?;
        let x = graph.max_pool(y, 2, 2, 0)?;
        let z = graph.conv2d(x, downsample, None, 2, 0)?;
        let shortcut = graph.batch_norm(z, &norms[1], false, None)?;
        let z = graph.conv2d(x, conv, Some(shift), 2, 1)?;
        let y = graph.batch_norm(z, &norms[2], true, Some(shortcut))?;
        let x = graph.global_average_pool(y)?;
        let z = graph.linear(x, w, Some(b), Activation::None)?;
        let y = graph.crelu(z)?;
        graph.linear(y, v, None, Activation::None)
    });
    Network::new(parameters, [16, 12 * 12 * 3], 4, 2, forward)
}

/// A whole training step, replayed: nothing is created, uploaded or read back, and on the CPU nothing is allocated.
fn check(device: &Device, network: &Network, replays: u32) {
    let loaded = network.load(device, true).unwrap();
    let words = network.parameters.words();
    let optimizer = Adam { clip: Some(0.5), ..Adam::adamw(0.01) };
    let buffer = |name, words| device.buffer(name, words).unwrap();
    let mut launches = loaded.launches.clone();
    launches.extend(optimizer.launches(
        words,
        &OptimizerMemory {
            parameters: &loaded.values,
            gradients: &loaded.gradients,
            states: &[&buffer("exp_avg", words), &buffer("exp_avg_sq", words)],
            clip: &buffer("clip", 2),
            ring: &buffer("ring", 8 * 4),
            ring_rows: 8,
            row_words: 4,
        },
    ));
    let program = device.compile(launches).unwrap();
    let run = |step: u32| {
        let mut clock = Clock { step, slot: step % 8, ..Clock::default() };
        optimizer.set_clock(&mut clock, u64::from(step) + 1, 1e-2);
        program.run(&clock).unwrap();
    };
    let before = loaded.loss().unwrap();
    run(0);
    device.finish().unwrap();
    // A worker thread allocates its name when the system first lets it run, and so does the thread that waits for this
    // test: let them.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (counters, bytes) = (device.counters(), device.allocated_bytes());
    let allocated_before = allocations();
    for step in 1..replays {
        run(step);
    }
    device.finish().unwrap();
    let allocated = allocations() - allocated_before;
    assert_eq!(device.counters(), counters, "{}", device.name());
    assert_eq!(device.allocated_bytes(), bytes, "{}", device.name());
    if !device.is_gpu() {
        assert_eq!(allocated, 0, "heap allocations in {replays} replays");
    }
    let after = loaded.loss().unwrap();
    assert!(after < 0.5 * before, "{}: it does train: loss {before} to {after}", device.name());
}

// One test only: another one would allocate meanwhile.
#[test]
fn replays_create_upload_read_and_allocate_nothing() {
    check(&Device::cpu(2).unwrap(), &network(33), 1000);
    // Wide enough that the kernels use both threads.
    check(&Device::cpu(2).unwrap(), &network(300), 50);
    check(&Device::cpu(2).unwrap(), &images(), 100);
    let gpu = common::gpu();
    check(&gpu, &network(33), 50);
    check(&gpu, &images(), 50);
    // The counter does count.
    let before = allocations();
    drop(std::hint::black_box(vec![0u8; 100]));
    assert!(allocations() > before);
}
