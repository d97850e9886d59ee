//! What an operation does to the channels of what it reads: by this [`units`](crate::units) follows them.

use super::tensor::Tensor;

/// What an operation does to the channels of what it reads. Operations without one end the way of a unit.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// `weight` makes the units of y from those of x.
    Produce { x: Tensor, weight: Tensor, bias: Option<Tensor>, rectified: bool, y: Tensor },
    /// Every channel by itself, with the parameters of a batch norm.
    Normalise { x: Tensor, norm: NormTensors, rectified: bool, y: Tensor },
    /// An activation function of every channel by itself.
    Activate { x: Tensor, y: Tensor },
    /// Nothing that makes a 0 something else: pooling, dropout.
    Pass { x: Tensor, y: Tensor },
}

/// The tensors of a batch norm, `[C]` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormTensors {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) running_mean: Tensor,
    pub(crate) running_var: Tensor,
}
