//! Deep Q-networks (Mnih and others 2015) on tasks whose observations are images of a set that lies on the device.
//!
//! ```text
//! action  = random with probability epsilon, else argmax_a q(s)[a]
//! replay  = the last transitions (s, a, r, s', terminated); a batch is drawn uniformly, with replacement
//! target  = r + discount (1 - terminated) max_a q'(s')[a]          or with double Q-learning q'(s')[argmax_a q(s')[a]]
//! loss    = mean over the batch of criterion(target - q(s)[a])
//! q'      = q after every `target_period` updates
//! ```
//!
//! Per step the device gets two rows of the image set and three scalars, and gives back one action, where it is not random.
//! Everything else is one program per update: draw, fetch, gather both images, both networks, target, loss, gradient,
//! optimiser. A run is a function of options, seed and images.
//!
//! It deviates from the publication where the plasticity paper does (Lyle and others 2023): squared error, Adam, an update
//! after every step, epsilon constant.

use crate::error::{Error, Result};
use crate::images::DeviceImages;
use data::Images;
use engine::device::padded;
use engine::ops::Outcomes;
use engine::optim::{Adam, Optimizer, OptimizerMemory};
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Mode, Network, NetworkId, Plan, Program, Slice, Wanted,
    Workspace,
};
use environments::{Environment, Exploration, Observation, ObservationKind, Step};
use kernels::arena::Copy;
use kernels::replay::{Append, Draw, Fetch, Ring};
use kernels::value::Criterion;
use models::Model;
use std::collections::HashMap;
use std::sync::Arc;

/// What an agent is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Transitions of an update, at most `capacity`.
    pub batch: usize,
    /// Transitions that the replay holds.
    pub capacity: usize,
    /// Steps that are taken before the first update, at least `batch`.
    pub learning_starts: u64,
    /// Discount per step, 0 to 1; 1 only where tasks end.
    pub discount: f64,
    /// Updates between two copies of the online network to the target network.
    pub target_period: u64,
    /// When an action is random.
    pub exploration: Exploration,
    /// Whether the online network selects the action whose value the target network gives.
    pub double: bool,
    /// The loss of an error.
    pub criterion: Criterion,
    /// How parameters follow their gradients.
    pub optimizer: Adam,
    /// Learning rate.
    pub learning_rate: f64,
}

impl Default for Options {
    /// Those of the plasticity paper, or where it does not say, those that `docs/environments.md` gives reasons for.
    fn default() -> Self {
        Self {
            batch: 128,
            capacity: 100_000,
            learning_starts: 1_000,
            discount: 0.99,
            target_period: 1_000,
            exploration: Exploration::constant(0.1).expect("a probability"),
            double: false,
            criterion: Criterion::Squared,
            optimizer: Adam::default(),
            learning_rate: 1e-3,
        }
    }
}

impl Options {
    /// What must hold before anything is built.
    fn check(&self, model: &dyn Model, environment: &dyn Environment) -> Result<()> {
        let refuse = |message: String| Err(Error::Mismatch(message));
        let Options { batch, capacity, learning_starts, discount, target_period, .. } = *self;
        let (classes, actions) = (model.input().classes, environment.actions() as usize);
        if classes != actions {
            return refuse(format!("the network has {classes} outputs, the environment {actions} actions"));
        }
        if batch == 0 || capacity < batch {
            return refuse(format!("a replay of {capacity} transitions cannot give batches of {batch}"));
        }
        if learning_starts < batch as u64 {
            return refuse(format!(
                "learning that starts at step {learning_starts} has no batch of {batch} to draw"
            ));
        }
        if !(0.0..1.0).contains(&discount) {
            return refuse(format!(
                "a discount of {discount}: it must be in [0, 1), for the task may not end"
            ));
        }
        if target_period == 0 {
            return refuse("a target period of 0 updates: it must be at least 1".into());
        }
        Ok(())
    }
}

/// What the last update saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnostics {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Mean over the batch of the largest value that the online network gave.
    pub mean_max_q: f64,
}

