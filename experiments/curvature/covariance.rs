//! The covariance of the gradients of single examples, normalised to cosines:
//!
//! ```text
//! C[i, j] = <g_i, g_j> / (|g_i| |g_j|)        g_i = the gradient of the loss of example i by all parameters
//! ```
//!
//! Values below 0 are interference: a step that lowers the loss of one example raises that of the other. Blocks of values
//! near 1 or -1 are gradients that point one way (Lyle et al. 2023, Section 2.1).
//!
//! Gradients are made in pieces of as many examples as the memory holds twice; the device multiplies each piece with each,
//! and only the products are read back.

use crate::error::{Error, Result};
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Network, NetworkId, Parameters, Plan, Program, Tensor,
    Wanted, Workspace,
};
use kernels::arena::Copy;
use kernels::matmul::{Activation, Matmul};
use std::sync::Arc;

/// One input of a graph for all examples.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What the graph calls it.
    pub name: &'a str,
    /// Shape of one example's.
    pub shape: &'a [usize],
    /// `[examples, shape]`.
    pub words: &'a [u32],
}

/// Records what becomes of the inputs of some examples, and returns a tensor with the gradient of the mean loss by it.
pub type Record<'a> = dyn Fn(&mut Graph<'_>, &[Tensor]) -> engine::Result<(Tensor, Tensor)> + 'a;

/// The cosines between the gradients of n examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariance {
    /// Examples.
    pub n: usize,
    /// `[n, n]`, row by row. An example without any gradient has zeros, also with itself.
    pub cosines: Vec<f64>,
}

impl Covariance {
    /// The same with the examples in this order.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        let row = |&i: &usize| order.iter().map(move |&j| self.cosines[i * self.n + j]);
        Self { n: order.len(), cosines: order.iter().flat_map(row).collect() }
    }

    /// The cosines between different examples, each pair once.
    fn pairs(&self) -> impl Iterator<Item = f64> {
        (0..self.n).flat_map(move |i| (i + 1..self.n).map(move |j| self.cosines[i * self.n + j]))
    }

    /// The mean cosine between different examples; 0 of fewer than two.
    pub fn mean(&self) -> f64 {
        self.pairs().sum::<f64>() / self.pairs().count().max(1) as f64
    }

    /// The share of pairs of different examples whose gradients interfere: whose cosine is negative.
    pub fn negative_share(&self) -> f64 {
        self.pairs().filter(|&cosine| cosine < 0.0).count() as f64 / self.pairs().count().max(1) as f64
    }
}

