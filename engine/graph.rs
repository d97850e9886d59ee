//! The graph: ordinary Rust records operations on it, and it becomes a static program.
//!
//! A [`Tensor`] is a handle with a static shape. Recording an operation adds one node: a kernel and the tensors it is
//! launched on. [`Graph::backward`] appends the gradient nodes. The planner then gives each activation its memory.

use crate::error::{Error, Result};
use crate::params::{ParameterId, Parameters, StatisticId};
use crate::units::Flow;
use kernels::{Access, Kernel};
use std::fmt::Debug;
use std::sync::Arc;

/// A value in the graph. Cheap to copy; belongs to the graph that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor(pub(crate) usize);

/// Where a tensor's numbers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In a block that the planner assigns.
    Activation,
    /// In a buffer that the caller provides under this name.
    Input(String),
    /// In the parameter arena.
    Parameter(ParameterId),
    /// In the gradient arena.
    Gradient(ParameterId),
    /// In the statistics arena.
    Statistic(StatisticId),
    /// Where this other tensor lies, under another shape.
    View(Tensor),
}

#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    pub(crate) shape: Vec<usize>,
    pub(crate) storage: Storage,
    /// Some trained parameter influences it.
    pub(crate) needs_gradient: bool,
}

/// How gradients flow back through an operation: one implementation per file of `ops/`.
pub(crate) trait Gradient: Debug {
    /// Reads the gradients of the outputs and adds those of the inputs.
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut crate::autograd::Gradients) -> Result<()>;
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) label: String,
    pub(crate) kernel: Arc<dyn Kernel>,
    /// One per binding of the kernel.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) gradient: Option<Box<dyn Gradient>>,
    /// What it does to the channels of what it reads, where that is said.
    pub(crate) flow: Option<Flow>,
}

/// Recorded operations on tensors of static shape.
#[derive(Debug)]
pub struct Graph<'p> {
    pub(crate) parameters: &'p Parameters,
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, Tensor)>,
    training: bool,
    pub(crate) winograd: bool,
    pub(crate) dropouts: u32,
}

impl<'p> Graph<'p> {
    /// A graph in training mode: batch statistics, dropout.
    pub fn training(parameters: &'p Parameters) -> Self {
        Self {
            parameters,
            tensors: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            training: true,
            winograd: true,
            dropouts: 0,
        }
    }

    /// A graph in evaluation mode: running statistics, no dropout.
    pub fn evaluation(parameters: &'p Parameters) -> Self {
        Self { training: false, ..Self::training(parameters) }
    }

    /// Whether convolutions that are recorded from now on may use Winograd's method on the CPU where it is faster; at
    /// first they may. It rounds a little more.
    pub fn set_winograd(&mut self, winograd: bool) {
        self.winograd = winograd;
    }

    /// Whether the graph is in training mode.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// A tensor whose buffer the caller provides under `name`.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.tensor(shape, Storage::Input(name.to_string()), false)
    }

    /// Keeps a tensor readable after the run, under `name`.
    pub fn output(&mut self, name: &str, tensor: Tensor) {
        self.outputs.push((name.to_string(), tensor));
    }

    /// Shape of a tensor, channels last.
    pub fn shape(&self, tensor: Tensor) -> &[usize] {
        &self.tensors[tensor.0].shape
    }

    /// The same numbers under another shape with as many elements.
    ///
    /// # Errors
    /// Another number of elements.
    pub fn reshape(&mut self, x: Tensor, shape: &[usize]) -> Result<Tensor> {
        if self.len(x) != shape.iter().product::<usize>() {
            return Err(Error::shape(
                "reshape",
                format!("{:?} does not have the elements of {shape:?}", self.shape(x)),
            ));
        }
        let needs_gradient = self.tensors[x.0].needs_gradient;
        Ok(self.tensor(shape, Storage::View(x), needs_gradient))
    }

    /// Floating-point operations of one run of all that is recorded.
    pub fn flops(&self) -> u64 {
        self.nodes.iter().map(|node| node.kernel.cost().flops).sum()
    }

    pub(crate) fn len(&self, tensor: Tensor) -> usize {
        self.shape(tensor).iter().product()
    }

    pub(crate) fn activation(&mut self, shape: &[usize]) -> Tensor {
        self.tensor(shape, Storage::Activation, false)
    }

    pub(crate) fn parameter(&mut self, id: ParameterId) -> Tensor {
        let shape = self.parameters.trained()[id.0].shape.clone();
        self.tensor(&shape, Storage::Parameter(id), true)
    }

    pub(crate) fn gradient(&mut self, id: ParameterId) -> Tensor {
        let shape = self.parameters.trained()[id.0].shape.clone();
        self.tensor(&shape, Storage::Gradient(id), false)
    }

    pub(crate) fn statistic(&mut self, id: StatisticId) -> Tensor {
        let shape = self.parameters.statistics()[id.0].shape.clone();
        self.tensor(&shape, Storage::Statistic(id), false)
    }

    /// The tensor whose memory `tensor` shares.
    pub(crate) fn root(&self, mut tensor: Tensor) -> Tensor {
        while let Storage::View(base) = self.tensors[tensor.0].storage {
            tensor = base;
        }
        tensor
    }

    pub(crate) fn layer_name(&self, id: ParameterId) -> &'p str {
        self.parameters.trained()[id.0].layer()
    }

    fn tensor(&mut self, shape: &[usize], storage: Storage, needs_gradient: bool) -> Tensor {
        self.tensors.push(TensorInfo { shape: shape.to_vec(), storage, needs_gradient });
        Tensor(self.tensors.len() - 1)
    }

    /// Appends a launch of `kernel` on `tensors`. Written tensors need a gradient if a read one does and the
    /// operation has a gradient rule.
    pub(crate) fn push(
        &mut self,
        label: impl Into<String>,
        kernel: impl Kernel + 'static,
        tensors: &[Tensor],
        gradient: Option<Box<dyn Gradient>>,
    ) {
        self.push_with_flow(label, kernel, tensors, gradient, None);
    }

    /// As [`Graph::push`], and says what the operation does to the channels of what it reads.
    pub(crate) fn push_with_flow(
        &mut self,
        label: impl Into<String>,
        kernel: impl Kernel + 'static,
        tensors: &[Tensor],
        gradient: Option<Box<dyn Gradient>>,
        flow: impl Into<Option<Flow>>,
    ) {
        let node = self.node(label, kernel, tensors, gradient, flow.into());
        self.nodes.push(node);
    }

    /// The node of an operation, whose place is still open.
    pub(crate) fn node(
        &mut self,
        label: impl Into<String>,
        kernel: impl Kernel + 'static,
        tensors: &[Tensor],
        gradient: Option<Box<dyn Gradient>>,
        flow: Option<Flow>,
    ) -> Node {
        let bindings = kernel.bindings();
        debug_assert_eq!(bindings.len(), tensors.len(), "{}: one tensor per buffer", kernel.name());
        let differentiable = gradient.is_some()
            && bindings.iter().zip(tensors).any(|(binding, tensor)| {
                binding.access == Access::Read && self.tensors[tensor.0].needs_gradient
            });
        for (binding, tensor) in bindings.iter().zip(tensors) {
            debug_assert_eq!(
                binding.words,
                self.len(*tensor),
                "{}: length of {}",
                kernel.name(),
                binding.name
            );
            if binding.access == Access::Write {
                self.tensors[tensor.0].needs_gradient |= differentiable;
            }
        }
        Node { label: label.into(), kernel: Arc::new(kernel), tensors: tensors.to_vec(), gradient, flow }
    }
}
