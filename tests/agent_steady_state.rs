//! The steady state of an agent: once warm, steps create nothing and allocate nothing, upload the new transition and what
//! is seen, and read the greedy action. Memory stays as it is, however long the run.

#[path = "common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
mod common;

use allocations::allocations;
use data::LoadOptions;
use engine::Device;
use environments::{
    AfterLast, Catch, Chain, ChainOptions, ClassificationMdp, ClassificationOptions, Environment, Task,
};
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

/// An agent that sees pictures, or numbers, and learns over three steps, in episodes that are over or cut off.
fn agent_without_a_set(device: &Device, pictures: bool, options: Options) -> Dqn {
    let (environment, numbers): (Box<dyn Environment>, usize) = match pictures {
        true => (Box::new(Catch::new([11, 7], 1).unwrap()), 77),
        false => {
            let options = ChainOptions { states: 4, time_limit: Some(9), ..ChainOptions::default() };
            (Box::new(Chain::new(options, 1).unwrap()), 4)
        }
    };
    let model = Mlp::new(MlpConfig {
        classes: environment.actions() as usize,
        image_size: 1,
        channels: numbers,
        hidden: vec![12],
        batch_norm: false,
        ..MlpConfig::default()
    });
    let none = data::Images::none();
    Dqn::new(device, &model, &none, environment, Options { n_step: 3, ..options }, 1).unwrap()
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
    type Make = fn(&Device, Options) -> Dqn;
    let pictures: Make = |device, options| agent_without_a_set(device, true, options);
    let numbers: Make = |device, options| agent_without_a_set(device, false, options);
    for (double, threads, make) in
        [(false, 1, agent as Make), (true, 2, agent), (true, 1, pictures), (false, 1, numbers)]
    {
        let device = Device::cpu(threads).unwrap();
        let mut agent = make(&device, options(double));
        walk(&mut agent, 0..300);
        let (counters, bytes, before) = (device.counters(), device.allocated_bytes(), allocations());
        walk(&mut agent, 300..2_300);
        assert_eq!(allocations() - before, 0, "double {double}: heap allocations in 2,000 steps");
        let after = device.counters();
        assert_eq!(after.objects, counters.objects);
        assert_eq!(device.allocated_bytes(), bytes);
        let (uploads, reads) = (after.uploads - counters.uploads, after.reads - counters.reads);
        // Nine tenths of the steps are greedy: those write what is seen and read an action; all write a transition.
        // A transition over several steps may wait for the steps behind it.
        assert!(uploads.abs_diff(2_000 + reads) <= 2, "{uploads} uploads, {reads} reads");
        assert!((1_700..1_950).contains(&reads), "{reads} greedy actions");
    }
    let device = Device::open(common::wgsl_device(), 0).unwrap();
    let mut agent = agent(&device, options(false));
    walk(&mut agent, 0..80);
    let (counters, bytes) = (device.counters(), device.allocated_bytes());
    walk(&mut agent, 80..120);
    assert_eq!((device.counters().objects, device.allocated_bytes()), (counters.objects, bytes));
}
