//! The graph: ordinary Rust records operations on it, and it becomes a static program.
//!
//! A [`Tensor`] is a handle with a static shape. Recording an operation adds one node: a kernel and the tensors it is
//! launched on. [`Graph::backward`] appends the gradient nodes. The planner then gives each activation its memory.
//!
//! A graph knows one network or several, each a table of [`Parameters`] whose arenas are bound later: a network that
//! trains and one that teaches it, an agent and its target. [`Graph::with`] says for which one operations are recorded.

mod backward;
mod flow;
mod gradient;
mod hessian;
mod node;
mod sink;
mod tangent;
mod tensor;

pub use backward::Wanted;
pub(crate) use flow::{Flow, NormTensors};
pub(crate) use gradient::{Gradient, Gradients};
pub(crate) use node::Node;
pub(crate) use tangent::{Tangent, Tangents};
pub use tensor::{NetworkId, Tensor};
pub(crate) use tensor::{Storage, TensorInfo};

use crate::error::{Error, Result};
use crate::params::{ParameterId, Parameters, Segment, StatisticId};
use kernels::{Access, Kernel};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How a network is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, which move the running ones; dropout.
    Training,
    /// Running statistics, no dropout.
    Evaluation,
}

/// A network as a graph knows it.
#[derive(Debug)]
pub(crate) struct Network<'p> {
    /// What its operations are labelled with; empty for the only one.
    pub(crate) name: String,
    pub(crate) parameters: &'p Parameters,
    /// Dropout layers recorded so far.
    pub(crate) dropouts: u32,
}

/// The network and mode that operations are recorded for.
#[derive(Clone, Copy, Debug)]
struct Scope {
    network: NetworkId,
    mode: Mode,
}

/// Recorded operations on tensors of static shape.
#[derive(Debug)]
pub struct Graph<'p> {
    pub(crate) networks: Vec<Network<'p>>,
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, Tensor)>,
    /// The tensors that lie in arenas: one each, however often they are used.
    arenas: HashMap<Storage, Tensor>,
    /// Parameters whose gradient some backward pass writes, and inputs that take those of single examples.
    differentiated: HashSet<Tensor>,
    scope: Scope,
    winograd: bool,
    dropout: bool,
}

impl<'p> Graph<'p> {
    /// A graph of one network in training mode. [`Graph::network`] may add others.
    pub fn training(parameters: &'p Parameters) -> Self {
        Self::of("", parameters, Mode::Training)
    }

    /// A graph of one network in evaluation mode. [`Graph::network`] may add others.
    pub fn evaluation(parameters: &'p Parameters) -> Self {
        Self::of("", parameters, Mode::Evaluation)
    }

    fn of(name: &str, parameters: &'p Parameters, mode: Mode) -> Self {
        let mut graph = Self {
            networks: Vec::new(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            arenas: HashMap::new(),
            differentiated: HashSet::new(),
            scope: Scope { network: NetworkId::FIRST, mode },
            winograd: true,
            dropout: true,
        };
        graph.network(name, parameters);
        graph
    }

    /// Adds a network, which may have the same table as another. Its operations are labelled `name: `.
    pub fn network(&mut self, name: &str, parameters: &'p Parameters) -> NetworkId {
        self.networks.push(Network { name: name.to_string(), parameters, dropouts: 0 });
        NetworkId(self.networks.len() - 1)
    }

    /// Records operations for a network in a mode of its own; whatever is recorded afterwards is for the one before.
    ///
    /// # Errors
    /// Those of `record`.
    pub fn with<T>(
        &mut self,
        network: NetworkId,
        mode: Mode,
        record: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = std::mem::replace(&mut self.scope, Scope { network, mode });
        let outcome = record(self);
        self.scope = before;
        outcome
    }

    /// Whether convolutions that are recorded from now on may use Winograd's method on the CPU where it is faster; at
    /// first they may. It rounds a little more.
    pub fn set_winograd(&mut self, winograd: bool) {
        self.winograd = winograd;
    }

    pub(crate) fn winograd(&self) -> bool {
        self.winograd
    }

    /// Whether operations that are recorded from now on drop anything in training mode; at first they do.
    pub fn set_dropout(&mut self, dropout: bool) {
        self.dropout = dropout;
    }

    pub(crate) fn dropout_is_on(&self) -> bool {
        self.dropout && self.is_training()
    }

    /// Whether operations are recorded in training mode.
    pub fn is_training(&self) -> bool {
        self.scope.mode == Mode::Training
    }

    /// A tensor whose buffer the caller provides under `name`.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.tensor(shape, Storage::Input(name.to_string()))
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
        Ok(self.tensor(shape, Storage::View(x)))
    }

    /// The same numbers as a constant: no gradient flows back through it.
    pub fn detach(&mut self, x: Tensor) -> Tensor {
        let shape = self.shape(x).to_vec();
        self.tensor(&shape, Storage::Detached(x))
    }

