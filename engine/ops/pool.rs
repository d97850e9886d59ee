//! Max and average pooling over windows of `[N, H, W, C]`; formulas: `kernels::pool`.
//!
//! Max pooling keeps which element of each window was the largest, so that its input need not stay in memory for the
//! backward pass.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::pool::{
    AveragePoolBackward, AveragePoolForward, MAX_POOL_KERNEL, MaxPoolBackward, MaxPoolForward,
    MaxPoolTangent, Pool2d,
};

#[derive(Clone, Copy, Debug)]
struct MaxPool {
    x: Tensor,
    y: Tensor,
    argmax: Tensor,
    pool: Pool2d,
}

#[derive(Clone, Copy, Debug)]
struct AveragePool {
    x: Tensor,
    y: Tensor,
    pool: Pool2d,
}

impl Graph<'_> {
    /// The largest element of each window of `kernel` x `kernel` of `[N, H, W, C]`: `[N, OH, OW, C]` with
    /// `OH = (H + 2 padding - kernel) / stride + 1`, rounded down. The padding never wins.
    ///
    /// # Errors
    /// Another number of axes, a stride of 0, a padding of more than half the window, a window larger than the padded
    /// image or than [`MAX_POOL_KERNEL`].
    pub fn max_pool(&mut self, x: Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
        let pool = self.pool("max_pool", x, kernel, stride, padding)?;
        if kernel > MAX_POOL_KERNEL {
            return Err(Error::shape(
                "max_pool",
                format!(
                    "windows of {kernel}x{kernel}, at most {MAX_POOL_KERNEL}x{MAX_POOL_KERNEL} are possible"
                ),
            ));
        }
        let (height, width) = (pool.out_height(), pool.out_width());
        let y = self.activation(&[pool.batch, height, width, pool.channels]);
        // The position in the window, a byte per channel.
        let argmax = self.activation(&[pool.batch, height, width, pool.channels.div_ceil(4)]);
        let rule = MaxPool { x, y, argmax, pool };
        self.push_with_flow(
            "max_pool",
            MaxPoolForward { pool },
            &[x, y, argmax],
            Some(Box::new(rule)),
            Flow::Pass { x, y },
        );
        self.moves(rule);
        Ok(y)
    }

    /// The mean of each window of `kernel` x `kernel` of `[N, H, W, C]`, padding counted as zeros; shapes as
    /// [`Graph::max_pool`].
    ///
    /// # Errors
    /// As [`Graph::max_pool`], but for the largest window.
    pub fn average_pool(
        &mut self,
        x: Tensor,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        let pool = self.pool("average_pool", x, kernel, stride, padding)?;
        let y = self.activation(&[pool.batch, pool.out_height(), pool.out_width(), pool.channels]);
        let rule = AveragePool { x, y, pool };
        self.push_with_flow(
            "average_pool",
            AveragePoolForward { pool },
            &[x, y],
            Some(Box::new(rule)),
            Flow::Pass { x, y },
        );
        self.moves(rule);
        Ok(y)
    }

    /// The mean over all positions of square images `[N, H, H, C]`: `[N, C]`.
    ///
    /// # Errors
    /// Images that are not square.
    pub fn global_average_pool(&mut self, x: Tensor) -> Result<Tensor> {
        let &[batch, height, width, channels] = self.shape(x) else {
            return self.average_pool(x, 1, 1, 0);
        };
        if height != width {
            let shape = self.shape(x);
            return Err(Error::shape(
                "global_average_pool",
                format!("images of shape {shape:?} are not square"),
            ));
        }
        let y = self.average_pool(x, height, height, 0)?;
        self.reshape(y, &[batch, channels])
    }

    fn pool(&self, label: &str, x: Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Pool2d> {
        let shape = self.shape(x);
        let &[batch, height, width, channels] = shape else {
            return Err(Error::shape(label, format!("x has shape {shape:?}, [N, H, W, C] expected")));
        };
        if stride == 0 || 2 * padding > kernel || kernel > 2 * padding + height.min(width) || kernel == 0 {
            return Err(Error::shape(
                label,
                format!(
                    "windows of {kernel}x{kernel} at stride {stride} with padding {padding} do not fit {shape:?}"
                ),
            ));
        }
        Ok(Pool2d { batch, height, width, channels, kernel, stride, padding })
    }
}

impl Gradient for MaxPool {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        let kernel = MaxPoolBackward { pool: self.pool };
        graph.push("max_pool backward", kernel, &[dy, self.argmax, dx], None);
        gradients.add(graph, self.x, dx)
    }
}

impl Gradient for AveragePool {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        graph.push("average_pool backward", AveragePoolBackward { pool: self.pool }, &[dy, dx], None);
        gradients.add(graph, self.x, dx)
    }
}

/// The largest of a window stays the largest.
impl Tangent for MaxPool {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = graph.activation_like(self.y);
        graph.push("max_pool tangent", MaxPoolTangent { pool: self.pool }, &[x, self.argmax, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        let kernel = MaxPoolBackward { pool: self.pool };
        graph.push("max_pool backward tangent", kernel, &[dy, self.argmax, dx], None);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}

impl Tangent for AveragePool {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = graph.activation_like(self.y);
        graph.push("average_pool tangent", AveragePoolForward { pool: self.pool }, &[x, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        graph.push("average_pool backward tangent", AveragePoolBackward { pool: self.pool }, &[dy, dx], None);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
