//! What a graph knows of its tensors: shape, and where the numbers lie.

use crate::params::{ParameterId, StatisticId};

/// A value in the graph. Cheap to copy; belongs to the graph that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor(pub(crate) usize);

/// A network of a graph: its index in the order in which the graph was given them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkId(pub(crate) usize);

impl NetworkId {
    /// The first network of a graph: the only one where [`Graph::training`](super::Graph::training) or
    /// [`Graph::evaluation`](super::Graph::evaluation) began it and nothing was added.
    pub const FIRST: Self = Self(0);
}

/// Where a tensor's numbers lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Storage {
    /// In a block that the planner assigns.
    Activation,
    /// In a buffer that the caller provides under this name.
    Input(String),
    /// In the parameter arena of a network.
    Parameter(NetworkId, ParameterId),
    /// In the gradient arena of a network.
    Gradient(NetworkId, ParameterId),
    /// In the statistics arena of a network.
    Statistic(NetworkId, StatisticId),
    /// Where this other tensor lies, under another shape.
    View(Tensor),
    /// Where this other tensor lies, as a constant.
    Detached(Tensor),
}

#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    pub(crate) shape: Vec<usize>,
    pub(crate) storage: Storage,
}
