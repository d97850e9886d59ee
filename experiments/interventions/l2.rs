//! L2: stronger weight decay.
//!
//! The paper calls it a penalty in the loss; the released code raises AdamW's decoupled weight decay, and so do we:
//! `p *= 1 - lr * weight_decay`. Swept over 1, 0.1, 0.01, 0.001, 0.0001; 0.1 in the comparison with augmentation
//! (`scripts/paper/*/l2.sh` of the released code).

use crate::config::Config;

/// The optimiser's weight decay: that of the intervention where `l2` takes part.
pub fn weight_decay(config: &Config) -> f64 {
    if config.has("l2") { config.intervention.weight_decay } else { config.optimizer.weight_decay }
}
