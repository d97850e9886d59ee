//! Units: the channels and features that a layer makes, found by following them through the graph.
//!
//! A group of units comes out of a convolution or a linear layer, may pass a batch norm, passes one activation, may pass
//! pooling, dropout and a flattening, and ends in the weights that read it. This is read off the recorded operations, not
//! off the order of layers. Where anything else reads a unit on its way (a residual sum, a layer norm, an attention, the
//! loss), zero weights could not silence it: its layer is no group.

use crate::graph::{Flow, Graph, NetworkId, Node, Storage, Tensor};
use crate::layout::Layout;
use crate::params::Init;
use kernels::reduce::{Activity, ActivitySum};

/// The units of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    /// Name of the layer that makes them, such as `backbone.conv1`.
    pub layer: String,
    /// How many.
    pub count: usize,
    /// What they put out, after the activation: `[.., count]`. CReLU's two halves are values of one unit.
    pub output: Tensor,
    /// Values of a unit in the output: examples times positions.
    pub values: usize,
    /// How the weights that make it begin.
    pub init: Init,
    /// The weight that makes them.
    pub incoming: Axis,
    /// The bias of that layer.
    pub bias: Option<Axis>,
    /// The batch norm between the layer and the activation.
    pub norm: Option<UnitNorm>,
    /// The weights that read them.
    pub outgoing: Vec<Axis>,
}

/// The batch norm of a group of units.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitNorm {
    /// Scale.
    pub weight: Axis,
    /// Shift.
    pub bias: Axis,
    /// Running mean, in the statistics arena.
    pub running_mean: Axis,
    /// Running variance, in the statistics arena.
    pub running_var: Axis,
}

/// Where units lie in a tensor: in the arena it is `[outer, units, inner]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Index of the tensor in the table of its arena.
    pub tensor: usize,
    /// First word in its arena.
    pub offset: usize,
    /// Axes before that of the units, multiplied.
    pub outer: usize,
    /// Units.
    pub units: usize,
    /// Axes behind, multiplied.
    pub inner: usize,
}

impl Axis {
    /// Number of words.
    pub fn words(&self) -> usize {
        self.outer * self.units * self.inner
    }
}

