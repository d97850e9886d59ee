//! Deep Q-networks (Mnih and others 2015). Observations are images of a set that lies on the device, pictures, or numbers.
//!
//! ```text
//! action  = random with probability epsilon, else argmax_a q(s)[a]
//! replay  = the last transitions (s, a, r, s', discount); a batch is drawn uniformly, with replacement
//! target  = r + discount max_a q'(s')[a]          or with double Q-learning r + discount q'(s')[argmax_a q(s')[a]]
//!           discount: 0 where the task was over; over n steps r is the sum of discount^i r_i, and the discount discount^n
//! loss    = mean over the batch of criterion(target - q(s)[a])
//! q'      = q after every `target_period` updates
//! ```
//!
//! Per step the device gets two observations and three scalars, and gives back one action, where it is not random.
//! Everything else is one program per update: draw, fetch, gather both observations, both networks, target, loss, gradient,
//! optimiser. A run is a function of options, seed and images.
//!
//! It deviates from the publication where the plasticity paper does (Lyle and others 2023): squared error, Adam, an update
//! after every step, epsilon constant.

use super::curvature::Curvature;
use super::metrics;
use super::n_step::End;
use super::observations::Seen;
use super::options::Options;
use super::plasticity::Plasticity;
use super::progress::Progress;
use super::q_learner::Learner;
use super::tasks::Task;
use super::transitions;
use crate::config::AgentConfig;
use crate::error::{Error, Result};
use crate::lifecycle::{self, Context, Entered, Every, Outcome, Status};
use crate::run_folder::RunFolder;
use data::Images;
use engine::Device;
use environments::Environment;
use models::Model;
use std::path::Path;
use std::sync::atomic::Ordering;
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
    let mut curvature = match &config.curvature {
        Some(options) => {
            let model = config.network().build().map_err(Error::Mismatch)?;
            Some(Curvature::new(agent.learner(), model, images, options, config.seed)?)
        }
        None => None,
    };
    let mut plasticity = Plasticity::new(agent.learner(), model.as_ref(), config)?;
    let folder = match lifecycle::enter(config, out, Some(data), context.note)? {
        Entered::Open(folder) => place.insert(folder),
        Entered::Finished(result) => return Ok(Outcome::WasFinished(result)),
    };
    let mut progress = Progress::new(config);
    let (mut log, resumed) =
        progress.resume(agent.parts_mut(), &mut curvature, folder, (context.device, data), context.note)?;
    let (mut to_save, mut to_show) = (Every::seconds(config.run.checkpoint_seconds), Every::seconds(0.1));

    loop {
        let probed = look(curvature.as_ref(), agent.learner(), &mut progress, context, folder)?
            && probe(&mut plasticity, agent.learner(), &mut progress, context, folder)?;
        if probed && progress.step == config.agent.steps {
            break;
        }
        if !probed || context.stops_before(progress.step) {
            progress.save(agent.parts(), curvature.as_ref(), &mut log, folder)?;
            return Ok(Outcome::Interrupted);
        }
        if to_save.is_due() {
            progress.save(agent.parts(), curvature.as_ref(), &mut log, folder)?;
        }
        let taken = agent.step(progress.step)?;
        log.append(taken.transition)?;
        progress.count(taken.reward, taken.is_last, config.agent.steps);
        if let Some(curvature) = &mut curvature {
            curvature.follow(agent.learner())?;
        }
        if progress.step.is_multiple_of(config.agent.log_every) {
            folder.log(&metrics::line(&mut progress, agent.learner(), config, best_reward)?)?;
        }
        if to_show.is_due() {
            (context.progress)(&metrics::status(&progress, config));
        }
    }
    progress.save(agent.parts(), curvature.as_ref(), &mut log, folder)?;
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

