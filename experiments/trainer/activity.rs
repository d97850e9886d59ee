//! How active the units of the trained network are on examples that it is trained on.

use super::{Probe, Trainer};
use crate::error::Result;
use crate::training_step::record_forward;
use engine::device::padded;
use engine::units::Units;
use engine::{Buffer, Device, Graph, Launch, Loss, NetworkId, Program, Slice};
use kernels::Clock;
use kernels::arena::Fill;
use kernels::reduce::Activity;
use std::collections::HashMap;
use std::sync::Arc;

/// The groups of units of a model, and room for a number per unit.
#[derive(Debug)]
pub struct UnitActivity {
    groups: Vec<Units>,
    /// Under which the graph of a probe knows the slices.
    names: Vec<String>,
    buffer: Buffer,
    /// One per group.
    slices: Vec<Slice>,
    clear: Program,
}

impl UnitActivity {
    /// Finds the groups of units of the model.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer) -> Result<Self> {
        let mut graph = Graph::evaluation(trainer.model().parameters());
        record_forward(&mut graph, trainer.model(), 1, 0.0)?;
        let groups = graph.units(NetworkId::FIRST);
        let (buffer, slices) = unit_slices(trainer.device(), "activity of units", &groups)?;
        let fill = Launch::new(
            "clear activity",
            Arc::new(Fill { len: buffer.words(), value: 0.0 }),
            vec![buffer.all()],
        );
        Ok(Self {
            names: groups.iter().map(|group| format!("activity {}", group.layer)).collect(),
            clear: trainer.device().compile(vec![fill])?,
            groups,
            buffer,
            slices,
        })
    }

    /// The groups; `values` counts those of one example.
    pub fn groups(&self) -> &[Units] {
        &self.groups
    }
    /// The sums of all groups, with padding, which is 0.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }
    /// The sums of each group.
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// Prepares [`UnitActivity::measure`] on `examples` of the current phase; `record` adds to the graph what else is to be
    /// seen.
    ///
    /// # Errors
    /// Those of the device and of `record`.
    pub fn probe(
        &self,
        trainer: &mut Trainer,
        examples: usize,
        of: Activity,
        record: &dyn Fn(&mut Graph<'_>, Loss) -> engine::Result<()>,
    ) -> Result<Probe> {
        let names = self.names.iter().map(String::as_str);
        let buffers: Vec<_> = names.zip(self.slices.iter().cloned()).collect();
        trainer.probe(examples, &buffers, &|graph, loss| {
            for (group, name) in graph.units(NetworkId::FIRST).iter().zip(&self.names) {
                graph.measure(group, of, name);
            }
            record(graph, loss)
        })
    }

    /// Sums the activity of every unit over the examples of a probe; `each` may read the outputs of a batch by name.
    ///
    /// # Errors
    /// Those of the device and of `each`.
    pub fn measure(
        &self,
        probe: &Probe,
        clock: &Clock,
        each: impl FnMut(&HashMap<String, Slice>) -> Result<()>,
    ) -> Result<()> {
        self.clear.run(&Clock::default())?;
        probe.run(clock, each)
    }
}

/// One buffer with room for a word per unit, and each group's slice of it.
///
/// # Errors
/// Those of the device.
pub(crate) fn unit_slices(
    device: &Device,
    what: &str,
    groups: &[Units],
) -> engine::Result<(Buffer, Vec<Slice>)> {
    let buffer = device.buffer(what, groups.iter().map(|group| padded(group.count)).sum())?;
    let mut at = 0;
    let slices = groups.iter().map(|group| {
        let slice = buffer.slice(at, group.count);
        at += padded(group.count);
        slice
    });
    let slices = slices.collect();
    Ok((buffer, slices))
}
