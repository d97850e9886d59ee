//! The kinds of optimisers, and the keys that belong to some of them only: those of classifiers and of agents.

use super::check::{not_negative, positive, refused, share_below_one};
use super::{Error, Layer, Method, Methods};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay.
    AdamW,
    /// Adam, with weight decay in the gradient.
    Adam,
    /// Gradient descent with momentum.
    Sgd,
    /// RMSProp.
    RmsProp,
}

impl OptimizerKind {
    /// All kinds, by name.
    pub const ALL: [(&str, Self); 4] =
        [("adamw", Self::AdamW), ("adam", Self::Adam), ("sgd", Self::Sgd), ("rmsprop", Self::RmsProp)];

    /// Its name in configs.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The kind that layers ask for, if they do.
    ///
    /// # Errors
    /// None of `known`.
    pub(super) fn given(given: &Table, known: &[(&str, Self)]) -> Result<Option<Self>, Error> {
        let Some(value) = given.get("optimizer").and_then(|section| section.get("kind")) else {
            return Ok(None);
        };
        let found = known.iter().find(|(name, _)| value.as_str() == Some(name));
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let reason = || refused("optimizer.kind", value, &format!("it must be one of {}", names.join(", ")));
        found.map(|(_, kind)| Some(*kind)).ok_or_else(reason)
    }

    /// Whether a key is one of other kinds only.
    fn has_not(self, key: &str) -> bool {
        Self::ALL.iter().any(|(_, kind)| kind.keys().contains(&key)) && !self.keys().contains(&key)
    }

    /// The keys of other kinds that a layer sets.
    pub(crate) fn unused(self, layer: &Layer) -> Vec<String> {
        let section = layer.table.get("optimizer").and_then(Value::as_table);
        section.into_iter().flat_map(Table::keys).filter(|key| self.has_not(key)).cloned().collect()
    }

    /// The keys that it has and other kinds have not.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::AdamW | Self::Adam => &["beta1", "beta2", "eps", "eps_root"],
            Self::Sgd => &["momentum"],
            Self::RmsProp => &["alpha", "eps", "centered"],
        }
    }
}

/// The kind, where it is not the section's default, and the keys of kinds: those that the kind has not are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// How parameters follow their gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<OptimizerKind>,
    /// Decay of the first moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of the second moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Added to the denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Added to the second moment, under the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps_root: Option<f64>,
    /// Share of the last step that remains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Decay of RMSProp's moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Divide by the deviation and not by the root mean square.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centered: Option<bool>,
}

impl Rule {
    /// PyTorch's values for the keys of a kind.
    pub(super) fn defaults(kind: OptimizerKind) -> Self {
        let every = Self::every_key();
        let has = |key| kind.keys().contains(&key);
        Self {
            kind: None,
            beta1: every.beta1.filter(|_| has("beta1")),
            beta2: every.beta2.filter(|_| has("beta2")),
            eps: every.eps.filter(|_| has("eps")),
            eps_root: every.eps_root.filter(|_| has("eps_root")),
            momentum: every.momentum.filter(|_| has("momentum")),
            alpha: every.alpha.filter(|_| has("alpha")),
            centered: every.centered.filter(|_| has("centered")),
        }
    }

    /// The keys of all kinds.
    pub(super) fn every_key() -> Self {
        Self {
            kind: Some(OptimizerKind::AdamW),
            beta1: Some(0.9),
            beta2: Some(0.999),
            eps: Some(1e-8),
            eps_root: Some(0.0),
            momentum: Some(0.0),
            alpha: Some(0.99),
            centered: Some(false),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let check = |key: &str, value: Option<f64>, check: fn(&str, f64) -> Result<(), Error>| {
            value.map_or(Ok(()), |value| check(&format!("optimizer.{key}"), value))
        };
        check("beta1", self.beta1, share_below_one)?;
        check("beta2", self.beta2, share_below_one)?;
        check("momentum", self.momentum, share_below_one)?;
        check("alpha", self.alpha, share_below_one)?;
        check("eps_root", self.eps_root, not_negative)?;
        let under_root = self.eps_root.is_some_and(|eps| eps > 0.0);
        check("eps", self.eps, if under_root { not_negative } else { positive })
    }
}

/// Refuses the method `optimizer-reset` for an optimiser that keeps nothing it could reset.
///
/// # Errors
/// Gradient descent without momentum.
pub(super) fn check_resets(methods: &Methods, kind: OptimizerKind, rule: &Rule) -> Result<(), Error> {
    if methods.has(Method::OptimizerReset) && kind == OptimizerKind::Sgd && rule.momentum == Some(0.0) {
        let reason = "optimizer-reset has nothing to reset: optimizer.kind = \"sgd\" keeps nothing without \
                      optimizer.momentum";
        return Err(refused("intervention.method", format!("{:?}", methods.to_string()), reason));
    }
    Ok(())
}

/// Refuses keys of other kinds than `kind` where their layer speaks of one run, and takes them out of `table`, the layers
/// laid over each other. `named` says whether any layer names a kind.
///
/// # Errors
/// A key without effect.
pub(super) fn keep_keys_of(
    kind: OptimizerKind,
    named: bool,
    layers: &[Layer],
    table: &mut Table,
) -> Result<(), Error> {
    for layer in layers {
        let Some(section) = layer.table.get("optimizer").and_then(Value::as_table) else { continue };
        let own = section.get("kind").and_then(Value::as_str).map(|own| own == kind.name());
        if let Some(key) = kind.unused(layer).first()
            && own.unwrap_or_else(|| layer.is_of_one_run(named))
        {
            return Err(Error::WithoutEffect {
                origin: layer.origin.clone(),
                key: format!("optimizer.{key}"),
                choice: format!("optimizer.kind = \"{}\"", kind.name()),
                part: key.clone(),
            });
        }
    }
    if let Some(section) = table.get_mut("optimizer").and_then(Value::as_table_mut) {
        section.retain(|key, _| !kind.has_not(key));
    }
    Ok(())
}