/// Looks at the curvature where it is due. Returns whether the run may go on: a look that was stopped is taken again.
fn look(
    curvature: Option<&Curvature>,
    learner: &Learner,
    progress: &mut Progress,
    context: &mut Context<'_, AgentConfig>,
    folder: &mut RunFolder,
) -> Result<bool> {
    let Some(curvature) = curvature else { return Ok(true) };
    if !curvature.is_due(learner.updates(), progress.looked) {
        return Ok(true);
    }
    let Some(line) = curvature.look(learner, progress.step, context.stop)? else { return Ok(false) };
    folder.log(&line)?;
    progress.looked = Some(learner.updates());
    Ok(true)
}

/// Probes the online network where it is due. Returns whether the run may go on: a probe that was stopped is made again.
fn probe(
    plasticity: &mut Option<Plasticity>,
    learner: &Learner,
    progress: &mut Progress,
    context: &mut Context<'_, AgentConfig>,
    folder: &mut RunFolder,
) -> Result<bool> {
    let config = context.config;
    let (Some(plasticity), Some(options)) = (plasticity, &config.probe) else { return Ok(true) };
    let updates_after = |step| learner.options().updates_after(step);
    let due = options.is_due(progress.step, config.agent.steps, updates_after);
    if !due || progress.probed == Some(progress.step) {
        return Ok(true);
    }
    let (step, steps, stop) = (progress.step, config.agent.steps, context.stop);
    let mut to_show = Every::seconds(0.1);
    let found = plasticity.measure(learner, &mut |words| {
        if to_show.is_due() {
            (context.progress)(&Status { step, steps, words: words.into() });
        }
        !stop.load(Ordering::Relaxed)
    })?;
    let Some(found) = found else { return Ok(false) };
    folder.log(&found.line(step, learner.updates()))?;
    progress.note_probe(found.plasticity(), found.against_fresh());
    Ok(true)
}

/// A learner that acts in an environment.
pub struct Dqn {
    environment: Box<dyn Environment>,
    learner: Learner,
    seed: u64,
    /// The last transition.
    transition: Vec<u32>,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The transition, as the file of transitions keeps it.
    pub transition: &'a [u32],
    /// Its reward.
    pub reward: f32,
    /// Whether it was the last one of its episode.
    pub is_last: bool,
}

impl std::fmt::Debug for Dqn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dqn").field("environment", &self.environment.description()).finish_non_exhaustive()
    }
}

impl Dqn {
    /// An agent at the first step of an environment; where that shows images, they are of this set.
    ///
    /// # Errors
    /// Options that cannot be; images that are not there; as [`Learner::new`].
    pub fn new(
        device: &Device,
        model: &dyn Model,
        images: &Images,
        environment: Box<dyn Environment>,
        options: Options,
        seed: u32,
    ) -> Result<Self> {
        options.check(model, environment.as_ref())?;
        let seen = Seen::of(environment.observation_kind(), images)?;
        let learner = Learner::new(device, model, seen, options, seed)?;
        let transition = vec![0; learner.transition_words()];
        Ok(Self { environment, learner, seed: u64::from(seed), transition })
    }

    /// Step number `step`, from 0: act, store, learn.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&mut self, step: u64) -> Result<Taken<'_>> {
        let Self { environment, learner, transition, .. } = self;
        let options = *learner.options();
        let words = transition.len() - 3;
        let (states, rest) = transition.split_at_mut(words);
        let (state, next_state) = states.split_at_mut(words / 2);
        environment.observation().write_to(state);
        let action = match options.exploration.action(self.seed, step, environment.actions()) {
            Some(action) => action,
            None => learner.greedy_action(state)?,
        };
        let came = environment.step(action).map_err(|error| Error::Mismatch(error.to_string()))?;
        // The last state of an episode, not the first of the next.
        environment.observation().write_to(next_state);
        // An episode that was cut off is not over: its last state keeps its value.
        rest.copy_from_slice(&[action, came.reward.to_bits(), End::of(&came) as u32]);
        learner.append(transition)?;
        if came.is_last() {
            environment.reset();
        }
        while learner.updates() < options.updates_after(step + 1) {
            learner.update()?;
        }
        Ok(Taken { transition, reward: came.reward, is_last: came.is_last() })
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
