//! Shrink & Perturb, in three variants that differ in what is added, and when.
//!
//! | `variant` | between two phases | after every step |
//! |---|---|---|
//! | `hare-tortoise-2024` | `w <- keep w + (1 - keep) w0` | |
//! | `ash-adams-2020` | `w <- keep w + perturb fresh`, running statistics begin anew | |
//! | `per-step` | | `w <- keep w + perturb fresh` |
//!
//! w0 are the run's first weights, `fresh` a draw of its own each time, distributed as first weights are. Batch norm's scale
//! and shift take part.
//!
//! Sources: Hare & Tortoise (2024, `src/trainers/base.py`), without noise or a fresh draw and without touching running
//! statistics; Ash and Adams (*On Warm-Starting Neural Network Training*, 2020), whose code builds a new network, so
//! that its statistics are new; Dohare and others (2021) and Kumar and others (2023) for every step.

use crate::config::{ShrinkPerturbOptions, ShrinkPerturbVariant};
use crate::trainer::Trainer;
use engine::params::Init;
use engine::{Buffer, Device, Launch, Network, Parameters, Program};
use kernels::Clock;
use kernels::arena::{BLOCK, Blend, Copy, Fresh, Perturb};
use std::ops::Range;
use std::sync::Arc;

/// A variant that acts between two phases.
#[derive(Debug)]
pub struct ShrinkPerturb {
    program: Program,
    seed: u32,
}

impl ShrinkPerturb {
    /// Prepares the launches; `initial` holds the run's first weights. `None` for `per-step`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(
        trainer: &Trainer,
        initial: &Buffer,
        options: &ShrinkPerturbOptions,
        seed: u32,
    ) -> engine::Result<Option<Self>> {
        let (device, parameters) = (trainer.device(), trainer.model().parameters());
        let hare = trainer.hare();
        let launches = match options.variant {
            ShrinkPerturbVariant::HareTortoise2024 => {
                let len = parameters.words();
                vec![Launch::new(
                    "shrink & perturb",
                    Arc::new(Blend { len, keep: options.keep }),
                    vec![hare.parameters.slice(0, len), initial.slice(0, len)],
                )]
            }
            ShrinkPerturbVariant::AshAdams2020 => {
                let mut launches = vec![perturbation_of(device, parameters, hare, options)?];
                let (len, first) = (parameters.statistics_words(), parameters.initial_statistics(seed));
                if len > 0 {
                    let first = device.buffer_with("initial statistics", bytemuck::cast_slice(&first))?;
                    launches.push(Launch::new(
                        "new statistics",
                        Arc::new(Copy { len }),
                        vec![hare.statistics.slice(0, len), first.slice(0, len)],
                    ));
                }
                launches
            }
            ShrinkPerturbVariant::PerStep => return Ok(None),
        };
        Ok(Some(Self { program: device.compile(launches)?, seed }))
    }

    /// Applies it once, before phase `phase`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(&self, phase: usize) -> engine::Result<()> {
        self.program.run(&Clock { seed: self.seed, step: phase as u32, ..Clock::default() })
    }
}

/// The launch that shrinks all of a network and adds fresh weights.
///
/// # Errors
/// Those of the device.
pub(super) fn perturbation_of(
    device: &Device,
    parameters: &Parameters,
    hare: &Network,
    options: &ShrinkPerturbOptions,
) -> engine::Result<Launch> {
    let parts = (options.keep, options.perturb);
    perturbation(device, parameters, &hare.parameters, 0..parameters.words(), parts)
}

/// The launch that keeps a part of the weights in whole tensors of an arena, and adds a part of fresh ones; its draw follows
/// the clock's seed and step.
///
/// # Errors
/// Those of the device.
pub(crate) fn perturbation(
    device: &Device,
    parameters: &Parameters,
    arena: &Buffer,
    range: Range<usize>,
    (keep, scale): (f64, f64),
) -> engine::Result<Launch> {
    let fresh = &fresh_weights(parameters)[range.start / BLOCK..range.end / BLOCK];
    let table = device.buffer_with("distribution of first weights", bytemuck::cast_slice(fresh))?;
    let blocks = fresh.len();
    Ok(Launch::new(
        "shrink & perturb",
        Arc::new(Perturb { blocks, keep, scale }),
        vec![arena.slice(range.start, blocks * BLOCK), table.slice(0, size_of_val(fresh) / 4)],
    ))
}

