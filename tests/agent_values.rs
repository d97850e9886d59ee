//! Agents on tasks whose values are known exactly, by value iteration: a chain of numbers, and Catch in pictures.

mod common;

use approx::abs_diff_eq;
use data::Images;
use engine::{Device, Graph, Memory, Plan, Workspace};
use environments::{
    Catch, Chain, ChainOptions, Environment, Exploration, Finite, Observation, ObservationKind, Step,
};
use experiments::agents::dqn::Dqn;
use experiments::agents::{Options, Output};
use kernels::categorical::Support;
use models::{Cnn, CnnConfig, Mlp, MlpConfig, Model};
use std::sync::Arc;

const DISCOUNT: f64 = 0.9;
const STATES: usize = 5;
/// Bins for returns of 0 to 1.
const BINS: Support = Support { bins: 21, smallest: 0.0, largest: 1.0 };

fn no_images() -> Images {
    let (height, width, channels, classes) = (0, 0, 0, 0);
    let (name, pixels, labels) = ("none".into(), Arc::default(), Vec::new());
    Images { name, height, width, channels, classes, pixels, labels }
}

/// A network that sees so many numbers.
fn mlp(numbers: usize, outputs: usize) -> Mlp {
    let (image_size, channels, classes, hidden) = (1, numbers, outputs, vec![64]);
    Mlp::new(MlpConfig { image_size, channels, classes, hidden, batch_norm: false, ..MlpConfig::default() })
}

fn chain(slip: f64, time_limit: Option<u32>) -> Chain {
    Chain::new(ChainOptions { states: STATES as u32, slip, time_limit }, 3).unwrap()
}

fn options(epsilon: f64) -> Options {
    Options {
        batch: 64,
        capacity: 3_000,
        learning_starts: 200,
        discount: DISCOUNT,
        target_period: 100,
        exploration: Exploration::constant(epsilon).unwrap(),
        ..Options::default()
    }
}

/// What the online network says of the actions where it sees these pictures or numbers, one after the other.
fn values(device: &Device, agent: &Dqn, model: &dyn Model, output: Output, seen: &[f32]) -> Vec<Vec<f64>> {
    let input = model.input();
    let rows = seen.len() / (input.image_size * input.image_size * input.channels);
    let mut graph = Graph::evaluation(model.parameters());
    let x = graph.input("x", &[rows, input.image_size, input.image_size, input.channels]);
    let mut outputs = model.forward(&mut graph, x).unwrap();
    if let Output::TwoHot(support) | Output::Categorical(support) = output {
        let logits = graph.reshape(outputs, &[rows, input.classes / support.bins, support.bins]).unwrap();
        outputs = graph.expected_value(logits, support).unwrap();
    }
    graph.output("q", outputs);
    let buffer = device.buffer_with("seen", bytemuck::cast_slice(seen)).unwrap();
    let memory = Memory {
        networks: &[(agent.learner().online(), None)],
        inputs: &[("x", buffer.slice(0, seen.len()))],
    };
    let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default()).unwrap();
    let q = bound.outputs["q"].clone();
    device.compile(bound.launches).unwrap().run(&engine::Clock::default()).unwrap();
    let q = device.read_f32(&q).unwrap();
    q.chunks(q.len() / rows).map(|row| row.iter().copied().map(f64::from).collect()).collect()
}

fn take(agent: &mut Dqn, steps: std::ops::Range<u64>) {
    for step in steps {
        agent.step(step).unwrap();
    }
}

/// Q of a chain's states after so many steps of an agent.
fn learnt(task: impl Environment + 'static, options: Options, steps: u64) -> Vec<Vec<f64>> {
    let device = Device::cpu(2).unwrap();
    let model = mlp(STATES, 2 * options.output.width());
    let mut agent = Dqn::new(&device, &model, &no_images(), Box::new(task), options, 1).unwrap();
    take(&mut agent, 0..steps);
    let one_hot: Vec<f32> =
        (0..STATES * STATES).map(|i| f32::from(u8::from(i / STATES == i % STATES))).collect();
    values(&device, &agent, &model, options.output, &one_hot)
}

