//! What an agent's run writes down: a line every so many steps, and the result.

use super::progress::Progress;
use super::{Diagnostics, Learner, RING_ROWS};
use crate::config::{AgentConfig, RunConfig};
use crate::error::Result;
use crate::lifecycle::Status;
use engine::Device;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A line of metrics: how far, what was earned since the last line, what the learner says.
pub(super) fn line(
    progress: &mut Progress,
    learner: &Learner,
    config: &AgentConfig,
    best_reward: f64,
) -> Result<Map<String, Value>> {
    let mut line = Map::new();
    line.insert("step".into(), json!(progress.step));
    line.insert("updates".into(), json!(learner.updates()));
    let reward = std::mem::take(&mut progress.reward) / config.agent.log_every as f64;
    progress.reward_per_step = Some(reward);
    line.insert("reward_per_step".into(), json!(reward));
    line.insert("share_of_best".into(), json!(reward / best_reward));
    let (episodes, returns) = std::mem::take(&mut progress.ended);
    if episodes > 0 {
        line.insert("episodes".into(), json!(episodes));
        line.insert("mean_return".into(), json!(returns / episodes as f64));
    }
    if learner.updates() > 0 {
        let Diagnostics { loss, mean_max_q, gradient_norm } = recent(learner)?;
        (progress.td_loss, progress.mean_max_q) = (Some(loss), Some(mean_max_q));
        line.insert("td_loss".into(), json!(loss));
        line.insert("mean_max_q".into(), json!(mean_max_q));
        line.insert("gradient_norm".into(), json!(gradient_norm));
        line.insert("target_updates".into(), json!(learner.updates() / config.agent.target_period));
        line.insert("learning_rate".into(), json!(config.optimizer.lr));
    }
    Ok(line)
}

/// Means over the last updates that the learner keeps.
fn recent(learner: &Learner) -> Result<Diagnostics> {
    let last = learner.diagnostics_since(learner.updates().saturating_sub(RING_ROWS as u64))?;
    let mean = |of: fn(&Diagnostics) -> f64| last.iter().map(of).sum::<f64>() / last.len() as f64;
    Ok(Diagnostics {
        loss: mean(|update| update.loss),
        mean_max_q: mean(|update| update.mean_max_q),
        gradient_norm: mean(|update| update.gradient_norm),
    })
}

/// Where the run is.
pub(super) fn status(progress: &Progress, config: &AgentConfig) -> Status {
    let words = match progress.reward_per_step {
        Some(reward) => format!("reward {reward:.3} per step"),
        None => "beginning".into(),
    };
    Status { step: progress.step, steps: config.agent.steps, words }
}

/// The content of `result.json`.
pub(super) fn result(
    progress: &Progress,
    config: &AgentConfig,
    (learner, device): (&Learner, &Device),
    best_reward: f64,
    (time, resumed): (Duration, bool),
) -> Map<String, Value> {
    let reward = progress.scored_reward / Progress::scored_steps(config.agent.steps) as f64;
    let (episodes, returns) = progress.scored_ended;
    let Value::Object(result) = json!({
        "experiment": config.name,
        "algorithm": "dqn",
        "method": config.method(),
        "model": serde_json::to_value(&config.model).expect("plain data")["name"],
        "environment": config.environment.task.name(),
        "data": config.environment.set,
        "seed": config.seed,
        "reward_per_step": reward,
        "best_reward_per_step": best_reward,
        "share_of_best": reward / best_reward,
        "mean_return": (episodes > 0).then(|| returns / episodes as f64),
        "td_loss": progress.td_loss,
        "mean_max_q": progress.mean_max_q,
        "plasticity": progress.plasticity.map(|[_, last]| last),
        "plasticity_against_fresh": progress.against_fresh,
        "plasticity_change": progress.plasticity.map(|[first, last]| last - first),
        "steps": progress.step,
        "updates": learner.updates(),
        "updates_per_step": updates_per_step(learner.updates(), config),
        "parameters": config.network().build().map_or(0, |model| model.parameters().count()),
        "run_id": progress.run_id,
        "data_digest": progress.data.digest,
        "data_origin": progress.data.origin,
        "segments": progress.segments,
        "device": device.name(),
        "git_revision": option_env!("HT_GIT_REVISION"),
        "version": env!("CARGO_PKG_VERSION"),
        "seconds": (time.as_secs_f64() * 1000.0).round() / 1000.0,
        "resumed": resumed,
    }) else {
        unreachable!("an object was written")
    };
    result
}

/// Updates per step from the first update on: what `agent.replay_ratio` asks for.
fn updates_per_step(updates: u64, config: &AgentConfig) -> f64 {
    let steps = (config.agent.steps + 1).saturating_sub(config.agent.learning_starts);
    updates as f64 / steps.max(1) as f64
}