/// The cosines between the gradients of all examples of the `inputs`, of a network in evaluation mode. Gradients take at
/// most `bytes` of the device's memory, or those of two examples; activations come on top.
///
/// # Errors
/// Inputs of different numbers of examples, or of none; a gradient that is not finite; those of `record` and the device.
pub fn gradient_covariance(
    device: &Device,
    (parameters, network): (&Parameters, &Network),
    inputs: &[Input<'_>],
    record: &Record<'_>,
    bytes: u64,
) -> Result<Covariance> {
    let count = |input: &Input<'_>| input.words.len() / input.shape.iter().product::<usize>().max(1);
    let n = inputs.first().map_or(0, count);
    if n == 0 || inputs.iter().any(|input| count(input) != n) {
        let counts: Vec<usize> = inputs.iter().map(count).collect();
        return Err(Error::Mismatch(format!(
            "a covariance of inputs of {counts:?} examples: at least 1, and as many of each"
        )));
    }
    let pieces = Pieces::new(device, (parameters, network), inputs, record, n, bytes)?;
    let mut products = vec![0.0; n * n];
    let starts = pieces.starts(n);
    for (index, &first) in starts.iter().enumerate() {
        pieces.fill(inputs, first)?;
        pieces.hold()?;
        for &second in &starts[index..] {
            if second != first {
                pieces.fill(inputs, second)?;
            }
            let product = pieces.product()?;
            for (at, &value) in product.iter().enumerate() {
                let (i, j) = (first + at / pieces.examples, second + at % pieces.examples);
                products[i * n + j] = f64::from(value);
                products[j * n + i] = f64::from(value);
            }
        }
    }
    if let Some(i) = (0..n).find(|&i| !products[i * n + i].is_finite()) {
        return Err(Error::NoNumber(format!("the gradient of example {i} is not finite")));
    }
    let norms: Vec<f64> = (0..n).map(|i| products[i * n + i].sqrt()).collect();
    let cosine = |(at, product): (usize, &f64)| match norms[at / n] * norms[at % n] {
        0.0 => 0.0,
        length => (product / length).clamp(-1.0, 1.0),
    };
    let cosines = products.iter().enumerate().map(cosine).collect();
    Ok(Covariance { n, cosines })
}

/// The programs that make the gradients of a piece of the examples, and multiply two pieces.
struct Pieces {
    device: Device,
    /// In a piece.
    examples: usize,
    inputs: Vec<Buffer>,
    gradients: Program,
    /// Keeps the rows for later pieces; none where one piece holds all examples.
    hold: Option<Program>,
    multiply: Program,
    products: Buffer,
}

impl Pieces {
    fn new(
        device: &Device,
        (parameters, network): (&Parameters, &Network),
        inputs: &[Input<'_>],
        record: &Record<'_>,
        n: usize,
        bytes: u64,
    ) -> Result<Self> {
        let words = parameters.words();
        // The rows, held once or twice, and on their way there those of one tensor.
        let largest = parameters.trained().iter().map(|segment| segment.len).max().unwrap_or(0);
        let per_example = |held: usize| ((held * words + largest) as u64 * 4).max(1);
        // A product binds all rows of a piece at once.
        let most = device.gpu_traits().map_or(n, |traits| (traits.largest_binding / words.max(1)).max(1));
        let whole = n as u64 * per_example(1) <= bytes && n <= most;
        let in_pieces = usize::try_from(bytes / per_example(2)).unwrap_or(n);
        let examples = if whole { n } else { in_pieces.clamp(1, most.min(n)) };

        let rows = device.buffer("gradients of examples", examples * words)?;
        let mut graph = Graph::evaluation(parameters);
        let (mut tensors, mut slices, mut buffers) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            let shape = [&[examples], input.shape].concat();
            let words = shape.iter().product();
            let buffer = device.buffer(input.name, words)?;
            tensors.push(graph.input(input.name, &shape));
            slices.push((input.name, buffer.slice(0, words)));
            buffers.push(buffer);
        }
        let loss = record(&mut graph, &tensors)?;
        let to = graph.input("gradients of examples", &[examples, words]);
        slices.push(("gradients of examples", rows.slice(0, examples * words)));
        graph.backward(&[loss], &[Wanted::Rows(NetworkId::FIRST, to)])?;
        let memory = Memory { networks: &[(network, None)], inputs: &slices };
        let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default())?;

        let slice = rows.slice(0, examples * words);
        let held = if whole { rows.clone() } else { device.buffer("earlier gradients", examples * words)? };
        let held = held.slice(0, examples * words);
        let copy = Copy { len: examples * words };
        let copy = Launch::new("keep gradients", Arc::new(copy), vec![held.clone(), slice.clone()]);
        let products = device.buffer("products of gradients", examples * examples)?;
        let product = Matmul {
            batch: 1,
            m: examples,
            n: examples,
            k: words,
            a_transposed: false,
            b_transposed: true,
            bias: false,
            activation: Activation::None,
        };
        let to = products.slice(0, examples * examples);
        let product = Launch::new("products of gradients", Arc::new(product), vec![held, slice, to]);
        Ok(Self {
            device: device.clone(),
            examples,
            inputs: buffers,
            gradients: device.compile(bound.launches)?,
            hold: (!whole).then(|| device.compile(vec![copy])).transpose()?,
            multiply: device.compile(vec![product])?,
            products,
        })
    }

    /// The first example of each piece. The last piece holds some examples of the one before, so that it is as long.
    fn starts(&self, n: usize) -> Vec<usize> {
        (0..n).step_by(self.examples).map(|start| start.min(n - self.examples)).collect()
    }

    /// Makes the gradients of the examples from `start` on.
    fn fill(&self, inputs: &[Input<'_>], start: usize) -> Result<()> {
        for (input, buffer) in inputs.iter().zip(&self.inputs) {
            let each: usize = input.shape.iter().product();
            let words = &input.words[start * each..(start + self.examples) * each];
            self.device.write(buffer, 0, words)?;
        }
        Ok(self.gradients.run(&Clock::default())?)
    }

    /// Keeps the gradients that were made last, to be multiplied with.
    fn hold(&self) -> Result<()> {
        match &self.hold {
            Some(hold) => Ok(hold.run(&Clock::default())?),
            None => Ok(()),
        }
    }

    /// The products of the gradients that are kept with those that were made last.
    fn product(&self) -> Result<Vec<f32>> {
        self.multiply.run(&Clock::default())?;
        Ok(self.device.read_f32(&self.products.slice(0, self.examples * self.examples))?)
    }
}