fn largest_difference(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_way_of_learning_has_the_values_of_value_iteration() {
    let optimum = chain(0.0, None).model().optimum(DISCOUNT).unwrap();
    let one_step = options(0.3);
    let [two_hot, c51] = [Output::TwoHot(BINS), Output::Categorical(BINS)];
    for (name, options) in [
        ("DQN", one_step),
        ("double Q", Options { double: true, ..one_step }),
        ("two-hot", Options { output: two_hot, ..one_step }),
        ("C51", Options { output: c51, ..one_step }),
        ("C51, double Q", Options { output: c51, double: true, ..one_step }),
    ] {
        let found = learnt(chain(0.0, None), options, 8_000);
        let difference = largest_difference(&found, &optimum.action_values);
        println!("{name}: {difference:.5}");
        assert!(difference < 0.01, "{name}: {found:.3?} where {optimum:.3?} is exact");
    }
    // Over several steps targets are those of the actions that were taken: the best ones, once nothing is random.
    let three_steps = Options {
        n_step: 3,
        exploration: Exploration::linear(1.0, 0.0, 1_000, 3_000).unwrap(),
        ..options(0.0)
    };
    for (name, options) in [
        ("over 3 steps", three_steps),
        ("C51, double Q, over 3 steps", Options { output: c51, double: true, ..three_steps }),
    ] {
        let largest = |row: &Vec<f64>| vec![f64::max(row[0], row[1])];
        let found: Vec<_> = learnt(chain(0.0, None), options, 10_000).iter().map(largest).collect();
        let expected: Vec<_> = optimum.action_values.iter().map(largest).collect();
        let difference = largest_difference(&found, &expected);
        println!("{name}: {difference:.5}");
        assert!(difference < 0.01, "{name}: {found:.3?} where {expected:.3?} is exact");
    }
}

/// A chain that calls a cut an end.
struct MixedUp(Chain);

impl Environment for MixedUp {
    fn description(&self) -> String {
        self.0.description()
    }
    fn actions(&self) -> u32 {
        self.0.actions()
    }
    fn terminates(&self) -> bool {
        true
    }
    fn observation_kind(&self) -> ObservationKind {
        self.0.observation_kind()
    }
    fn observation(&self) -> Observation<'_> {
        self.0.observation()
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn step(&mut self, action: u32) -> environments::Result<Step> {
        let step = self.0.step(action)?;
        Ok(Step { terminated: step.is_last(), truncated: false, ..step })
    }
    fn save(&self) -> Vec<u8> {
        self.0.save()
    }
    fn restore(&mut self, saved: &[u8]) -> environments::Result<()> {
        self.0.restore(saved)
    }
}

#[test]
fn an_episode_that_is_cut_off_keeps_the_values_of_the_endless_task() {
    // All actions are random, and every seventh step is the last one of its episode. Over several steps targets are those of
    // the actions that were taken: where moves slip half of the time, all actions are as good, but targets are noisy.
    for (n_step, slip, tolerance) in [(1, 0.0, 0.01), (3, 0.5, 0.06)] {
        let options = Options { n_step, capacity: 20_000, ..options(1.0) };
        let exact = chain(slip, None).model().optimum(DISCOUNT).unwrap().action_values;
        let found = learnt(chain(slip, Some(7)), options, 16_000);
        let difference = largest_difference(&found, &exact);
        println!("{n_step} steps: {difference:.4}");
        assert!(difference < tolerance, "{n_step}: {found:.3?} where {exact:.3?} is exact");
        // An agent that mixes up the two ends is far off.
        let mixed = learnt(MixedUp(chain(slip, Some(7))), options, 16_000);
        let difference = largest_difference(&mixed, &exact);
        println!("mixed up: {difference:.4}");
        assert!(difference > 2.0 * tolerance, "{n_step}: {mixed:.3?} where {exact:.3?} is exact");
    }
}

/// The mean return of an agent that always takes the action which its network finds best, over all balls: exact.
fn greedy_return(device: &Device, agent: &Dqn, model: &dyn Model, size: [usize; 2]) -> f64 {
    let mut game = Catch::new(size, 1).unwrap();
    let mut returns = std::collections::BTreeMap::new();
    while returns.len() < 5 {
        let ball = game.state().unwrap();
        let back = loop {
            let Observation::Pixels(pixels) = game.observation() else { unreachable!() };
            let seen: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            let q = values(device, agent, model, Output::Scalar, &seen).remove(0);
            let best = (0..3).max_by(|&a, &b| q[a].total_cmp(&q[b])).unwrap();
            let step = game.step(best as u32).unwrap();
            if step.terminated {
                break f64::from(step.reward);
            }
        };
        returns.insert(ball, back);
        game.reset();
    }
    returns.values().sum::<f64>() / 5.0
}

#[test]
fn catch_is_solved() {
    let device = Device::cpu(2).unwrap();
    let (game, model) = (Catch::new(Catch::BOARD, 1).unwrap(), mlp(50, 3));
    let mdp = game.model();
    let options = Options { n_step: 3, double: true, batch: 32, discount: 1.0, ..options(0.1) };
    let mut agent = Dqn::new(&device, &model, &no_images(), Box::new(game), options, 1).unwrap();
    take(&mut agent, 0..15_000);
    assert_eq!(greedy_return(&device, &agent, &model, Catch::BOARD), 1.0);
    // With every tenth action random it earns what a policy does that catches every ball without, or more: such a policy may
    // move early or late, and the late one is hit hardest.
    let earned: f32 = (15_000..20_000).map(|step| agent.step(step).unwrap().reward).sum();
    let late = mdp.optimum(0.99).unwrap();
    let share = f64::from(earned) / 5_000.0 / mdp.reward_per_step(&mdp.epsilon_greedy(&late.actions, 0.1));
    println!("{share:.4} of the late policy");
    assert!(share > 0.95, "{share} of the late policy");
}

#[test]
fn the_shaders_learn_from_pictures_and_numbers_as_the_cpu_does() {
    let cnn = CnnConfig { classes: 3, image_size: 20, width: 4, hidden: vec![8], ..CnnConfig::default() };
    let cnn = Cnn::new(cnn);
    let (board, numbers) = (mlp(50, 3), mlp(STATES, 2));
    let models: [&dyn Model; 3] = [&cnn, &board, &numbers];
    let task = |index| -> Box<dyn Environment> {
        match index {
            0 => Box::new(Catch::new([20, 20], 1).unwrap()),
            1 => Box::new(Catch::new(Catch::BOARD, 1).unwrap()),
            _ => Box::new(chain(0.0, Some(9))),
        }
    };
    for (index, model) in models.into_iter().enumerate() {
        let options = Options {
            batch: 8,
            capacity: 40,
            learning_starts: 20,
            target_period: 5,
            n_step: 2,
            ..options(1.0)
        };
        let run = |device: &Device| {
            let mut agent = Dqn::new(device, model, &no_images(), task(index), options, 1).unwrap();
            take(&mut agent, 0..60);
            agent.learner().diagnostics_since(0).unwrap()
        };
        let (cpu, gpu) =
            (run(&Device::cpu(2).unwrap()), run(&Device::open(common::wgsl_device(), 0).unwrap()));
        assert_eq!(cpu.len(), 41);
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            assert!(abs_diff_eq!(cpu.loss, gpu.loss, epsilon = 1e-3 * (1.0 + cpu.loss)), "{cpu:?} {gpu:?}");
            assert!(abs_diff_eq!(cpu.mean_max_q, gpu.mean_max_q, epsilon = 1e-3), "{cpu:?} {gpu:?}");
        }
    }
}

