//! L2: stronger weight decay.
//!
//! The paper calls it a penalty in the loss; the released code raises AdamW's decoupled weight decay, and so do we:
//! `p *= 1 - lr * weight_decay`. Swept over 1, 0.1, 0.01, 0.001, 0.0001; 0.1 in the comparison with augmentation
//! (`scripts/paper/*/l2.sh` of the released code).

use crate::config::Config;
use engine::optim::Adam;

/// The optimiser of a config: its weight decay is that of `l2` where that takes part.
pub fn optimizer(config: &Config) -> Adam {
    let optimizer = &config.optimizer;
    let weight_decay = config.intervention.l2.as_ref().map_or(optimizer.weight_decay, |l2| l2.weight_decay);
    Adam {
        beta1: optimizer.beta1,
        beta2: optimizer.beta2,
        eps: optimizer.eps,
        clip: (optimizer.clip > 0.0).then_some(optimizer.clip),
        ..Adam::adamw(weight_decay)
    }
}
