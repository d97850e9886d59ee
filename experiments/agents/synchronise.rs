//! One network after another: by a copy, or by a step of an average.

use engine::{Launch, Network, Parameters};
use kernels::Kernel;
use kernels::arena::{Blend, Copy};
use std::sync::Arc;

/// How the target network follows the online one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// It becomes a copy every `target_period` updates.
    Copy,
    /// After every update `target <- momentum target + (1 - momentum) online`, running statistics too.
    Average {
        /// 0 to 1, and below 1.
        momentum: f64,
    },
}

/// `to = from`, parameters and running statistics.
pub(super) fn copy(label: &str, parameters: &Parameters, to: &Network, from: &Network) -> Vec<Launch> {
    launches(label, parameters, to, from, |len| Arc::new(Copy { len }))
}

/// `to = momentum to + (1 - momentum) from`, parameters and running statistics.
pub(super) fn follow(
    label: &str,
    parameters: &Parameters,
    to: &Network,
    from: &Network,
    momentum: f64,
) -> Vec<Launch> {
    launches(label, parameters, to, from, |len| Arc::new(Blend { len, keep: momentum }))
}

fn launches(
    label: &str,
    parameters: &Parameters,
    to: &Network,
    from: &Network,
    kernel: impl Fn(usize) -> Arc<dyn Kernel>,
) -> Vec<Launch> {
    let arenas = [
        (&to.parameters, &from.parameters, parameters.words()),
        (&to.statistics, &from.statistics, parameters.statistics_words()),
    ];
    arenas
        .into_iter()
        .filter(|(_, _, len)| *len > 0)
        .map(|(to, from, len)| Launch::new(label, kernel(len), vec![to.slice(0, len), from.slice(0, len)]))
        .collect()
}
