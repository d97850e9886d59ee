//! A network that learns values of actions from transitions, and its memory on a device: what the loop of
//! [`super::dqn`] works with.

use super::diagnostics::{Diagnostics, RING_ROWS, ROW_WORDS, not_finite, row_of};
use super::methods::Method;
use super::n_step::NStep;
use super::observations::{Observations, Seen};
use super::options::Options;
use super::place::Place;
use super::synchronise::{Target, copy};
use super::update::{Fetched, fetch, update};
use crate::error::{Error, Result};
use engine::optim::Optimizer;
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Network, Parameters, Plan, Program, Slice, Workspace,
};
use kernels::replay::{Append, Ring};
use models::Model;
use std::sync::Arc;

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
    pub(super) n_step: NStep,
    pub(super) ring: Ring,
    pub(super) replay: Buffer,
    observations: Observations,
    /// What the last updates saw.
    pub(super) diagnostics: Buffer,
    incoming: Buffer,
    acting: Buffer,
    /// Into the ring.
    append: Program,
    /// From the observation in `acting` to its greedy action.
    act: Program,
    greedy: Slice,
    update: Program,
    /// From the online to the target network.
    synchronise: Program,
    /// What the method does now and then.
    intervention: Program,
    /// Transitions appended so far.
    pub(super) appended: u64,
    pub(super) updates: u64,
}

