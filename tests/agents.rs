//! Agents on classification tasks, against what is known exactly.

use data::LoadOptions;
use engine::Device;
use environments::{AfterLast, ClassificationMdp, ClassificationOptions, Exploration, Task};
use experiments::agents::dqn::Dqn;
use experiments::agents::{Method, Options, Output, Target};
use kernels::categorical::Support;
use models::{Mlp, MlpConfig};
use std::ops::Range;
use std::path::Path;

const CLASSES: usize = 10;

/// An agent on images of the built-in set, and the task that it is on.
fn agent(device: &Device, task: Task, options: Options, seed: u32) -> Dqn {
    let load = LoadOptions { train: 60, test: 10, ..LoadOptions::default() };
    let images = data::load("strokes", Path::new(""), &load).unwrap().train;
    let model = Mlp::new(MlpConfig {
        classes: CLASSES * options.output.width(),
        image_size: images.height,
        channels: images.channels,
        hidden: vec![64, 64],
        batch_norm: false,
        ..MlpConfig::default()
    });
    let task = ClassificationOptions { task, classes: CLASSES as u32, images: None };
    let environment = ClassificationMdp::new(&images.labels, task, u64::from(seed)).unwrap();
    Dqn::new(device, &model, &images, Box::new(environment), options, seed).unwrap()
}

fn quick(discount: f64) -> Options {
    Options {
        batch: 32,
        capacity: 5_000,
        learning_starts: 500,
        discount,
        target_period: 250,
        ..Options::default()
    }
}

/// Takes these steps and returns the sum of their rewards.
fn run(agent: &mut Dqn, steps: Range<u64>) -> f64 {
    steps.map(|step| f64::from(agent.step(step).unwrap().reward)).sum()
}

#[test]
fn values_grow_with_the_target_updates_as_the_formula_says() {
    // After k copies the target holds (1 - g^k) / (1 - g), once the policy is right; the online network learns the next.
    let (device, period) = (Device::cpu(2).unwrap(), 1_000);
    let options = Options { target_period: period, ..quick(0.8) };
    let mut agent = agent(&device, Task::True, options, 1);
    run(&mut agent, 0..499);
    for copies in 1..=12 {
        let end = 499 + copies as u64 * period;
        run(&mut agent, end - period..end - 20);
        let mut mean = 0.0;
        for step in end - 20..end {
            agent.step(step).unwrap();
            mean += agent.learner().diagnostics().unwrap().mean_max_q / 20.0;
        }
        if copies >= 8 {
            let expected = (1.0 - 0.8f64.powi(copies)) / 0.2;
            approx::assert_relative_eq!(mean, expected, max_relative = 0.03);
        }
    }
    let end = 499 + 12 * period;
    let reward = run(&mut agent, end..end + 1_000) / 1_000.0;
    // Nine tenths of the actions are greedy, a tenth of the others right by chance.
    assert!(reward > 0.88, "{reward} where .91 is the best");
}

#[test]
fn a_network_of_two_hot_outputs_has_the_same_values() {
    let (device, period) = (Device::cpu(2).unwrap(), 1_000);
    let output = Output::TwoHot(Support { bins: 11, smallest: -0.5, largest: 2.5 });
    let options = Options { target_period: period, output, ..quick(0.5) };
    let mut agent = agent(&device, Task::True, options, 1);
    run(&mut agent, 0..499);
    for copies in 1..=5 {
        let end = 499 + copies as u64 * period;
        run(&mut agent, end - period..end - 20);
        let mut mean = 0.0;
        for step in end - 20..end {
            agent.step(step).unwrap();
            mean += agent.learner().diagnostics().unwrap().mean_max_q / 20.0;
        }
        if copies >= 4 {
            approx::assert_relative_eq!(mean, (1.0 - 0.5f64.powi(copies)) / 0.5, max_relative = 0.03);
        }
    }
}

#[test]
fn on_the_sparse_task_the_agent_errs_on_purpose() {
    // Whoever is always right gets .091 per step, the best agent .1727.
    let device = Device::cpu(2).unwrap();
    let options = Options { target_period: 500, ..quick(0.9) };
    let mut agent = agent(&device, Task::Sparse { after_last: AfterLast::Wrap }, options, 1);
    run(&mut agent, 0..11_000);
    let reward = run(&mut agent, 11_000..17_000) / 6_000.0;
    assert!(reward > 0.9 * 0.1727, "{reward}");
}