#[test]
fn what_a_network_cannot_see_is_refused() {
    let device = Device::cpu(1).unwrap();
    let refusal = |model: &dyn Model, task: Box<dyn Environment>, options| {
        Dqn::new(&device, model, &no_images(), task, options, 1).unwrap_err().to_string()
    };
    let picture = |size| Box::new(Catch::new(size, 1).unwrap());
    for (message, refused) in [
        ("pictures of 10x5x1, the network takes 1x1x49: set model.image_size = 1 and model.channels = 50", {
            refusal(&mlp(49, 3), picture(Catch::BOARD), options(0.1))
        }),
        ("set model.image_size = 84 and model.channels = 1", {
            refusal(&mlp(50, 3), picture(Catch::SCREEN), options(0.1))
        }),
        ("numbers of 1x1x5", refusal(&mlp(50, 2), Box::new(chain(0.0, None)), options(0.1))),
        ("returns over 0 steps", {
            refusal(&mlp(STATES, 2), Box::new(chain(0.0, None)), Options { n_step: 0, ..options(0.1) })
        }),
        ("a discount of 1.1", {
            refusal(&mlp(STATES, 2), Box::new(chain(0.0, None)), Options { discount: 1.1, ..options(0.1) })
        }),
    ] {
        assert!(refused.contains(message), "{refused}");
    }
}
