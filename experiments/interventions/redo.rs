//! ReDo: dormant units are recycled (Sokar et al., *The Dormant Neuron Phenomenon in Deep Reinforcement Learning*, 2023).
//!
//! ```text
//! score[u] = mean |h[u]| / (mean over the layer's units + 1e-9)      dormant: score[u] <= threshold
//! ```
//!
//! h is what a unit puts out behind its activation, in evaluation mode, over the first `examples` examples of the
//! coming epoch and over all positions. Between two epochs of a phase, every `interval` epochs: the weights that make a
//! dormant unit are drawn anew as first weights are, its bias becomes 0, its batch norm (1, 0) with running
//! statistics (0, 1), the weights that read it 0, and the moments of all of these 0; the step count stays. So the network
//! computes what it computed before wherever a recycled unit had put out nothing. The tortoise is not touched.
//!
//! Which weights make and read a unit is read off the graph (`engine::units`). Where residual sums take part a unit
//! cannot be silenced: in a ResNet the first convolution of each block and the head's hidden layer take part, in ViT
//! the hidden layer of each block. A unit of a CReLU puts out two values; both count.
//!
//! Deviations: the reference code (`dopamine/labs/redo`) draws from Xavier's distribution and keeps the moments of biases.
//! The port `timoklein/redo` also sets the step count of the tensors it touches to 0.
//! In the code of Hare & Tortoise, ReDo has no effect: its store of activations is emptied before it is read. With
//! `recycles = false` (`fidelity = code`) dormant units are logged and nothing else.

use crate::config::RedoOptions;
use crate::error::{Error, Result};
use crate::trainer::{Probe, Trainer, UnitActivity, unit_slices};
use engine::device::ALIGNMENT;
use engine::params::Init;
use engine::units::{Axis, Units};
use engine::{Buffer, Device, Launch, Network, Program, Slice};
use kernels::reduce::Activity;
use kernels::units::{Dormant, Recycle, Renewed};
use kernels::{Clock, Kernel};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Finds and recycles dormant units.
#[derive(Debug)]
pub struct Redo {
    device: Device,
    options: RedoOptions,
    activity: UnitActivity,
    /// Which units are dormant, group by group.
    dormant: Vec<Slice>,
    /// How many: one word at the start of each [`ALIGNMENT`].
    counts: Buffer,
    recycle: Program,
    phase: Option<PhasePrograms>,
}

/// What depends on how many examples a phase has.
#[derive(Debug)]
struct PhasePrograms {
    probe: Probe,
    find: Program,
}

impl Redo {
    /// Finds the groups of units and prepares their recycling.
    ///
    /// # Errors
    /// A model without hidden units; those of the device.
    pub fn new(trainer: &Trainer, options: &RedoOptions) -> Result<Self> {
        let device = trainer.device().clone();
        let activity = UnitActivity::new(trainer)?;
        let groups = activity.groups();
        if groups.is_empty() {
            return Err(Error::Mismatch(
                "intervention.method has redo, but the model has no layer whose units could be recycled: \
                 give it a hidden layer that no layer normalisation follows"
                    .into(),
            ));
        }
        let (_, dormant) = unit_slices(&device, "dormant units", groups)?;
        let moments: Vec<_> = trainer.moments().iter().map(|(_, arena)| arena).collect();
        Ok(Self {
            options: options.clone(),
            counts: device.buffer("numbers of dormant units", groups.len() * ALIGNMENT)?,
            recycle: device.compile(recycling(trainer.hare(), &moments, groups, &dormant))?,
            activity,
            dormant,
            phase: None,
            device,
        })
    }

    /// Prepares the scores on the examples of a phase.
    ///
    /// # Errors
    /// Those of the device.
    pub fn begin_phase(&mut self, trainer: &mut Trainer) -> Result<()> {
        let probe =
            self.activity.probe(trainer, self.options.examples, Activity::Magnitude, &|_, _| Ok(()))?;
        let find = self.activity.groups().iter().enumerate().map(|(index, group)| {
            Launch::new(
                format!("dormant units {}", group.layer),
                Arc::new(Dormant {
                    units: group.count,
                    values: group.values * probe.examples(),
                    threshold: self.options.threshold as f32,
                }),
                vec![
                    self.activity.slices()[index].clone(),
                    self.dormant[index].clone(),
                    self.counts.slice(index * ALIGNMENT, 1),
                ],
            )
        });
        let find = self.device.compile(find.collect())?;
        self.phase = Some(PhasePrograms { probe, find });
        Ok(())
    }

