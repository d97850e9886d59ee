//! The config of an agent: as strict, complete and canonical as that of a classifier, in sections of its own.
//!
//! A config is one of an agent if it has a section `[environment]`.

mod curvature;
mod dqn;
mod environment;
mod intervention;
mod probe;

pub use curvature::Curvature;
pub use dqn::{Agent, AgentOptimizer, Criterion, Output, updates_after};
pub use environment::{AfterLast, Environment, Task};
pub use intervention::AgentIntervention;
pub use probe::Probe as AgentProbe;

use super::check::refused;
use super::optimizer_kind::{check_resets, keep_keys_of};
use super::resolve::{check_name, check_version, from_table, laid_over};
use super::{Data, Engine, Error, Layer, OptimizerKind, Rule, Run, RunConfig, TestStatistics, VERSION};
use models::ModelConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

/// A resolved config of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// [`VERSION`]: what the keys mean.
    pub version: u32,
    /// Name of the experiment: the folder of its runs.
    pub name: String,
    /// Seed of everything random.
    pub seed: u32,
    /// `[environment]`
    pub environment: Environment,
    /// `[model]`
    pub model: ModelConfig,
    /// `[agent]`
    pub agent: Agent,
    /// `[optimizer]`
    pub optimizer: AgentOptimizer,
    /// `[intervention]`
    pub intervention: AgentIntervention,
    /// `[probe]`, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<AgentProbe>,
    /// `[curvature]`, if it is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curvature: Option<Curvature>,
    /// `[engine]`
    pub engine: Engine,
    /// `[run]`
    pub run: Run,
}

impl AgentConfig {
    /// Whether layers describe an agent.
    pub fn is_meant(given: &Table) -> bool {
        given.contains_key("environment") || given.contains_key("agent")
    }

    /// The network as it is built: an output for each action, or where outputs are distributions one for each bin.
    pub fn network(&self) -> ModelConfig {
        let classes = self.model.build().map_or(0, |model| model.input().classes);
        match self.agent.output {
            Output::Scalar => self.model.clone(),
            Output::TwoHot | Output::Categorical => {
                self.model.with_classes(classes.saturating_mul(self.agent.bins))
            }
        }
    }

    fn defaults(model: &str, task: Task, set: &str, kind: OptimizerKind) -> Option<Self> {
        Some(Self {
            version: VERSION,
            name: "experiment".into(),
            seed: 1,
            environment: Environment::defaults(task, set),
            model: ModelConfig::default_for(model)?,
            agent: Agent::defaults(),
            optimizer: AgentOptimizer::defaults(kind),
            intervention: AgentIntervention::defaults(),
            probe: Some(AgentProbe::defaults()),
            curvature: Some(Curvature::defaults()),
            engine: Engine::default(),
            run: Run::default(),
        })
    }

    /// Resolves layers of tables, later ones over earlier ones, as [`super::Config::resolve`] does.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value that cannot be.
    pub fn resolve(layers: &[Layer]) -> Result<Self, Error> {
        let given = laid_over(layers);
        let text = |section: &str, key: &str| given.get(section)?.get(key)?.as_str();
        let (model, set) =
            (text("model", "name").unwrap_or("mlp"), text("environment", "set").unwrap_or("mnist"));
        let kind = OptimizerKind::given(&given, &AgentOptimizer::KINDS)?;
        let chosen = kind.unwrap_or(OptimizerKind::Adam);
        // One that does not exist is refused below.
        let task = given.get("environment").and_then(|section| section.get("task"));
        let task = task.and_then(|task| task.clone().try_into().ok()).unwrap_or(Task::True);
        let defaults = Self::defaults(model, task, set, chosen).ok_or_else(|| {
            let reason = format!("the models are {}", ModelConfig::NAMES.join(", "));
            refused("model.name", format!("{model:?}"), &reason)
        })?;
        let mut table = Table::try_from(&defaults).expect("a config is a table");
        for section in ["probe", "curvature"].into_iter().filter(|section| !given.contains_key(*section)) {
            table.remove(section);
        }
        let optimizer = AgentOptimizer { rule: Rule::every_key(), ..defaults.optimizer };
        let environment = Environment::every_key(set);
        let known = Self { environment, model: defaults.model.naming_every_key(), optimizer, ..defaults };
        let mut known = Table::try_from(&known).expect("a config is a table");
        // 1 is not written, so that runs from before it came keep their names.
        super::overlay(&mut known, &"agent.n_step = 1".parse().expect("a key of a config"));
        for layer in layers {
            super::overlay(&mut table, &layer.typed(&known)?);
        }
        check_version(&table)?;
        keep_keys_of(chosen, kind.is_some(), layers, &mut table)?;
        let mut config: Self = from_table(table)?;
        config.optimizer = config.optimizer.brief();
        check_name(&config.name)?;
        config.environment.check()?;
        config.optimizer.check()?;
        config.agent.check(config.optimizer.batch, &config.environment)?;
        if let Some(probe) = &config.probe {
            probe.check(config.agent.learning_starts, config.agent.n_step)?;
        }
        config.probe = config.probe.filter(|probe| probe.every > 0);
        if let Some(curvature) = &config.curvature {
            curvature.check(&config.agent, &config.environment)?;
        }
        config.intervention = config.intervention.checked(config.agent.target_momentum)?;
        check_resets(&config.intervention.method, config.optimizer.kind(), &config.optimizer.rule)?;
        for layer in layers {
            layer.check_use(&config.intervention.method)?;
        }
        config.run.check()?;
        if config.run.stream_images {
            let reason = "the images of an agent lie on the device, for any may come next";
            return Err(refused("run.stream_images", true, reason));
        }
        config.model.build().map_err(Error::Model)?;
        Ok(config)
    }
}

impl RunConfig for AgentConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn seed(&self) -> u32 {
        self.seed
    }

    fn method(&self) -> String {
        self.intervention.method.short()
    }

    /// Pixels from 0 to 1; there is no test, for the agent never stops learning.
    fn data(&self) -> Option<Data> {
        let channels = self.model.build().map_or(1, |model| model.input().channels);
        Some(Data {
            set: self.environment.set.clone()?,
            train: 0,
            test: 0,
            downsample: self.environment.downsample.unwrap_or(1),
            augment: false,
            dither: false,
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            test_statistics: TestStatistics::Train,
        })
    }

    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("a config is a table")
    }

    fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is a table")
    }
}
