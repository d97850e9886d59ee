//! From layers to a config: defaults, keys laid over them, one canonical form, checks.

use super::check::{folder_name, refused};
use super::optimizer_kind::{check_resets, keep_keys_of};
use super::{
    Config, Data, Engine, Error, Fidelity, Intervention, Layer, MEANING, Methods, Optimizer, OptimizerKind,
    Protocol, Rule, Run, VERSION, overlay, parse_set,
};
use models::ModelConfig;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

impl Config {
    /// The defaults of a model under a fidelity (`docs/fidelity.md` explains each difference), with the keys of all methods.
    /// `methods` is what is set of `[intervention]`.
    fn defaults(
        fidelity: Fidelity,
        (model, kind): (&str, OptimizerKind),
        set: Option<&str>,
        methods: &Table,
    ) -> Option<Self> {
        let optimizer = Optimizer::defaults(fidelity, model, kind);
        let paired_set = match model {
            "resnet18" => "cifar10",
            "vgg16" => "tiny-imagenet",
            "vit-tiny" => "cifar100",
            _ => "mnist",
        };
        let mut model = ModelConfig::default_for(model)?;
        if let (Fidelity::Paper, ModelConfig::Mlp(mlp)) = (fidelity, &mut model) {
            mlp.hidden = vec![100, 100];
        }
        Some(Self {
            version: VERSION,
            name: "experiment".into(),
            seed: 1,
            fidelity,
            data: Data::defaults(fidelity, set.unwrap_or(paired_set)),
            model,
            optimizer,
            protocol: Protocol::defaults(fidelity),
            intervention: Intervention::defaults(fidelity, methods),
            engine: Engine::default(),
            run: Run::default(),
        })
    }

    /// Resolves layers of tables, later ones over earlier ones. The result is canonical: it resolves to itself, and two
    /// spellings of one config are one.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value that cannot be, a key of a method that takes no part.
    pub fn resolve(layers: &[Layer]) -> Result<Self, Error> {
        let given = laid_over(layers);
        let text = |section: &str, key: &str| given.get(section)?.get(key)?.as_str();
        let fidelity = match given.get("fidelity") {
            None => Fidelity::Recommended,
            Some(value) => value.clone().try_into().map_err(|_| {
                refused("fidelity", value, "it must be \"recommended\", \"paper\" or \"code\"")
            })?,
        };
        let methods: Methods = match text("intervention", "method") {
            None => Methods::default(),
            Some(text) => text
                .parse()
                .map_err(|reason: String| refused("intervention.method", format!("{text:?}"), &reason))?,
        };
        let (model, none) = (text("model", "name").unwrap_or("mlp"), Table::new());
        let intervention = given.get("intervention").and_then(Value::as_table).unwrap_or(&none);
        let kind = OptimizerKind::given(&given, &OptimizerKind::ALL)?;
        let chosen = (model, kind.unwrap_or(OptimizerKind::AdamW));
        let defaults =
            Self::defaults(fidelity, chosen, text("data", "set"), intervention).ok_or_else(|| {
                let reason = format!("the models are {}", ModelConfig::NAMES.join(", "));
                refused("model.name", format!("{model:?}"), &reason)
            })?;
        let mut table = Table::try_from(&defaults).expect("a config is a table");
        let optimizer = Optimizer { rule: Rule::every_key(), ..defaults.optimizer };
        let known = Self { model: defaults.model.naming_every_key(), optimizer, ..defaults };
        let mut known = Table::try_from(&known).expect("a config is a table");
        // Runs from before they came have no such keys, and those without them are the same: 0 is not written.
        let later = "protocol.hessian_steps = 0\nprotocol.label_sets = 0";
        overlay(&mut known, &later.parse().expect("keys of a config"));
        for layer in layers {
            overlay(&mut table, &layer.typed(&known)?);
        }
        check_version(&table)?;
        keep_keys_of(chosen.1, kind.is_some(), layers, &mut table)?;
        let mut config: Self = from_table(table)?;
        config.optimizer = config.optimizer.brief();
        config.intervention = config.intervention.checked()?;
        for layer in layers {
            layer.check_use(&methods)?;
        }
        config.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        check_name(&self.name)?;
        self.data.check()?;
        self.optimizer.check()?;
        check_resets(&self.intervention.method, self.optimizer.kind(), &self.optimizer.rule)?;
        self.protocol.check()?;
        self.run.check()?;
        self.model.build().map_err(Error::Model)?;
        Ok(self)
    }
}

/// Layers laid over each other, later ones over earlier ones.
pub(super) fn laid_over(layers: &[Layer]) -> Table {
    let mut given = Table::new();
    for layer in layers {
        overlay(&mut given, &layer.table);
    }
    given
}

/// A table whose keys are all there, as a config.
pub(super) fn from_table<T: DeserializeOwned>(table: Table) -> Result<T, Error> {
    table.clone().try_into().map_err(|error: toml::de::Error| {
        // The parser tells the key in its long text only: "...\nin `section.key`".
        let text = error.to_string();
        let key = text.rsplit_once("in `").and_then(|(_, key)| key.split('`').next()).unwrap_or("a key");
        let value = key
            .split('.')
            .try_fold(&Value::Table(table), |value, word| value.get(word))
            .map(Value::to_string);
        let reason = match key {
            "seed" => "it must be a whole number from 0 to 4294967295".to_string(),
            _ => error.message().to_string(),
        };
        refused(key, value.unwrap_or_default(), &reason)
    })
}

/// The name of an experiment names a folder.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        let reason = "letters, digits, '-', '_' and '.' only: it names a folder";
        return Err(refused("name", format!("{name:?}"), reason));
    }
    folder_name(name).map_err(|reason| refused("name", format!("{name:?}"), reason))
}

/// A config of another version means something else.
pub(super) fn check_version(table: &Table) -> Result<(), Error> {
    let version = table.get("version").and_then(Value::as_integer).unwrap_or_default();
    if version == i64::from(VERSION) {
        return Ok(());
    }
    let reason = match usize::try_from(version).ok().filter(|version| (1..MEANING.len()).contains(version)) {
        Some(older) => format!(
            "this program computes by version {VERSION}, which changed this: {}",
            MEANING[older..].join("; ")
        ),
        None => format!("this program knows version {VERSION}; leave the key out for what it computes"),
    };
    Err(refused("version", version, &reason))
}

/// The sections `[model]` and `[engine]` alone: a model by name, overlaid by `--set model.key=value` and
/// `--set engine.key=value`.
///
/// # Errors
/// As [`Config::resolve`]; also a `--set` of another section.
pub fn resolve_model(name: &str, sets: &[String]) -> Result<(ModelConfig, Engine), Error> {
    let named = Table::from_iter([("name".to_string(), Value::String(name.to_string()))]);
    let model = Table::from_iter([("model".to_string(), Value::Table(named))]);
    let mut layers = vec![Layer::file(format!("model {name}"), model)];
    for set in sets {
        let layer = parse_set(set)?;
        if let Some(key) = layer.table.keys().find(|&key| key != "model" && key != "engine") {
            let hint = ": only model.* and engine.* can be set here".to_string();
            return Err(Error::UnknownKey { origin: layer.origin.clone(), key: key.clone(), hint });
        }
        layers.push(layer);
    }
    let config = Config::resolve(&layers)?;
    Ok((config.model, config.engine))
}
