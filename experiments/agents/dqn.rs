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

use super::metrics;
use super::options::Options;
use super::progress::Progress;
use super::q_learner::Learner;
use super::tasks::Task;
use super::transitions;
use super::walk::Walk;
use crate::config::AgentConfig;
use crate::error::{Error, Result};
use crate::lifecycle::{self, Context, Entered, Every, Outcome};
use crate::run_folder::RunFolder;
use data::Images;
use engine::Device;
use environments::{Environment, Observation, ObservationKind};
use models::Model;
use std::path::Path;
use std::time::Instant;

/// Runs, or resumes, an agent in its folder under `out`. A config that is refused leaves no folder. A failure that would
/// come again is written down in the folder.
///
/// # Errors
/// Those of the device, of the folder, a loss that is not finite, a panic.
pub fn run(context: &mut Context<'_, AgentConfig>, out: &Path) -> Result<Outcome> {
    lifecycle::carry_out(context, |context, place| act(context, out, place))
}

fn act(context: &mut Context<'_, AgentConfig>, out: &Path, place: &mut Option<RunFolder>) -> Result<Outcome> {
    let (started, config, data) = (Instant::now(), context.config, context.data_identity);
    let Task { environment, best_reward } = Task::new(config, &context.data.train)?;
    let model = config.network().build().map_err(Error::Mismatch)?;
    let (images, options) = (&context.data.train, Options::of(config)?);
    let mut agent = Dqn::new(context.device, model.as_ref(), images, environment, options, config.seed)?;
    let mut walk = match &config.walk {
        Some(options) => {
            let model = config.network().build().map_err(Error::Mismatch)?;
            Some(Walk::new(agent.learner(), model, images, options, config.seed)?)
        }
        None => None,
    };
    let folder = match lifecycle::enter(config, out, Some(data), context.note)? {
        Entered::Open(folder) => place.insert(folder),
        Entered::Finished(result) => return Ok(Outcome::WasFinished(result)),
    };
    let mut progress = Progress::new(config);
    let (mut log, resumed) =
        progress.resume(agent.parts_mut(), &mut walk, folder, (context.device, data), context.note)?;
    let (mut to_save, mut to_show) = (Every::seconds(config.run.checkpoint_seconds), Every::seconds(0.1));

    if let (Some(walk), false) = (&walk, resumed) {
        folder.log(&walk.look(agent.learner(), 0)?)?;
    }
    while progress.step < config.agent.steps {
        if context.stops_before(progress.step) {
            progress.save(agent.parts(), walk.as_ref(), &mut log, folder)?;
            return Ok(Outcome::Interrupted);
        }
        if to_save.is_due() {
            progress.save(agent.parts(), walk.as_ref(), &mut log, folder)?;
        }
        let (transition, reward) = agent.step(progress.step)?;
        log.append(&transition)?;
        progress.count(reward, config.agent.steps);
        if let Some(walk) = &mut walk
            && walk.follow(agent.learner())?
            && walk.is_due()
        {
            folder.log(&walk.look(agent.learner(), progress.step)?)?;
        }
        if progress.step.is_multiple_of(config.agent.log_every) {
            folder.log(&metrics::line(&mut progress, agent.learner(), config, best_reward)?)?;
        }
        if to_show.is_due() {
            (context.progress)(&metrics::status(&progress, config));
        }
    }
    progress.save(agent.parts(), walk.as_ref(), &mut log, folder)?;
    (context.progress)(&metrics::status(&progress, config));
    let result = metrics::result(
        &progress,
        config,
        (agent.learner(), context.device),
        best_reward,
        (started.elapsed(), resumed),
    );
    folder.finish(&result)?;
    if !config.run.keep_checkpoint {
        folder.remove_checkpoint()?;
        transitions::remove(folder.path())?;
    }
    Ok(Outcome::Finished(result))
}

/// A learner that acts in an environment.
pub struct Dqn {
    environment: Box<dyn Environment>,
    learner: Learner,
    seed: u64,
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
        Ok(Self { environment, learner, seed: u64::from(seed) })
    }

    /// Step number `step`, from 0: act, store, learn. Returns the transition as the replay stores it, and the reward.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&mut self, step: u64) -> Result<([u32; 5], f32)> {
        let options = *self.learner.options();
        let state = self.seen();
        let action = match options.exploration.action(self.seed, step, self.environment.actions()) {
            Some(action) => action,
            None => self.learner.greedy_action(state)?,
        };
        let came = self.environment.step(action).map_err(|error| Error::Mismatch(error.to_string()))?;
        // An episode that was cut off is not over: its last state keeps its value.
        let transition = [state, self.seen(), action, came.reward.to_bits(), u32::from(came.terminated)];
        self.learner.append(&transition)?;
        if came.is_last() {
            self.environment.reset();
        }
        while self.learner.updates() < options.updates_after(step + 1) {
            self.learner.update()?;
        }
        Ok((transition, came.reward))
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

    /// What is saved of it.
    fn parts(&self) -> (&dyn Environment, &Learner) {
        (self.environment.as_ref(), &self.learner)
    }

    fn parts_mut(&mut self) -> (&mut dyn Environment, &mut Learner) {
        (self.environment.as_mut(), &mut self.learner)
    }
}
