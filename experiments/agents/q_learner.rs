//! A network that learns values of actions from transitions, and its memory on a device: what the loop of
//! [`super::dqn`] works with.

use super::options::Options;
use crate::error::{Error, Result};
use crate::images::DeviceImages;
use data::Images;
use engine::device::padded;
use engine::ops::Outcomes;
use engine::optim::{Optimizer, OptimizerMemory};
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Mode, Network, NetworkId, Parameters, Plan, Program, Slice,
    Wanted, Workspace,
};
use kernels::arena::Copy;
use kernels::replay::{Append, Draw, Fetch, Ring};
use models::Model;
use std::collections::HashMap;
use std::sync::Arc;

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
    pub(super) device: Device,
    options: Options,
    seed: u32,
    pub(super) parameters: Parameters,
    pub(super) online: Network,
    pub(super) target: Network,
    /// What the optimiser keeps for each parameter, by name.
    pub(super) moments: Vec<(&'static str, Buffer)>,
    pub(super) ring: Ring,
    pub(super) replay: Buffer,
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
    pub(super) appended: u64,
    pub(super) updates: u64,
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
            network.write(device, &parameters.initial_values(seed), &parameters.initial_statistics(seed))?;
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

        let words = parameters.words();
        let moments = options.optimizer.states().iter().map(|&name| Ok((name, device.buffer(name, words)?)));
        let moments = moments.collect::<Result<Vec<_>>>()?;
        let (networks, memory) = ([&online, &target], (&set, &replay, ring));
        let (update, outputs) = update(device, model, &options, networks, &moments, memory, &mut workspace)?;
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
            parameters: parameters.clone(),
            online,
            target,
            moments,
            ring,
            replay,
            incoming,
            acting,
            greedy,
            outputs,
            appended: 0,
            updates: 0,
        })
    }

    /// What it is like.
    pub fn options(&self) -> &Options {
        &self.options
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

    /// Adds a transition to the replay: a row as `kernels/replay` lays it out.
    ///
    /// # Errors
    /// Those of the device.
    pub fn append(&mut self, transition: &[u32]) -> Result<()> {
        self.device.write(&self.incoming, 0, transition)?;
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
        if diagnostics.loss.is_finite() { Ok(diagnostics) } else { Err(self.not_finite()) }
    }

    /// The error for an update that left something that is no number.
    pub fn not_finite(&self) -> Error {
        let update = self.updates;
        Error::Mismatch(format!("update {update} left what is not finite: a smaller learning rate"))
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
    moments: &[(&'static str, Buffer)],
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
    launches.extend(options.optimizer.launches(
        words,
        &OptimizerMemory {
            parameters: &online.parameters,
            gradients: &gradients,
            states: &moments.iter().map(|(_, arena)| arena).collect::<Vec<_>>(),
            clip: &device.buffer("clip factor", 2)?,
            ring: &device.buffer("gradient norm", 4)?,
            ring_rows: 1,
            row_words: 4,
        },
    ));
    Ok((launches, bound.outputs))
}
