//! `y = conv(x, weight) + bias`, x `[N, H, W, C]`, y `[N, OH, OW, O]`; formulas: `kernels::conv2d`.
//!
//! The weight is a parameter of [`Layout::Convolution`](crate::params::Layout::Convolution). Its gradient is written
//! straight into the arena; that of x only where somebody wants it, which spares the first layer the work.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tensor};
use crate::params::{Layout, ParameterId};
use kernels::conv2d::{self, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use kernels::reduce::ColumnSum;

#[derive(Debug)]
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
