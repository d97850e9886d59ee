//! `[intervention]` of an agent: what keeps its network plastic, one method or none, and a table of keys for one that
//! has any.
//!
//! The names are those of classifiers' methods; what a method does to an agent is in `experiments/agents/methods`.

use super::super::check::{at_least_one, not_negative, refused, share};
use super::super::{Error, Method, Methods};
use serde::{Deserialize, Serialize};

/// The method, and its keys: those of the others are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentIntervention {
    /// One of [`AgentIntervention::KNOWN`], or none.
    pub method: Methods,
    /// The online network is set back to the target network, which must be an average of it.
    #[serde(rename = "hare-tortoise", skip_serializing_if = "Option::is_none")]
    pub hare_tortoise: Option<AgentHareTortoise>,
    /// Weights made smaller, and others added, at every target update.
    #[serde(rename = "shrink-perturb", skip_serializing_if = "Option::is_none")]
    pub shrink_perturb: Option<AgentShrinkPerturb>,
    /// L2 in the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2: Option<AgentL2>,
    /// Dormant units that are drawn anew at every target update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redo: Option<AgentRedo>,
}

/// `[intervention.hare-tortoise]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentHareTortoise {
    /// Updates between two resets.
    pub reset_interval: u64,
}

/// `[intervention.shrink-perturb]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentShrinkPerturb {
    /// Share of a weight that remains.
    pub keep: f64,
    /// Factor of the fresh weight.
    pub perturb: f64,
}

/// `[intervention.l2]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentL2 {
    /// The gradient gets this times the weight.
    pub weight_decay: f64,
}

/// `[intervention.redo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRedo {
    /// Largest score of a dormant unit.
    pub threshold: f64,
}

impl AgentIntervention {
    /// The methods that agents know.
    pub const KNOWN: [Method; 6] = [
        Method::HareTortoise,
        Method::ShrinkPerturb,
        Method::HeadReset,
        Method::OptimizerReset,
        Method::L2,
        Method::Redo,
    ];

    pub(super) fn defaults() -> Self {
        Self {
            method: Methods::default(),
            hare_tortoise: Some(AgentHareTortoise { reset_interval: 1_000 }),
            shrink_perturb: Some(AgentShrinkPerturb { keep: 0.8, perturb: 0.2 }),
            l2: Some(AgentL2 { weight_decay: 1e-5 }),
            redo: Some(AgentRedo { threshold: 0.025 }),
        }
    }

    /// The method, if there is one.
    pub fn method(&self) -> Option<Method> {
        Self::KNOWN.into_iter().find(|method| self.method.has(*method))
    }

    /// Checks the keys of all methods, and leaves out those of methods that do not take part.
    pub(super) fn checked(mut self, target_momentum: f64) -> Result<Self, Error> {
        let named = Method::ALL.iter().copied().filter(|method| self.method.has(*method));
        let (known, other): (Vec<Method>, Vec<Method>) =
            named.partition(|method| Self::KNOWN.contains(method));
        if known.len() > 1 || !other.is_empty() {
            let names = Self::KNOWN.map(Method::name).join(", ");
            let reason = format!("an agent has one of none, {names}");
            return Err(refused("intervention.method", format!("{:?}", self.method.to_string()), &reason));
        }
        if let Some(options) = &self.hare_tortoise {
            at_least_one("intervention.hare-tortoise.reset_interval", options.reset_interval as usize)?;
        }
        if let Some(options) = &self.shrink_perturb {
            share("intervention.shrink-perturb.keep", options.keep)?;
            not_negative("intervention.shrink-perturb.perturb", options.perturb)?;
        }
        if let Some(options) = &self.l2 {
            not_negative("intervention.l2.weight_decay", options.weight_decay)?;
        }
        if let Some(options) = &self.redo {
            not_negative("intervention.redo.threshold", options.threshold)?;
        }
        if self.method.has(Method::HareTortoise) && target_momentum == 0.0 {
            let reason = "hare-tortoise resets the online network to the target network: where that is a copy, a reset \
                          only undoes updates; make it an average, such as 0.999";
            return Err(refused("agent.target_momentum", target_momentum, reason));
        }
        let has = |method| self.method.has(method);
        let parts = [Method::HareTortoise, Method::ShrinkPerturb, Method::L2, Method::Redo].map(has);
        self.hare_tortoise = self.hare_tortoise.filter(|_| parts[0]);
        self.shrink_perturb = self.shrink_perturb.filter(|_| parts[1]);
        self.l2 = self.l2.filter(|_| parts[2]);
        self.redo = self.redo.filter(|_| parts[3]);
        Ok(self)
    }
}