/// A network that learns values from transitions, and its memory on a device.
#[derive(Debug)]
pub struct Learner {
    device: Device,
    options: Options,
    seed: u32,
    online: Network,
    incoming: Buffer,
    acting: Buffer,
    /// Into the ring.
    append: Program,
    /// From the observation in `acting` to its greedy action.
    act: Program,
    greedy: Slice,
    update: Program,
    outputs: HashMap<String, Slice>,
    /// From the online to the target network.
    synchronise: Program,
    actions: usize,
    /// Transitions appended so far.
    appended: u64,
    updates: u64,
}

impl Learner {
    /// A learner with first weights by seed and an empty replay.
    ///
    /// # Errors
    /// Images that the model does not take, or that do not fit the device's memory; those of the device.
    pub fn new(
        device: &Device,
        model: &dyn Model,
        images: &Images,
        options: Options,
        seed: u32,
    ) -> Result<Self> {
        let (parameters, batch) = (model.parameters(), options.batch);
        let input = model.input();
        let side = [images.height, images.width, images.channels];
        if side != [input.image_size, input.image_size, input.channels] {
            let expected = [input.image_size, input.image_size, input.channels];
            return Err(Error::Mismatch(format!("images are {side:?}, the network takes {expected:?}")));
        }
        let networks = ["online", "target"].map(|name| -> Result<Network> {
            let network = Network::new(device, name, parameters)?;
            network.write(device, &parameters.initial_values(seed), &parameters.initial_statistics())?;
            Ok(network)
        });
        let [online, target] = networks;
        let (online, target) = (online?, target?);

        let channels = images.channels;
        let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
        let set = DeviceImages::new(device, images, (&mean, &std), None, false, batch)?;
        let ring = Ring { capacity: options.capacity, observation: 1 };
        let replay = device.buffer("replay", ring.len())?;
        let incoming = device.buffer("a transition", ring.row())?;
        let append = Launch::new(
            "append",
            Arc::new(Append { ring, count: 1 }),
            vec![incoming.slice(0, ring.row()), replay.slice(0, ring.len())],
        );

        let mut workspace = Workspace::default();
        let acting = device.buffer("an observation", 1)?;
        let pixels = images.image_len();
        let (x, label) = (device.buffer("acting input", pixels)?, device.buffer("acting label", 1)?);
        let mut graph = Graph::evaluation(parameters);
        let seen = graph.input("x", &[1, side[0], side[1], side[2]]);
        let q = model.forward(&mut graph, seen)?;
        let action = graph.greedy_action(q)?;
        graph.output("action", action);
        let memory = Memory { networks: &[(&online, None)], inputs: &[("x", x.slice(0, pixels))] };
        let bound = Plan::new(&graph).bind(device, &memory, &mut workspace)?;
        let mut act = set.gather(acting.slice(0, 1), &label, x.slice(0, pixels))?;
        act.extend(bound.launches);
        let greedy = bound.outputs["action"].clone();

        let (update, outputs) =
            update(device, model, &options, [&online, &target], (&set, &replay, ring), &mut workspace)?;
        let copy = |to: &Buffer, from: &Buffer| {
            let len = to.words();
            Launch::new("synchronise", Arc::new(Copy { len }), vec![to.slice(0, len), from.slice(0, len)])
        };
        let mut synchronise = vec![copy(&target.parameters, &online.parameters)];
        if parameters.statistics_words() > 0 {
            synchronise.push(copy(&target.statistics, &online.statistics));
        }
        Ok(Self {
            append: device.compile(vec![append])?,
            act: device.compile(act)?,
            update: device.compile(update)?,
            synchronise: device.compile(synchronise)?,
            device: device.clone(),
            actions: input.classes,
            options,
            seed,
            online,
            incoming,
            acting,
            greedy,
            outputs,
            appended: 0,
            updates: 0,
        })
    }

