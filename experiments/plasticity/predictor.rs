//! A network applied to a table of inputs, some rows at a time.

use crate::error::Result;
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Network, Plan, Program, Slice, Tensor, Workspace,
};
use kernels::gather::Take;
use models::Model;
use std::sync::Arc;

/// Rows of one pass: enough to keep the threads busy, few enough for the activations of a large network.
const ROWS: usize = 256;

/// What a network makes in evaluation mode of all rows of a table. Nothing is allocated when it is applied.
#[derive(Debug)]
pub(super) struct Predictor {
    device: Device,
    program: Program,
    index: Buffer,
    output: Slice,
    rows: usize,
    /// Rows of a pass.
    pass: usize,
}

/// Records what is seen of a network's outputs.
type Seen<'a> = dyn Fn(&mut Graph<'_>, Tensor) -> engine::Result<Tensor> + 'a;

impl Predictor {
    /// Of `network` on the `rows` rows of `table`, an image each; `of` records what is seen of the outputs, a row of numbers
    /// for each image.
    ///
    /// # Errors
    /// Those of the device and of `of`.
    pub(super) fn new(
        device: &Device,
        (model, of): (&dyn Model, &Seen<'_>),
        network: &Network,
        (table, rows): (&Buffer, usize),
        workspace: &mut Workspace,
    ) -> Result<Self> {
        let (input, pass) = (model.input(), rows.min(ROWS));
        let pixels = input.image_size * input.image_size * input.channels;
        let (index, x) = (device.buffer("rows", pass)?, device.buffer("inputs", pass * pixels)?);
        let x = x.slice(0, pass * pixels);
        let take = Launch::new(
            "take inputs",
            Arc::new(Take { rows, batch: pass, words: pixels }),
            vec![table.slice(0, rows * pixels), index.slice(0, pass), x.clone()],
        );
        let mut graph = Graph::evaluation(model.parameters());
        let seen = graph.input("x", &[pass, input.image_size, input.image_size, input.channels]);
        let outputs = model.forward(&mut graph, seen)?;
        let predicted = of(&mut graph, outputs)?;
        graph.output("predicted", predicted);
        let memory = Memory { networks: &[(network, None)], inputs: &[("x", x)] };
        let bound = Plan::new(&graph).bind(device, &memory, workspace)?;
        let output = bound.outputs["predicted"].clone();
        let launches = [take].into_iter().chain(bound.launches).collect();
        Ok(Self { program: device.compile(launches)?, device: device.clone(), index, output, rows, pass })
    }

    /// Numbers for a row.
    pub(super) fn width(&self) -> usize {
        self.output.words / self.pass
    }

    /// Writes the numbers for all rows, `[rows, width]`.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn predict(&self, into: &mut [f32]) -> Result<()> {
        let width = self.width();
        let mut indices = [0u32; ROWS];
        for (first, part) in (0..self.rows).step_by(self.pass).zip(into.chunks_mut(self.pass * width)) {
            // The last pass reads its last row more than once.
            let row = |i: usize| (first + i).min(self.rows - 1) as u32;
            indices.iter_mut().enumerate().for_each(|(i, index)| *index = row(i));
            self.device.write(&self.index, 0, &indices[..self.pass])?;
            self.program.run(&Clock::default())?;
            self.device.read_into(&self.output.buffer, self.output.offset, bytemuck::cast_slice_mut(part))?;
        }
        Ok(())
    }
}
