//! How well a label set is memorised, logged at every evaluation where `protocol.label_sets` is not 0 (formulas:
//! `docs/metrics.md`).

use crate::error::Result;
use crate::trainer::{Probe, Trainer, UnitActivity};
use kernels::Clock;
use kernels::reduce::Activity;
use serde_json::{Map, Value, json};

/// Examples that are looked at, as in the paper.
const EXAMPLES: usize = 4096;

/// Looks at the hare on examples of the current label set.
#[derive(Debug)]
pub struct Memorisation {
    active: UnitActivity,
    probe: Option<Probe>,
}

impl Memorisation {
    /// Finds the groups of units.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer) -> Result<Self> {
        Ok(Self { active: UnitActivity::new(trainer)?, probe: None })
    }

    /// Prepares the passes over examples with the labels of a phase.
    ///
    /// # Errors
    /// Those of the device.
    pub fn begin_phase(&mut self, trainer: &mut Trainer) -> Result<()> {
        self.probe = Some(self.active.probe(trainer, EXAMPLES, Activity::NonZero, &|_, _| Ok(()))?);
        Ok(())
    }

    /// Adds accuracy and share of dead units to what an evaluation logs.
    ///
    /// # Errors
    /// Those of the device.
    pub fn log(&self, trainer: &Trainer, clock: &Clock, line: &mut Map<String, Value>) -> Result<()> {
        let Some(probe) = &self.probe else { return Ok(()) };
        let (device, mut hits) = (trainer.device(), 0);
        self.active.measure(probe, clock, |outputs| {
            let rank = &outputs["row_rank"];
            let rank = device.read(&rank.buffer, rank.offset..rank.offset + rank.words)?;
            hits += rank.iter().filter(|&&rank| rank == 0).count();
            Ok(())
        })?;
        line.insert("label_set_accuracy".into(), json!(hits as f64 / probe.examples() as f64));
        let (mut units, mut dead) = (0, 0);
        for (group, slice) in self.active.groups().iter().zip(self.active.slices()) {
            let active = device.read_f32(slice)?;
            units += group.count;
            dead += active.iter().filter(|&&count| count == 0.0).count();
        }
        if units > 0 {
            line.insert("dead_unit_share".into(), json!(dead as f64 / units as f64));
        }
        Ok(())
    }
}
