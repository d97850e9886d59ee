//! `y = activation(x W^T + b)`, x `[N, in]`, W `[out, in]`, b `[out]`, y `[N, out]`.
//!
//! With dz the gradient before the activation: dx = dz W, dW = dz^T x, db = column sums of dz. All are products of two, so
//! a tangent, written with a prime, has two terms: z' = x' W^T + x W'^T + b', dx' = dz' W + dz W', and so on.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use crate::params::ParameterId;
use kernels::matmul::{Activation, Matmul};
use kernels::reduce::ColumnSum;

#[derive(Clone, Debug)]
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
        self.push_with_flow(label, kernel, &tensors, Some(Box::new(rule.clone())), flow);
        if self.is_parameter(weight) {
            self.moves(rule);
        }
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
            dz = graph.where_positive(format!("relu backward {label}"), self.y, dz);
        }
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

/// A product of two matrices, the second as it is stored.
fn product(m: usize, n: usize, k: usize, a_transposed: bool) -> Matmul {
    let activation = Activation::None;
    Matmul { batch: 1, m, n, k, a_transposed, b_transposed: false, bias: false, activation }
}

impl Tangent for Linear {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let label = format!("linear tangent {}", self.name.clone());
        let (&[rows, outputs], &[_, inputs]) = (graph.shape(self.y), graph.shape(self.x)) else {
            unreachable!("checked when the node was recorded")
        };
        let bias = self.bias.and_then(|bias| tangents.of(graph, bias));
        let terms = [
            tangents.of(graph, self.x).map(|x| (x, self.weight, None)),
            tangents.of(graph, self.weight).map(|weight| (self.x, weight, bias)),
        ];
        let mut z = Vec::new();
        for (x, weight, bias) in terms.into_iter().flatten() {
            let term = graph.activation(&[rows, outputs]);
            let kernel =
                Matmul { b_transposed: true, bias: bias.is_some(), ..product(rows, outputs, inputs, false) };
            let tensors: Vec<Tensor> = [x, weight].into_iter().chain(bias).chain([term]).collect();
            graph.push(&label, kernel, &tensors, None);
            z.push(term);
        }
        let Some(mut y) = graph.sum(&z) else { return Ok(()) };
        if self.activation == Activation::Relu {
            y = graph.where_positive(format!("relu tangent {label}"), self.y, y);
        }
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(mut dz) = tangents.take(graph, self.y) else { return Ok(()) };
        let name = self.name.clone();
        let label = |pass: &str| format!("linear {pass} tangent {name}");
        let (&[rows, outputs], &[_, inputs]) = (graph.shape(self.y), graph.shape(self.x)) else {
            unreachable!("checked when the node was recorded")
        };
        if self.activation == Activation::Relu {
            dz = dz.map(|dz| graph.where_positive(format!("relu backward {name}"), self.y, dz));
        }
        let [dz, dz_tangent] = dz;
        let (x_tangent, weight_tangent) = (tangents.of(graph, self.x), tangents.of(graph, self.weight));
        if tangents.wanted(graph, self.weight) {
            for (dz, x) in [Some((dz_tangent, self.x)), x_tangent.map(|x| (dz, x))].into_iter().flatten() {
                let dweight = graph.activation_like(self.weight);
                let kernel = product(outputs, inputs, rows, true);
                graph.push(label("backward_weight"), kernel, &[dz, x, dweight], None);
                tangents.add(graph, self.weight, dweight);
            }
        }
        if let Some(bias) = self.bias.filter(|&bias| tangents.wanted(graph, bias)) {
            let dbias = graph.activation_like(bias);
            graph.push(
                label("backward_bias"),
                ColumnSum { rows, columns: outputs, groups: 1 },
                &[dz_tangent, dbias],
                None,
            );
            tangents.add(graph, bias, dbias);
        }
        if tangents.wanted(graph, self.x) {
            let terms = [Some((dz_tangent, self.weight)), weight_tangent.map(|weight| (dz, weight))];
            for (dz, weight) in terms.into_iter().flatten() {
                let dx = graph.activation(&[rows, inputs]);
                let kernel = product(rows, inputs, outputs, false);
                graph.push(label("backward_data"), kernel, &[dz, weight, dx], None);
                tangents.add(graph, self.x, dx);
            }
        }
        Ok(())
    }
}
