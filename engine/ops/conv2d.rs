//! `y = conv(x, weight) + bias`, x `[N, H, W, C]`, y `[N, OH, OW, O]`; formulas: `kernels::conv2d`.
//!
//! The weight is a parameter of [`Layout::Convolution`](crate::params::Layout::Convolution). Its gradient is written
//! straight into the arena; that of x only where somebody wants it, which spares the first layer the work. All three passes
//! are products of two, so a tangent has two terms: y' = conv(x', weight) + conv(x, weight') + bias', and so on.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use crate::params::{Layout, ParameterId};
use kernels::conv2d::{self, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use kernels::reduce::ColumnSum;

#[derive(Clone, Copy, Debug)]
struct Conv2d {
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    y: Tensor,
    conv: conv2d::Conv2d,
    winograd: bool,
}

impl Graph<'_> {
    /// A convolution of `[N, H, W, C]` with square filters `[O, C, K, K]`, zeros around the image and an optional bias:
    /// `[N, OH, OW, O]` with `OH = (H + 2 padding - K) / stride + 1`, rounded down.
    ///
    /// # Errors
    /// Shapes that do not fit, a stride of 0, a padding that is not less than K, a filter larger than the padded image.
    pub fn conv2d(
        &mut self,
        x: Tensor,
        weight: ParameterId,
        bias: Option<ParameterId>,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        let (weight, bias) = (self.parameter(weight), bias.map(|id| self.parameter(id)));
        let label = format!("conv2d {}", self.layer_name(weight));
        let (&[batch, height, width, in_channels], &[out_channels, inputs, kernel, columns]) =
            (self.shape(x), self.shape(weight))
        else {
            let (x, w) = (self.shape(x), self.shape(weight));
            return Err(Error::shape(
                label,
                format!("x has shape {x:?}, weight {w:?}: [N, H, W, C] and [O, C, K, K] expected"),
            ));
        };
        let fits =
            in_channels == inputs && kernel == columns && self.segment(weight).layout == Layout::Convolution;
        if !fits {
            let (x, w) = (self.shape(x), self.shape(weight));
            return Err(Error::shape(
                label,
                format!("x has shape {x:?}, weight {w:?}: filters [O, {in_channels}, K, K] expected"),
            ));
        }
        let reach = 2 * padding + height.min(width);
        if stride == 0 || padding >= kernel || kernel > reach {
            let x = self.shape(x);
            return Err(Error::shape(
                label,
                format!(
                    "filters of {kernel}x{kernel} at stride {stride} with padding {padding} do not fit {x:?}"
                ),
            ));
        }
        let conv =
            conv2d::Conv2d { batch, height, width, in_channels, out_channels, kernel, stride, padding };
        let y = self.activation(&[batch, conv.out_height(), conv.out_width(), out_channels]);
        let mut tensors = vec![x, weight];
        tensors.extend(bias);
        tensors.push(y);
        let winograd = self.winograd();
        let rule = Conv2d { x, weight, bias, y, conv, winograd };
        let kernel = Conv2dForward { conv, bias: bias.is_some(), winograd };
        self.push_with_flow(
            label,
            kernel,
            &tensors,
            Some(Box::new(rule)),
            Flow::Produce { x, weight, bias, rectified: false, y },
        );
        self.moves(rule);
        Ok(y)
    }
}

impl Gradient for Conv2d {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let label = graph.layer_name(self.weight);
        let (conv, winograd) = (self.conv, self.winograd);
        if gradients.wanted(graph, self.weight) {
            let groups = gradients.groups(graph, self.weight, conv.batch)?;
            let dweight = gradients.target(graph, self.weight);
            let kernel = Conv2dBackwardWeight { conv, groups, winograd };
            graph.push(format!("conv2d backward_weight {label}"), kernel, &[self.x, dy, dweight], None);
            gradients.written(graph, self.weight, dweight);
        }
        if let Some(bias) = self.bias.filter(|&bias| gradients.wanted(graph, bias)) {
            let groups = gradients.groups(graph, bias, conv.batch)?;
            let dbias = gradients.target(graph, bias);
            let (rows, columns) = (conv.y_len() / conv.out_channels, conv.out_channels);
            let kernel = ColumnSum { rows, columns, groups };
            graph.push(format!("conv2d backward_bias {label}"), kernel, &[dy, dbias], None);
            gradients.written(graph, bias, dbias);
        }
        if gradients.wanted(graph, self.x) {
            let shape = graph.shape(self.x).to_vec();
            let dx = graph.activation(&shape);
            let kernel = Conv2dBackwardData { conv, winograd };
            graph.push(format!("conv2d backward_data {label}"), kernel, &[dy, self.weight, dx], None);
            gradients.add(graph, self.x, dx)?;
        }
        Ok(())
    }
}

impl Tangent for Conv2d {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let (conv, winograd) = (self.conv, self.winograd);
        let bias = self.bias.and_then(|bias| tangents.of(graph, bias));
        let terms = [
            tangents.of(graph, self.x).map(|x| (x, self.weight, None)),
            tangents.of(graph, self.weight).map(|weight| (self.x, weight, bias)),
        ];
        let mut y = Vec::new();
        for (x, weight, bias) in terms.into_iter().flatten() {
            let term = graph.activation_like(self.y);
            let kernel = Conv2dForward { conv, bias: bias.is_some(), winograd };
            let tensors: Vec<Tensor> = [x, weight].into_iter().chain(bias).chain([term]).collect();
            graph.push(format!("conv2d tangent {}", graph.layer_name(self.weight)), kernel, &tensors, None);
            y.push(term);
        }
        if let Some(y) = graph.sum(&y) {
            tangents.set(graph, self.y, y);
        }
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([dy, dy_tangent]) = tangents.take(graph, self.y) else { return Ok(()) };
        let (conv, winograd, name) = (self.conv, self.winograd, graph.layer_name(self.weight));
        let label = |pass: &str| format!("conv2d {pass} tangent {name}");
        let (x_tangent, weight_tangent) = (tangents.of(graph, self.x), tangents.of(graph, self.weight));
        if tangents.wanted(graph, self.weight) {
            for (x, dy) in [Some((self.x, dy_tangent)), x_tangent.map(|x| (x, dy))].into_iter().flatten() {
                let dweight = graph.activation_like(self.weight);
                let kernel = Conv2dBackwardWeight { conv, winograd, groups: 1 };
                graph.push(label("backward_weight"), kernel, &[x, dy, dweight], None);
                tangents.add(graph, self.weight, dweight);
            }
        }
        if let Some(bias) = self.bias.filter(|&bias| tangents.wanted(graph, bias)) {
            let dbias = graph.activation_like(bias);
            let (rows, columns) = (conv.y_len() / conv.out_channels, conv.out_channels);
            let kernel = ColumnSum { rows, columns, groups: 1 };
            graph.push(label("backward_bias"), kernel, &[dy_tangent, dbias], None);
            tangents.add(graph, bias, dbias);
        }
        if tangents.wanted(graph, self.x) {
            let terms = [Some((dy_tangent, self.weight)), weight_tangent.map(|weight| (dy, weight))];
            for (dy, weight) in terms.into_iter().flatten() {
                let dx = graph.activation_like(self.x);
                let kernel = Conv2dBackwardData { conv, winograd };
                graph.push(label("backward_data"), kernel, &[dy, weight, dx], None);
                tangents.add(graph, self.x, dx);
            }
        }
        Ok(())
    }
}
