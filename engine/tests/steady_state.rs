//! In the steady state of training, a CPU replay allocates nothing from the heap: a test binary of its own, because it
//! counts every allocation of the process.

mod common;

use common::network::{Forward, Network, batch_norm, bias, weight};
use engine::layers::LayerNorm;
use engine::optim::{AdamW, AdamWMemory, METRICS};
use engine::{Activation, Clock, Device, Parameters};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

/// A whole training step, replayed: nothing is created, uploaded or read back, and on the CPU nothing is allocated.
fn check(device: &Device, width: usize, replays: u32) {
    let network = network(width);
    let loaded = network.load(device, true).unwrap();
    let words = network.parameters.words();
    let optimizer = AdamW { clip: Some(0.5), ..AdamW::default() };
    let buffer = |name, words| device.buffer(name, words).unwrap();
    let mut launches = loaded.launches.clone();
    launches.extend(optimizer.launches(
        words,
        &AdamWMemory {
            parameters: &loaded.values,
            gradients: &loaded.gradients,
            exp_avg: &buffer("exp_avg", words),
            exp_avg_sq: &buffer("exp_avg_sq", words),
            clip: &buffer("clip", 2),
            ring: &buffer("ring", 8 * METRICS),
            ring_rows: 8,
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
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    for step in 1..replays {
        run(step);
    }
    device.finish().unwrap();
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
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
    check(&Device::cpu(2), 33, 1000);
    // Wide enough that the kernels use both threads.
    check(&Device::cpu(2), 300, 50);
    check(&common::gpu(), 33, 50);
    // The counter does count.
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before);
}