    /// The network that learns.
    pub fn online(&self) -> &Network {
        &self.online
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The action of the largest value where the agent sees this image.
    ///
    /// # Errors
    /// Those of the device.
    pub fn greedy_action(&self, image: u32) -> Result<u32> {
        self.device.write(&self.acting, 0, &[image])?;
        self.act.run(&self.clock())?;
        Ok(self.device.read(&self.greedy.buffer, self.greedy.offset..self.greedy.offset + 1)?[0])
    }

    /// Adds a transition to the replay. `step` is what followed the action.
    ///
    /// # Errors
    /// Those of the device.
    pub fn append(&mut self, image: u32, action: u32, step: Step, next_image: u32) -> Result<()> {
        // An episode that was cut off is not over: its last state keeps its value.
        let row = [image, next_image, action, step.reward.to_bits(), u32::from(step.terminated)];
        self.device.write(&self.incoming, 0, &row)?;
        self.append.run(&self.clock())?;
        self.appended += 1;
        Ok(())
    }

    /// One update of the online network, and of the target network where its turn has come.
    ///
    /// # Errors
    /// Those of the device.
    pub fn update(&mut self) -> Result<()> {
        let mut clock = self.clock();
        self.options.optimizer.set_clock(&mut clock, self.updates + 1, self.options.learning_rate);
        self.update.run(&clock)?;
        self.updates += 1;
        if self.updates.is_multiple_of(self.options.target_period) {
            self.synchronise.run(&clock)?;
        }
        Ok(())
    }

    /// Loss and values of the last update. Waits for the device.
    ///
    /// # Errors
    /// Those of the device; a loss that is not finite.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        let (row_loss, q) =
            (self.device.read_f32(&self.outputs["row_loss"])?, self.device.read_f32(&self.outputs["q"])?);
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / row_loss.len() as f64;
        let largest = |row: &[f32]| f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let diagnostics = Diagnostics {
            loss: mean(&mut row_loss.iter().map(|&loss| f64::from(loss))),
            mean_max_q: mean(&mut q.chunks(self.actions).map(largest)),
        };
        if !diagnostics.loss.is_finite() {
            let update = self.updates;
            return Err(Error::Mismatch(format!(
                "the loss of update {update} is not finite: a smaller learning rate"
            )));
        }
        Ok(diagnostics)
    }

    fn clock(&self) -> Clock {
        let (step, appended) = (self.updates as u32, self.appended as u32);
        Clock { seed: self.seed, step, appended, ..Clock::default() }
    }
}

/// The launches of an update, and where its outputs lie.
fn update(
    device: &Device,
    model: &dyn Model,
    options: &Options,
    [online, target]: [&Network; 2],
    (images, replay, ring): (&DeviceImages, &Buffer, Ring),
    workspace: &mut Workspace,
) -> Result<(Vec<Launch>, HashMap<String, Slice>)> {
    let (parameters, input, batch) = (model.parameters(), model.input(), options.batch);
    let pixels = input.image_size * input.image_size * input.channels;
    let vector = |name: &str| -> Result<Slice> { Ok(device.buffer(name, batch)?.slice(0, batch)) };
    let (index, state, next_state) = (vector("drawn")?, vector("states")?, vector("next states")?);
    let (action, reward, terminated) = (vector("actions")?, vector("rewards")?, vector("terminated")?);
    let [x, next_x] = ["images", "next images"].map(|name| device.buffer(name, batch * pixels));
    let (x, next_x) = (x?.slice(0, batch * pixels), next_x?.slice(0, batch * pixels));

    let capacity = ring.capacity;
    let mut launches = vec![
        Launch::new("draw", Arc::new(Draw { batch, capacity }), vec![index.clone()]),
        Launch::new(
            "fetch",
            Arc::new(Fetch { ring, batch }),
            vec![
                replay.slice(0, ring.len()),
                index,
                state.clone(),
                next_state.clone(),
                action.clone(),
                reward.clone(),
                terminated.clone(),
            ],
        ),
    ];
    let labels = device.buffer("no labels", padded(batch))?;
    launches.extend(images.gather(state, &labels, x.clone())?);
    launches.extend(images.gather(next_state, &labels, next_x.clone())?);

    let mut graph = Graph::training(parameters);
    let network = graph.network("target", parameters);
    let shape = [batch, input.image_size, input.image_size, input.channels];
    let (seen, next_seen) = (graph.input("x", &shape), graph.input("next_x", &shape));
    let taken = graph.input("action", &[batch]);
    let outcomes =
        Outcomes { reward: graph.input("reward", &[batch]), terminated: graph.input("terminated", &[batch]) };
    let next_q = graph.with(network, Mode::Evaluation, |graph| model.forward(graph, next_seen))?;
    let selector = if options.double {
        Some(graph.with(NetworkId::FIRST, Mode::Evaluation, |graph| model.forward(graph, next_seen))?)
    } else {
        None
    };
    let wanted = graph.td_target(next_q, outcomes, options.discount, 1, selector)?;
    let q = model.forward(&mut graph, seen)?;
    let loss = graph.td_loss(q, taken, wanted, options.criterion, None)?;
    graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
    graph.output("q", q);
    graph.output("row_loss", loss.row_loss);

    let words = parameters.words();
    let gradients = device.buffer("gradients", words)?;
    let memory = Memory {
        networks: &[(online, Some(&gradients)), (target, None)],
        inputs: &[
            ("x", x),
            ("next_x", next_x),
            ("action", action),
            ("reward", reward),
            ("terminated", terminated),
        ],
    };
    let bound = Plan::new(&graph).bind(device, &memory, workspace)?;
    launches.extend(bound.launches);
    let states = options.optimizer.states().iter().map(|name| device.buffer(name, words));
    let states = states.collect::<engine::Result<Vec<Buffer>>>()?;
    launches.extend(options.optimizer.launches(
        words,
        &OptimizerMemory {
            parameters: &online.parameters,
            gradients: &gradients,
            states: &states.iter().collect::<Vec<_>>(),
            clip: &device.buffer("clip factor", 2)?,
            ring: &device.buffer("gradient norm", 4)?,
            ring_rows: 1,
            row_words: 4,
        },
    ));
    Ok((launches, bound.outputs))
}

