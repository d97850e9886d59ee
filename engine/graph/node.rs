//! One recorded operation: a kernel, the tensors it is launched on, and what the rest of the engine may ask of it.

use super::flow::Flow;
use super::gradient::Gradient;
use super::tangent::Tangent;
use super::tensor::{NetworkId, Tensor};
use kernels::{Access, Kernel};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) label: String,
    pub(crate) kernel: Arc<dyn Kernel>,
    /// One per binding of the kernel.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) gradient: Option<Box<dyn Gradient>>,
    pub(crate) tangent: Option<Box<dyn Tangent>>,
    /// What it does to the channels of what it reads, where that is said.
    pub(crate) flow: Option<Flow>,
    /// The network that it was recorded for.
    pub(crate) network: NetworkId,
}

impl Node {
    /// The tensors with this access.
    pub(crate) fn with(&self, access: Access) -> impl Iterator<Item = Tensor> {
        let bindings = self.kernel.bindings().into_iter();
        bindings
            .zip(&self.tensors)
            .filter(move |(binding, _)| binding.access == access)
            .map(|(_, &tensor)| tensor)
    }

    /// What it reads and leaves as it is.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Tensor> {
        self.with(Access::Read)
    }

    /// What it changes in place.
    pub(crate) fn updates(&self) -> impl Iterator<Item = Tensor> {
        self.with(Access::ReadWrite)
    }

    /// What it makes anew.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Tensor> {
        self.with(Access::Write)
    }
}
