//! `y = activation(x W^T + b)`, x `[N, in]`, W `[out, in]`, b `[out]`, y `[N, out]`.
//!
//! With dz the gradient before the activation: dx = dz W, dW = dz^T x, db = column sums of dz.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tensor};
use crate::params::ParameterId;
use kernels::elementwise::ReluBackward;
use kernels::matmul::{Activation, Matmul};
use kernels::reduce::ColumnSum;

#[derive(Debug)]
struct Linear {
    /// Of the layer.
    name: String,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    activation: Activation,
    y: Tensor,
}

impl Graph<'_> {
    /// A fully connected layer with an optional fused activation.
    ///
    /// # Errors
    /// If x is not `[N, in]` for a weight of shape `[out, in]`.
    pub fn linear(
        &mut self,
        x: Tensor,
        weight: ParameterId,
        bias: Option<ParameterId>,
        activation: Activation,
    ) -> Result<Tensor> {
        let weight = self.parameter(weight);
        let name = self.layer_name(weight);
        self.linear_of(name, x, weight, bias, activation)
    }

    /// The same with a weight that an operation made, for the layer with this name; then its outputs are no units.
    ///
    /// # Errors
    /// As [`Graph::linear`].
    pub(crate) fn linear_of(
        &mut self,
        name: &str,
        x: Tensor,
        weight: Tensor,
        bias: Option<ParameterId>,
        activation: Activation,
    ) -> Result<Tensor> {
        let bias = bias.map(|id| self.parameter(id));
        let label = format!("linear {name}");
        let (&[rows, width], &[outputs, inputs]) = (self.shape(x), self.shape(weight)) else {
            return Err(Error::shape(label, format!("x has shape {:?}, [N, in] expected", self.shape(x))));
        };
        if width != inputs {
            let (x, w) = (self.shape(x), self.shape(weight));
            return Err(Error::shape(
                label,
                format!("x has shape {x:?}, weight {w:?}: {width} is not {inputs}"),
            ));
        }
        let y = self.activation(&[rows, outputs]);
        let mut tensors = vec![x, weight];
        tensors.extend(bias);
        tensors.push(y);
        let kernel = Matmul {
            batch: 1,
            m: rows,
            n: outputs,
            k: inputs,
            a_transposed: false,
            b_transposed: true,
            bias: bias.is_some(),
            activation,
        };
        let rule = Linear { name: name.to_string(), x, weight, bias, activation, y };
        let flow = Flow::Produce { x, weight, bias, rectified: activation == Activation::Relu, y };
        let flow = self.is_parameter(weight).then_some(flow);
        self.push_with_flow(label, kernel, &tensors, Some(Box::new(rule)), flow);
        Ok(y)
    }
}

impl Gradient for Linear {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(mut dz) = gradients.take(graph, self.y) else { return Ok(()) };
        let label = &self.name;
        let (&[rows, outputs], &[_, inputs]) = (graph.shape(self.y), graph.shape(self.x)) else {
            unreachable!("checked when the node was recorded")
        };
        if self.activation == Activation::Relu {
            let dy = dz;
            dz = graph.activation(&[rows, outputs]);
            let kernel = ReluBackward { len: rows * outputs };
            graph.push(format!("relu backward {label}"), kernel, &[self.y, dy, dz], None);
        }
        let product = |m, n, k, a_transposed| Matmul {
            batch: 1,
            m,
            n,
            k,
            a_transposed,
            b_transposed: false,
            bias: false,
            activation: Activation::None,
        };
        if gradients.wanted(graph, self.weight) {
            let label = format!("linear backward_weight {label}");
            if graph.is_parameter(self.weight) {
                gradients.outer_products(graph, label, self.weight, [dz, self.x])?;
            } else {
                let dweight = graph.activation(&[outputs, inputs]);
                let kernel = product(outputs, inputs, rows, true);
                graph.push(label, kernel, &[dz, self.x, dweight], None);
                gradients.add(graph, self.weight, dweight)?;
            }
        }
        if let Some(bias) = self.bias.filter(|&bias| gradients.wanted(graph, bias)) {
            let groups = gradients.groups(graph, bias, rows)?;
            let dbias = gradients.target(graph, bias);
            let kernel = ColumnSum { rows, columns: outputs, groups };
            graph.push(format!("linear backward_bias {label}"), kernel, &[dz, dbias], None);
            gradients.written(graph, bias, dbias);
        }
        if gradients.wanted(graph, self.x) {
            let dx = graph.activation(&[rows, inputs]);
            let kernel = product(rows, inputs, outputs, false);
            graph.push(format!("linear backward_data {label}"), kernel, &[dz, self.weight, dx], None);
            gradients.add(graph, self.x, dx)?;
        }
        Ok(())
    }
}