/// A learner that acts in an environment.
pub struct Dqn {
    environment: Box<dyn Environment>,
    learner: Learner,
    seed: u64,
    steps: u64,
    reward: f64,
}

impl std::fmt::Debug for Dqn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dqn").field("environment", &self.environment.description()).finish_non_exhaustive()
    }
}

impl Dqn {
    /// An agent at the first step of an environment that shows images of this set.
    ///
    /// # Errors
    /// Options that cannot be; an environment of other observations; as [`Learner::new`].
    pub fn new(
        device: &Device,
        model: &dyn Model,
        images: &Images,
        environment: Box<dyn Environment>,
        options: Options,
        seed: u32,
    ) -> Result<Self> {
        options.check(model, environment.as_ref())?;
        match environment.observation_kind() {
            ObservationKind::Image { images: count } if count as usize <= images.len() => {}
            other => {
                let message = format!("{other:?} where observations are images of a set of {}", images.len());
                return Err(Error::Mismatch(message));
            }
        }
        let learner = Learner::new(device, model, images, options, seed)?;
        Ok(Self { environment, learner, seed: u64::from(seed), steps: 0, reward: 0.0 })
    }

    /// One step: act, store, learn.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&mut self) -> Result<()> {
        let options = self.learner.options;
        let state = self.seen();
        let action = match options.exploration.action(self.seed, self.steps, self.environment.actions()) {
            Some(action) => action,
            None => self.learner.greedy_action(state)?,
        };
        let step = self.environment.step(action).map_err(|error| Error::Mismatch(error.to_string()))?;
        self.learner.append(state, action, step, self.seen())?;
        self.reward += f64::from(step.reward);
        self.steps += 1;
        if step.is_last() {
            self.environment.reset();
        }
        if self.steps >= options.learning_starts {
            self.learner.update()?;
        }
        Ok(())
    }

    /// The image that the agent sees.
    fn seen(&self) -> u32 {
        match self.environment.observation() {
            Observation::Image(image) => image,
            _ => unreachable!("the kind of observation was checked"),
        }
    }

    /// The learner.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The sum of rewards since this was asked for last.
    pub fn take_reward(&mut self) -> f64 {
        std::mem::take(&mut self.reward)
    }
}