#[test]
fn the_first_update_comes_when_it_should_and_one_per_step_follows() {
    let device = Device::cpu(1).unwrap();
    let mut agent = agent(&device, Task::Random, quick(0.9), 2);
    run(&mut agent, 0..499);
    assert_eq!(agent.learner().updates(), 0);
    run(&mut agent, 499..500);
    assert_eq!(agent.learner().updates(), 1);
    run(&mut agent, 500..520);
    assert_eq!(agent.learner().updates(), 21);
}

#[test]
fn a_run_is_a_function_of_its_seed_and_not_of_the_threads() {
    let bits = |threads, seed, double| {
        let device = Device::cpu(threads).unwrap();
        let task = Task::Sparse { after_last: AfterLast::Wrap };
        let mut agent = agent(&device, task, Options { double, ..quick(0.9) }, seed);
        run(&mut agent, 0..600);
        let online = agent.learner().online().parameters.clone();
        device.read(&online, 0..online.words()).unwrap()
    };
    let one = bits(1, 3, true);
    assert_eq!(one, bits(2, 3, true));
    assert_ne!(one, bits(1, 4, true));
    assert_ne!(one, bits(1, 3, false));
}

#[test]
fn what_cannot_work_is_refused_before_the_first_step() {
    let device = Device::cpu(1).unwrap();
    let refusal = |options: Options, classes: usize| {
        let load = LoadOptions { train: 40, test: 10, ..LoadOptions::default() };
        let images = data::load("strokes", Path::new(""), &load).unwrap().train;
        let model = Mlp::new(MlpConfig { classes, hidden: vec![8], ..MlpConfig::default() });
        let task = ClassificationOptions { task: Task::True, classes: 10, images: None };
        let environment = Box::new(ClassificationMdp::new(&images.labels, task, 1).unwrap());
        Dqn::new(&device, &model, &images, environment, options, 1).unwrap_err().to_string()
    };
    let with = |method| Options { method, ..quick(0.9) };
    let two_hot = |bins, largest| Output::TwoHot(Support { bins, smallest: 0.0, largest });
    for (message, options, classes) in [
        ("7 outputs, the environment 10 actions", quick(0.9), 7),
        ("a replay of 31 transitions cannot give batches of 32", Options { capacity: 31, ..quick(0.9) }, 10),
        ("a discount of 1", quick(1.0), 10),
        ("a target period of 0", Options { target_period: 0, ..quick(0.9) }, 10),
        (
            "7 outputs, the environment 10 actions with 51 bins each",
            Options {
                output: Output::TwoHot(Support { bins: 51, smallest: 0.0, largest: 110.0 }),
                ..quick(0.9)
            },
            7,
        ),
        ("1 bins from 0 to 1", Options { output: two_hot(1, 1.0), ..quick(0.9) }, 10),
        ("2 bins from 0 to NaN", Options { output: two_hot(2, f64::NAN), ..quick(0.9) }, 20),
        ("momentum 1:", Options { target: Target::Average { momentum: 1.0 }, ..quick(0.9) }, 10),
        ("keeps 1.5", with(Method::ShrinkPerturb { keep: 1.5, perturb: 0.1 }), 10),
        ("a fresh part of -1", with(Method::ShrinkPerturb { keep: 0.5, perturb: -1.0 }), 10),
        ("a strength of NaN", with(Method::WeightDecay { strength: f64::NAN }), 10),
        ("a threshold of inf", with(Method::Redo { threshold: f64::INFINITY }), 10),
        ("a target that is a copy", with(Method::HareTortoise { reset_interval: 10 }), 10),
        ("resets every 0 updates", with(Method::HareTortoise { reset_interval: 0 }), 10),
        ("no batch of 32 to draw", Options { learning_starts: 31, ..quick(0.9) }, 10),
    ] {
        let refused = refusal(options, classes);
        assert!(refused.contains(message), "{refused}");
    }
    assert!(Exploration::constant(1.5).is_err());
}