impl Graph<'_> {
    /// The groups of units of a network, in the order in which they are made. To be asked for before [`Graph::backward`]
    /// and [`Graph::measure`], whose operations read them too.
    pub fn units(&self, network: NetworkId) -> Vec<Units> {
        self.flows(network).filter_map(|flow| self.follow(flow)).collect()
    }

    /// What the first layer of a group of a network's parameters reads, `[N, D]`, such as the features that a classifier
    /// is given.
    pub fn input_of(&self, network: NetworkId, group: &str) -> Option<Tensor> {
        self.flows(network).find_map(|flow| match *flow {
            Flow::Produce { x, weight, .. } => (self.segment(weight).group() == group).then_some(x),
            _ => None,
        })
    }

    fn flows(&self, network: NetworkId) -> impl Iterator<Item = &Flow> {
        let nodes = self.nodes.iter().filter(move |node| node.network == network);
        nodes.filter_map(|node| node.flow.as_ref())
    }

    /// Adds the activity of each unit to the buffer that the caller provides under `name`, `[count]`, as soon as the
    /// graph has made their output.
    pub fn measure(&mut self, units: &Units, of: Activity, name: &str) {
        let sum = self.input(name, &[units.count]);
        let kernel = ActivitySum { rows: self.len(units.output) / units.count, columns: units.count, of };
        let output = self.root(units.output);
        let made = self.nodes.iter().position(|node| node.writes().any(|made| self.root(made) == output));
        let node = self.node(format!("activity {}", units.layer), kernel, &[units.output, sum]);
        // Here and not at the end: the memory of the output is free again as early as without this.
        self.nodes.insert(made.map_or(self.nodes.len(), |made| made + 1), node);
    }

    /// The group that a layer makes, if it is one.
    fn follow(&self, producer: &Flow) -> Option<Units> {
        let Flow::Produce { weight, bias, rectified, y, .. } = *producer else { return None };
        let segment = self.segment(weight);
        let (Init::FanIn(_) | Init::LecunNormal(_)) = segment.init else { return None };
        let count = *self.shape(y).last()?;
        let vector = |tensor: Tensor| self.axis(tensor, count, 1);
        let inner = if segment.layout == Layout::Convolution { 1 } else { segment.len / count };
        let incoming = self.axis(weight, count, inner);
        let (mut output, mut norm, mut outgoing) = (rectified.then_some(y), None, Vec::new());
        // Tensors that carry the units, and whether the activation is behind them.
        let mut carriers = vec![(y, rectified)];
        while let Some((carrier, active)) = carriers.pop() {
            for reader in self.readers(carrier) {
                let (x, next) = match (reader?, active) {
                    (&Flow::Produce { x, weight, .. }, true) => {
                        outgoing.push(self.outgoing(weight, count)?);
                        (x, None)
                    }
                    (&Flow::Normalise { x, norm: tensors, rectified, y }, false) => {
                        let met = norm.replace(UnitNorm {
                            weight: vector(tensors.weight),
                            bias: vector(tensors.bias),
                            running_mean: vector(tensors.running_mean),
                            running_var: vector(tensors.running_var),
                        });
                        let before = rectified.then(|| output.replace(y)).flatten();
                        (met.is_none() && before.is_none()).then_some(())?;
                        (x, Some((y, rectified)))
                    }
                    (&Flow::Activate { x, y }, false) => {
                        output.replace(y).is_none().then_some(())?;
                        (x, Some((y, true)))
                    }
                    (&Flow::Pass { x, y }, active) => (x, Some((y, active))),
                    _ => return None,
                };
                let lies = self.root(x) == self.root(carrier) && self.shape(x).last()?.is_multiple_of(count);
                lies.then_some(())?;
                carriers.extend(next);
            }
        }
        let output = output.filter(|_| !outgoing.is_empty() && self.is_used_once(weight))?;
        Some(Units {
            layer: segment.layer().to_string(),
            count,
            output,
            values: self.len(output) / count,
            init: segment.init,
            incoming,
            bias: bias.map(vector),
            norm,
            outgoing,
        })
    }

    /// What the operations do that read a tensor.
    fn readers(&self, tensor: Tensor) -> impl Iterator<Item = Option<&Flow>> {
        let tensor = self.root(tensor);
        let reads = move |node: &&Node| node.reads().any(|read| self.root(read) == tensor);
        self.nodes.iter().filter(reads).map(|node| node.flow.as_ref())
    }

    /// Where the weight of a layer that reads units has them. What is flattened has them last: at every position, and in
    /// both halves of a CReLU.
    fn outgoing(&self, weight: Tensor, count: usize) -> Option<Axis> {
        let segment = self.segment(weight);
        let inner = if segment.layout == Layout::Convolution { segment.shape[0] } else { 1 };
        self.is_used_once(weight).then(|| self.axis(weight, count, inner))
    }

    /// Where `units` units lie in a parameter or running statistic, with `inner` words each behind their axis.
    fn axis(&self, tensor: Tensor, units: usize, inner: usize) -> Axis {
        let segment = self.segment(tensor);
        let index = match self.tensors[tensor.0].storage {
            Storage::Parameter(_, id) => id.0,
            Storage::Statistic(_, id) => id.0,
            _ => unreachable!("tensors without a segment were refused"),
        };
        let outer = segment.len / (units * inner);
        Axis { tensor: index, offset: segment.offset, outer, units, inner }
    }

    /// Whether one operation alone uses a weight: what it means to another is unknown.
    fn is_used_once(&self, weight: Tensor) -> bool {
        self.nodes.iter().flat_map(|node| &node.tensors).filter(|&&tensor| tensor == weight).count() == 1
    }
}
