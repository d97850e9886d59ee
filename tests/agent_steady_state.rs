//! The steady state of an agent: once warm, steps create nothing and allocate nothing, upload the new transition and what
//! is seen, and read the greedy action. Memory stays as it is, however long the run.

#[path = "common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
mod common;

use allocations::allocations;
use data::LoadOptions;
use engine::Device;
use environments::{AfterLast, ClassificationMdp, ClassificationOptions, Task};
use experiments::agents::Options;
use experiments::agents::dqn::Dqn;
use models::{Mlp, MlpConfig};
use std::path::Path;

fn agent(device: &Device, options: Options) -> Dqn {
    let load = LoadOptions { train: 60, test: 10, ..LoadOptions::default() };
    let images = data::load("strokes", Path::new(""), &load).unwrap().train;
    let model = Mlp::new(MlpConfig {
        classes: 10,
        image_size: images.height,
        channels: images.channels,
        hidden: vec![12, 8],
        batch_norm: false,
        ..MlpConfig::default()
    });
    let task = Task::Sparse { after_last: AfterLast::Wrap };
    let options_of_task = ClassificationOptions { task, classes: 10, images: None };
    let environment = ClassificationMdp::new(&images.labels, options_of_task, 1).unwrap();
    Dqn::new(device, &model, &images, Box::new(environment), options, 1).unwrap()
}

fn walk(agent: &mut Dqn, steps: std::ops::Range<u64>) {
    for step in steps {
        agent.step(step).unwrap();
    }
}

// One test: another beside it would allocate.
#[test]
fn an_agent_reaches_a_steady_state() {
    let options = |double| Options {
        batch: 8,
        capacity: 100,
        learning_starts: 50,
        target_period: 20,
        double,
        ..Options::default()
    };
    for (double, threads) in [(false, 1), (true, 2)] {
        let device = Device::cpu(threads).unwrap();
        let mut agent = agent(&device, options(double));
        walk(&mut agent, 0..300);
        let (counters, bytes, before) = (device.counters(), device.allocated_bytes(), allocations());
        walk(&mut agent, 300..2_300);
        assert_eq!(allocations() - before, 0, "double {double}: heap allocations in 2,000 steps");
        let after = device.counters();
        assert_eq!(after.objects, counters.objects);
        assert_eq!(device.allocated_bytes(), bytes);
        let (uploads, reads) = (after.uploads - counters.uploads, after.reads - counters.reads);
        // Nine tenths of the steps are greedy: those write what is seen and read an action; all write a transition.
        assert_eq!(uploads, 2_000 + reads);
        assert!((1_700..1_950).contains(&reads), "{reads} greedy actions");
    }
    let device = Device::open(common::wgsl_device(), 0).unwrap();
    let mut agent = agent(&device, options(false));
    walk(&mut agent, 0..80);
    let (counters, bytes) = (device.counters(), device.allocated_bytes());
    walk(&mut agent, 80..120);
    assert_eq!((device.counters().objects, device.allocated_bytes()), (counters.objects, bytes));
}