    /// Floating-point operations of one run of all that is recorded.
    pub fn flops(&self) -> u64 {
        self.nodes.iter().map(|node| node.kernel.cost().flops).sum()
    }

    pub(crate) fn len(&self, tensor: Tensor) -> usize {
        self.shape(tensor).iter().product()
    }

    pub(crate) fn parameters(&self, network: NetworkId) -> &'p Parameters {
        self.networks[network.0].parameters
    }

    /// The network that operations are recorded for.
    pub(crate) fn current(&mut self) -> &mut Network<'p> {
        &mut self.networks[self.scope.network.0]
    }

    pub(crate) fn activation(&mut self, shape: &[usize]) -> Tensor {
        self.tensor(shape, Storage::Activation)
    }

    /// An activation of the shape of another tensor.
    pub(crate) fn activation_like(&mut self, tensor: Tensor) -> Tensor {
        let shape = self.shape(tensor).to_vec();
        self.activation(&shape)
    }

    /// A parameter of the network that operations are recorded for.
    pub(crate) fn parameter(&mut self, id: ParameterId) -> Tensor {
        let network = self.scope.network;
        let shape = &self.parameters(network).trained()[id.0].shape;
        self.fixed(Storage::Parameter(network, id), shape)
    }

    /// A running statistic of the network that operations are recorded for.
    pub(crate) fn statistic(&mut self, id: StatisticId) -> Tensor {
        let network = self.scope.network;
        let shape = &self.parameters(network).statistics()[id.0].shape;
        self.fixed(Storage::Statistic(network, id), shape)
    }

    /// The one tensor that lies at this place of an arena.
    fn fixed(&mut self, storage: Storage, shape: &[usize]) -> Tensor {
        if let Some(&tensor) = self.arenas.get(&storage) {
            return tensor;
        }
        let tensor = self.tensor(shape, storage.clone());
        self.arenas.insert(storage, tensor);
        tensor
    }

    /// The tensor whose memory `tensor` shares.
    pub(crate) fn root(&self, mut tensor: Tensor) -> Tensor {
        while let Storage::View(base) | Storage::Detached(base) = self.tensors[tensor.0].storage {
            tensor = base;
        }
        tensor
    }

    /// The tensor whose gradient that of `tensor` is: its memory's owner, unless it was detached on the way.
    pub(crate) fn origin(&self, mut tensor: Tensor) -> Tensor {
        while let Storage::View(base) = self.tensors[tensor.0].storage {
            tensor = base;
        }
        tensor
    }

    /// Where a parameter or a running statistic lies in its arena.
    ///
    /// # Panics
    /// If the tensor is neither: a bug in an operation.
    pub(crate) fn segment(&self, tensor: Tensor) -> &'p Segment {
        match self.tensors[tensor.0].storage {
            Storage::Parameter(network, id) | Storage::Gradient(network, id) => {
                &self.parameters(network).trained()[id.0]
            }
            Storage::Statistic(network, id) => &self.parameters(network).statistics()[id.0],
            _ => unreachable!("only tensors in arenas have a segment"),
        }
    }

    /// Whether a tensor is a parameter, and not what an operation made of one.
    pub(crate) fn is_parameter(&self, tensor: Tensor) -> bool {
        matches!(self.tensors[tensor.0].storage, Storage::Parameter(..))
    }

    /// The name of the layer of a parameter.
    pub(crate) fn layer_name(&self, parameter: Tensor) -> &'p str {
        self.segment(parameter).layer()
    }

    fn tensor(&mut self, shape: &[usize], storage: Storage) -> Tensor {
        self.tensors.push(TensorInfo { shape: shape.to_vec(), storage });
        Tensor(self.tensors.len() - 1)
    }

    /// Appends a launch of `kernel` on `tensors`; with a gradient rule it can be differentiated.
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
        let mut node = self.node(label, kernel, tensors);
        (node.gradient, node.flow) = (gradient, flow.into());
        self.nodes.push(node);
    }

    /// The node of an operation, whose place is still open.
    pub(crate) fn node(
        &self,
        label: impl Into<String>,
        kernel: impl Kernel + 'static,
        tensors: &[Tensor],
    ) -> Node {
        let bindings = kernel.bindings();
        debug_assert_eq!(bindings.len(), tensors.len(), "{}: one tensor per buffer", kernel.name());
        for (binding, tensor) in bindings.iter().zip(tensors) {
            let words = self.len(*tensor);
            debug_assert_eq!(binding.words, words, "{}: length of {}", kernel.name(), binding.name);
            debug_assert!(
                binding.access == Access::Read || !self.is_parameter(*tensor),
                "{}: an operation does not write parameters",
                kernel.name()
            );
        }
        let network = self.scope.network;
        let label = match self.networks[network.0].name.as_str() {
            "" => label.into(),
            name => format!("{name}: {}", label.into()),
        };
        Node {
            label,
            kernel: Arc::new(kernel),
            tensors: tensors.to_vec(),
            gradient: None,
            tangent: None,
            flow: None,
            network,
        }
    }
}