impl Learner {
    /// A learner with first weights by seed and an empty replay.
    ///
    /// # Errors
    /// Observations that the model does not take; images that do not fit the device's memory; a method that cannot be
    /// applied to the model; those of the device.
    pub fn new<'a>(
        device: &Device,
        model: &dyn Model,
        seen: impl Into<Seen<'a>>,
        options: Options,
        seed: u32,
    ) -> Result<Self> {
        let (parameters, input) = (model.parameters(), model.input());
        let observations = Observations::new(device, seen.into(), input)?;
        let (values, statistics) = (parameters.initial_values(seed), parameters.initial_statistics(seed));
        let networks = ["online", "target"].map(|name| -> Result<Network> {
            let network = Network::new(device, name, parameters)?;
            network.write(device, &values, &statistics)?;
            Ok(network)
        });
        let [online, target] = networks;
        let (online, target) = (online?, target?);
        let words = parameters.words();
        let moments = options.optimizer.states().iter().map(|&name| Ok((name, device.buffer(name, words)?)));
        let moments = moments.collect::<Result<Vec<_>>>()?;
        let diagnostics = device.buffer("diagnostics", RING_ROWS * ROW_WORDS)?;

        let words = observations.words();
        let n_step = NStep::new(options.n_step, options.discount, words);
        let ring = Ring { capacity: options.capacity, observation: words };
        let replay = device.buffer("replay", ring.len())?;
        let incoming = device.buffer("a transition", ring.row())?;
        let append = Launch::new(
            "append",
            Arc::new(Append { ring, count: 1 }),
            vec![incoming.slice(0, ring.row()), replay.slice(0, ring.len())],
        );

        let mut workspace = Workspace::default();
        let acting = device.buffer("an observation", words)?;
        let shape = [1, input.image_size, input.image_size, input.channels];
        let pixels = shape.iter().product();
        let x = device.buffer("acting input", pixels)?.slice(0, pixels);
        let mut graph = Graph::evaluation(parameters);
        graph.set_winograd(options.winograd);
        let seen = graph.input("x", &shape);
        let outputs = model.forward(&mut graph, seen)?;
        let q = options.output.values(&mut graph, outputs)?;
        let action = graph.greedy_action(q)?;
        graph.output("action", action);
        let memory = Memory { networks: &[(&online, None)], inputs: &[("x", x.clone())] };
        let bound = Plan::new(&graph).bind(device, &memory, &mut workspace)?;
        let mut act = observations.launches(device, acting.slice(0, words), x)?;
        act.extend(bound.launches);
        let greedy = bound.outputs["action"].clone();

        let place = Place {
            device,
            model,
            online: &online,
            target: &target,
            moments: &moments,
            winograd: options.winograd,
            diagnostics: &diagnostics,
        };
        let (update, states) = update(&place, &options, (&observations, &replay, ring), &mut workspace)?;
        let intervention = options.method.launches(&place, &states, &mut workspace)?;
        Ok(Self {
            append: device.compile(vec![append])?,
            act: device.compile(act)?,
            update: device.compile(update)?,
            synchronise: device.compile(copy("synchronise", parameters, &target, &online))?,
            intervention: device.compile(intervention)?,
            device: device.clone(),
            options,
            seed,
            parameters: parameters.clone(),
            online,
            target,
            moments,
            n_step,
            ring,
            replay,
            observations,
            diagnostics,
            incoming,
            acting,
            greedy,
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

    /// The network that targets are made with.
    pub fn target(&self) -> &Network {
        &self.target
    }

    /// Floating-point operations of an update.
    pub fn update_flops(&self) -> u64 {
        self.update.report().iter().map(|report| report.cost.flops).sum()
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The action of the largest value where the agent sees this, in words as the replay keeps them.
    ///
    /// # Errors
    /// Those of the device.
    pub fn greedy_action(&self, observation: &[u32]) -> Result<u32> {
        self.device.write(&self.acting, 0, observation)?;
        self.act.run(&self.clock())?;
        let mut action = [0];
        self.device.read_into(&self.greedy.buffer, self.greedy.offset, &mut action)?;
        Ok(action[0])
    }

    /// Takes the next transition, a row as `kernels/replay` lays it out whose last word is an [`End`](super::End). The
    /// replay gets what is whole now: the transition itself, or those over `n_step` steps that it ends.
    ///
    /// # Errors
    /// Those of the device.
    pub fn append(&mut self, transition: &[u32]) -> Result<()> {
        let Self { n_step, device, incoming, append, seed, updates, appended, .. } = self;
        n_step.push(transition, |whole| {
            device.write(incoming, 0, whole)?;
            append.run(&clock(*seed, *updates, *appended))?;
            *appended += 1;
            Ok(())
        })
    }

    /// One update of the online network; then, where their turn has come, the target network and what the method does.
    ///
    /// # Errors
    /// Those of the device.
    pub fn update(&mut self) -> Result<()> {
        let Options { target_period, target, method, learning_rate, .. } = self.options;
        let mut clock = self.clock();
        // Since the optimiser was new.
        let t = match method {
            Method::OptimizerReset => self.updates % target_period + 1,
            _ => self.updates + 1,
        };
        self.options.optimizer.set_clock(&mut clock, t, learning_rate);
        self.update.run(&clock)?;
        self.updates += 1;
        if target == Target::Copy && self.updates.is_multiple_of(target_period) {
            self.synchronise.run(&clock)?;
        }
        if method.period(target_period).is_some_and(|period| self.updates.is_multiple_of(period)) {
            self.intervention.run(&clock)?;
        }
        Ok(())
    }

    /// Draws `count` states from the replay into `x`, where they lie as the network takes them. The clock of its run says
    /// which: seed, step, and how many transitions were appended.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn draw_states(&self, count: usize, x: &Slice) -> Result<Program> {
        let Fetched { mut launches, state, .. } = fetch(&self.device, (&self.replay, self.ring), count)?;
        launches.extend(self.observations.launches(&self.device, state, x.clone())?);
        Ok(self.device.compile(launches)?)
    }

    /// What the last update saw; zeros before the first. Waits for the device.
    ///
    /// # Errors
    /// Those of the device; a loss that is not finite.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        let last = self.updates.saturating_sub(1);
        let row = self.diagnostics.slice(row_of(last) * ROW_WORDS, ROW_WORDS);
        Diagnostics::of(last, &self.device.read_f32(&row)?)
    }

    /// What each of the last updates saw, from the one behind the first `since`. Waits for the device.
    ///
    /// # Errors
    /// More updates than the ring has rows; those of the device; a loss that is not finite.
    pub fn diagnostics_since(&self, since: u64) -> Result<Vec<Diagnostics>> {
        let updates = self.updates.saturating_sub(since);
        if updates > RING_ROWS as u64 {
            return Err(Error::Mismatch(format!(
                "{updates} updates were not looked at, of which {RING_ROWS} are kept: look more often"
            )));
        }
        let ring = self.device.read_f32(&self.diagnostics.slice(0, RING_ROWS * ROW_WORDS))?;
        let row = |update: u64| &ring[row_of(update) * ROW_WORDS..][..ROW_WORDS];
        (since..self.updates).map(|update| Diagnostics::of(update, row(update))).collect()
    }

    /// The error for an update that left something that is no number.
    pub fn not_finite(&self) -> Error {
        not_finite(self.updates)
    }

    fn clock(&self) -> Clock {
        clock(self.seed, self.updates, self.appended)
    }
}

fn clock(seed: u32, updates: u64, appended: u64) -> Clock {
    let (step, appended) = (updates as u32, appended as u32);
    Clock { seed, step, appended, slot: row_of(updates) as u32, ..Clock::default() }
}