/// How first weights are distributed, block by block of the arena.
fn fresh_weights(parameters: &Parameters) -> Vec<Fresh> {
    let mut table = vec![Fresh::default(); parameters.words() / BLOCK];
    for segment in parameters.trained() {
        let fresh = match segment.init {
            Init::Constant(center) => Fresh { center, ..Fresh::default() },
            Init::FanIn(fan_in) => Fresh { width: 1.0 / (fan_in as f32).sqrt(), ..Fresh::default() },
            Init::LecunNormal(fan_in) => {
                Fresh { deviation: 1.0 / (fan_in as f32).sqrt(), ..Fresh::default() }
            }
            Init::Normal { deviation } => Fresh { deviation, ..Fresh::default() },
        };
        let blocks = &mut table[segment.offset / BLOCK..][..segment.len.div_ceil(BLOCK)];
        for (index, block) in blocks.iter_mut().enumerate() {
            *block = Fresh { used: (segment.len - index * BLOCK).min(BLOCK) as f32, ..fresh };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse_set};

    /// Largest distance of the distribution functions of two samples (Smirnov 1948).
    fn distance(a: &[f32], b: &[f32]) -> f64 {
        let sorted = |values: &[f32]| {
            let mut values = values.to_vec();
            values.sort_unstable_by(f32::total_cmp);
            values
        };
        let (a, b) = (sorted(a), sorted(b));
        let share = |values: &[f32], x: f32| values.partition_point(|&v| v <= x) as f64 / values.len() as f64;
        a.iter().chain(&b).map(|&x| (share(&a, x) - share(&b, x)).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn a_fresh_draw_is_distributed_as_first_weights_are() {
        let options =
            ShrinkPerturbOptions { variant: ShrinkPerturbVariant::PerStep, keep: 0.0, perturb: 1.0 };
        let vit = ["model.name=vit-tiny", "model.dim=32", "model.depth=1", "model.heads=2"];
        for model in [&vit[..], &["model.hidden=[100,50]"]] {
            let layers: Vec<_> = model.iter().map(|set| parse_set(set).unwrap()).collect();
            let config = Config::resolve(&layers).unwrap();
            let model = config.model.build().unwrap();
            let (parameters, device) = (model.parameters(), Device::cpu(1).unwrap());
            let hare = Network::new(&device, "hare", parameters).unwrap();
            let launch = perturbation_of(&device, parameters, &hare, &options).unwrap();
            let program = device.compile(vec![launch]).unwrap();
            let draw = |seed, step| {
                program.run(&Clock { seed, step, ..Clock::default() }).unwrap();
                device.read_f32(&hare.parameters.all()).unwrap()
            };
            let first = parameters.initial_values(7);
            let draws = [draw(7, 0), draw(7, 1), draw(8, 0)];
            assert_eq!(draws[0], draw(7, 0));
            for segment in parameters.trained() {
                for (index, fresh) in draws.iter().enumerate() {
                    let (fresh, first) = (&fresh[segment.range()], &first[segment.range()]);
                    if let Init::Constant(value) = segment.init {
                        assert!(fresh.iter().all(|&v| v == value), "{}", segment.name);
                        continue;
                    }
                    // One in ten thousand pairs of samples of one distribution is further apart.
                    let most = 2.23 * (2.0 / segment.len as f64).sqrt();
                    let apart = distance(fresh, first);
                    assert!(apart < most, "{}: {apart:.3} apart, {most:.3} allowed", segment.name);
                    assert_ne!(fresh, first);
                    for other in &draws[..index] {
                        assert_ne!(fresh, &other[segment.range()], "{}", segment.name);
                    }
                }
            }
            // Padding stays zero.
            let used: usize = draws[0].iter().filter(|&&v| v != 0.0).count();
            assert!(used <= parameters.count());
        }
    }
}