    /// Marks the dormant units on the device.
    fn find(&self, clock: &Clock) -> Result<()> {
        if let Some(PhasePrograms { probe, find }) = &self.phase {
            self.activity.measure(probe, clock, |_| Ok(()))?;
            find.run(&Clock::default())?;
        }
        Ok(())
    }

    /// Whether units are recycled after epoch `done` of a phase, from 1, if another epoch follows.
    pub fn is_due(&self, done: usize) -> bool {
        self.options.recycles && done.is_multiple_of(self.options.interval)
    }

    /// Between epoch `done` of a phase, from 1, and the next, which the clock describes.
    ///
    /// # Errors
    /// Those of the device.
    pub fn between_epochs(&self, clock: &Clock, done: usize) -> Result<()> {
        if self.is_due(done) {
            self.find(clock)?;
            self.recycle.run(clock)?;
        }
        Ok(())
    }

    /// Names of the layers and how many of their units are dormant now.
    ///
    /// # Errors
    /// Those of the device.
    pub fn dormant(&self, clock: &Clock) -> Result<Vec<(&str, usize)>> {
        self.find(clock)?;
        let counts = self.device.read(&self.counts, 0..self.counts.words())?;
        let counts = counts.iter().step_by(ALIGNMENT);
        let groups = self.activity.groups().iter();
        Ok(groups.zip(counts).map(|(g, &count)| (g.layer.as_str(), count as usize)).collect())
    }

    /// Adds what an evaluation logs: `dormant_units` and `dormant_share`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn log(&self, clock: &Clock, line: &mut Map<String, Value>) -> Result<()> {
        let dormant: usize = self.dormant(clock)?.iter().map(|(_, count)| count).sum();
        let units: usize = self.activity.groups().iter().map(|group| group.count).sum();
        line.insert("dormant_units".into(), json!(dormant));
        line.insert("dormant_share".into(), json!(dormant as f64 / units as f64));
        Ok(())
    }
}

/// The launches that recycle what is marked. What reads a unit comes after all that makes units: where both are dormant, the
/// weight between them is 0.
pub(crate) fn recycling(
    network: &Network,
    moments: &[&Buffer],
    groups: &[Units],
    dormant: &[Slice],
) -> Vec<Launch> {
    let mut launches = Vec::new();
    let mut renew = |layer: &str, axis: &Axis, arena: &Buffer, marks: &Slice, renewed: Renewed| {
        let &Axis { outer, units, inner, offset, .. } = axis;
        let kernel: Arc<dyn Kernel> = Arc::new(Recycle { outer, units, inner, renewed });
        let slices = vec![marks.clone(), arena.slice(offset, axis.words())];
        launches.push(Launch::new(format!("recycle {layer}"), kernel, slices));
    };
    let (zero, one) = (Renewed::Constant(0.0), Renewed::Constant(1.0));
    let marked = || groups.iter().zip(dormant);
    for (group, marks) in marked() {
        let tensor = group.incoming.tensor as u32;
        let drawn = match group.init {
            Init::FanIn(fan_in) => Renewed::Uniform { bound: 1.0 / (fan_in as f32).sqrt(), tensor },
            Init::LecunNormal(fan_in) => Renewed::Normal { deviation: 1.0 / (fan_in as f32).sqrt(), tensor },
            Init::Normal { deviation } => Renewed::Normal { deviation, tensor },
            Init::Constant(value) => Renewed::Constant(value),
        };
        let mut trained = vec![(&group.incoming, drawn)];
        trained.extend(group.bias.as_ref().map(|bias| (bias, zero)));
        if let Some(norm) = &group.norm {
            trained.extend([(&norm.weight, one), (&norm.bias, zero)]);
            for (axis, renewed) in [(&norm.running_mean, zero), (&norm.running_var, one)] {
                renew(&group.layer, axis, &network.statistics, marks, renewed);
            }
        }
        for (axis, renewed) in trained {
            renew(&group.layer, axis, &network.parameters, marks, renewed);
            for &moments in moments {
                renew(&group.layer, axis, moments, marks, zero);
            }
        }
    }
    for (group, marks) in marked() {
        for axis in &group.outgoing {
            for arena in [&network.parameters].into_iter().chain(moments.iter().copied()) {
                renew(&group.layer, axis, arena, marks, zero);
            }
        }
    }
    launches
}
