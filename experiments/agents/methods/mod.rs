//! What keeps an agent's network plastic (Lyle and others 2023, section 6.2; the last two are not in that paper).
//!
//! | method | what | when |
//! |---|---|---|
//! | [`Method::None`] | | |
//! | [`Method::LastLayerReset`] | the last layer gets new first weights, its moments 0 | every `target_period` updates |
//! | [`Method::ShrinkPerturb`] | `w <- keep w + perturb fresh`, all layers | every `target_period` updates |
//! | [`Method::OptimizerReset`] | moments and step count of Adam 0 | every `target_period` updates |
//! | [`Method::WeightDecay`] | `strength/2 |w|²` in the loss, all parameters | always |
//! | [`Method::Redo`] | dormant units recycled | every `target_period` updates |
//! | [`Method::HareTortoise`] | `online <- target`, which must be an average | every `reset_interval` updates |
//!
//! Where the target network is a copy it is made first, so that the target keeps what a reset takes from the online network.
//! Layer norm and spectral norm of the first layer are keys of the network, two-hot outputs are an
//! [`Output`](super::Output): each goes together with any of these. Whatever a method does follows from seed and
//! number of the update: a checkpoint needs nothing of it.

mod last_layer_reset;
mod redo;

use super::place::Place;
use super::synchronise::{self, Target};
use crate::error::Result;
use crate::interventions::perturbation;
use engine::{Buffer, Launch, Slice, Workspace};
use kernels::arena::Fill;
use std::sync::Arc;

/// What keeps the network plastic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Method {
    /// Nothing.
    #[default]
    None,
    /// New first weights for the last layer.
    LastLayerReset,
    /// All weights shrunk, and fresh ones added that are distributed as first weights are.
    ShrinkPerturb {
        /// Share of a weight that remains, 0 to 1.
        keep: f64,
        /// Factor of the fresh weight, at least 0.
        perturb: f64,
    },
    /// Adam begins anew.
    OptimizerReset,
    /// L2 in the loss.
    WeightDecay {
        /// Its gradient is this times the weight, at least 0.
        strength: f64,
    },
    /// Dormant units get new incoming weights, and outgoing ones of 0.
    Redo {
        /// Largest score of a dormant unit, at least 0.
        threshold: f64,
    },
    /// The online network is set back to its own average.
    HareTortoise {
        /// Updates between two resets, at least 1.
        reset_interval: u64,
    },
}

impl Method {
    /// What must hold of its numbers, and of the target network.
    pub(super) fn check(self, target: Target) -> std::result::Result<(), String> {
        let at_least_0 = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(format!("{name} of {value}: it must be a number of at least 0")),
        };
        match self {
            Self::ShrinkPerturb { keep, perturb } => {
                at_least_0("shrink & perturb with a fresh part", perturb)?;
                match (0.0..=1.0).contains(&keep) {
                    true => Ok(()),
                    false => Err(format!("shrink & perturb that keeps {keep}: it must be 0 to 1")),
                }
            }
            Self::WeightDecay { strength } => at_least_0("weight decay with a strength", strength),
            Self::Redo { threshold } => at_least_0("redo with a threshold", threshold),
            Self::HareTortoise { reset_interval: 0 } => {
                Err("hare & tortoise with resets every 0 updates: it must be at least 1".into())
            }
            Self::HareTortoise { .. } if target == Target::Copy => {
                Err("hare & tortoise with a target that is a copy: \
                a reset would only undo updates; make the target an average"
                    .into())
            }
            Self::None | Self::LastLayerReset | Self::OptimizerReset | Self::HareTortoise { .. } => Ok(()),
        }
    }

    /// Updates between two of its interventions, where it has any.
    pub(super) fn period(self, target_period: u64) -> Option<u64> {
        match self {
            Self::None | Self::WeightDecay { .. } => None,
            Self::HareTortoise { reset_interval } => Some(reset_interval),
            Self::LastLayerReset | Self::ShrinkPerturb { .. } | Self::OptimizerReset | Self::Redo { .. } => {
                Some(target_period)
            }
        }
    }

    /// The launches of an intervention; `states` are the images of the batch of the update before it.
    ///
    /// # Errors
    /// A network that the method cannot be applied to; those of the device.
    pub(super) fn launches(
        self,
        place: &Place<'_>,
        states: &Slice,
        workspace: &mut Workspace,
    ) -> Result<Vec<Launch>> {
        let (parameters, online) = (place.model.parameters(), place.online);
        Ok(match self {
            Self::None | Self::WeightDecay { .. } => Vec::new(),
            Self::LastLayerReset => last_layer_reset::launches(place)?,
            Self::ShrinkPerturb { keep, perturb } => {
                let all = 0..parameters.words();
                vec![perturbation(place.device, parameters, &online.parameters, all, (keep, perturb))?]
            }
            Self::OptimizerReset => {
                place.moments.iter().map(|(_, arena)| cleared(arena, 0..parameters.words())).collect()
            }
            Self::Redo { threshold } => redo::launches(place, states, threshold, workspace)?,
            Self::HareTortoise { .. } => {
                synchronise::copy("online becomes target", parameters, online, place.target)
            }
        })
    }
}

/// Zeros in a range of an arena.
fn cleared(arena: &Buffer, range: std::ops::Range<usize>) -> Launch {
    let kernel = Fill { len: range.len(), value: 0.0 };
    Launch::new("clear moments", Arc::new(kernel), vec![arena.slice(range.start, range.len())])
}
