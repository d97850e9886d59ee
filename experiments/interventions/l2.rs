//! L2: stronger weight decay.
//!
//! The paper calls it a penalty in the loss; the released code raises AdamW's decoupled weight decay, and so do we:
//! `p *= 1 - lr * weight_decay`. With the other kinds of optimisers the decay is part of the gradient. Swept over 1, 0.1,
//! 0.01, 0.001, 0.0001; 0.1 in the comparison with augmentation (`scripts/paper/*/l2.sh` of the released code).

use crate::config::Config;
use crate::optimizer::AnyOptimizer;

/// The optimiser of a config: its weight decay is that of `l2` where that takes part.
pub fn optimizer(config: &Config) -> AnyOptimizer {
    let optimizer = &config.optimizer;
    let weight_decay = config.intervention.l2.as_ref().map_or(optimizer.weight_decay, |l2| l2.weight_decay);
    AnyOptimizer::new(optimizer.kind(), &optimizer.rule, weight_decay, optimizer.clip)
}
