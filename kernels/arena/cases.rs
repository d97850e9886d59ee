//! The cases of the arena kernels but the optimisers.

use super::{BLOCK, Blend, Copy, Distance, Fill, Fresh, GradientNorm, Perturb, Regen};
use crate::case::{Case, Definition, Size, Values, test_values};
use crate::kernel::{Clock, Kernel};
use crate::random::{pcg4d, stream, unit};
use std::sync::Arc;

/// Odd and ragged lengths, the last of them of several CPU chunks and GPU partial sums.
pub(super) const TINY: [usize; 8] = [1, 3, 63, 64, 65, 1000, 4097, 40_003];

/// Arenas of an MLP 784-100-100-10, an MLP 784-512-256-10 and a ResNet-18 with a head of 512.
pub(super) const REAL: [usize; 3] = [90_010, 537_354, 11_436_618];

/// The clock of step `t` of a phase.
pub(super) fn clock(t: i32, learning_rate: f32) -> Clock {
    Clock {
        seed: 1,
        step: t as u32,
        learning_rate,
        bias_correction1: (1.0 - 0.9f64.powi(t)) as f32,
        bias_correction2_sqrt: (1.0 - 0.999f64.powi(t)).sqrt() as f32,
        ..Clock::default()
    }
}

pub(super) fn floats(len: usize, stream: u32, scale: f32) -> Values {
    Values::F32(test_values(len, stream).into_iter().map(|v| v * scale).collect())
}

pub(super) fn case(
    kernel: impl Kernel + 'static,
    clock: Clock,
    inputs: Vec<Values>,
    expected: Definition,
    size: Size,
) -> Case {
    Case { kernel: Arc::new(kernel), clock, inputs, expected, tolerance: 1e-6, size }
}

/// The cases of these kernels.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in TINY {
        for max_norm in [None, Some(0.1), Some(1e9), Some(f64::INFINITY)] {
            cases.push(gradient_norm(len, max_norm, Size::Tiny));
        }
        for keep in [0.0, 0.4, 0.999, 1.0] {
            cases.push(blend(len, keep, Size::Tiny));
        }
        cases.extend([copy(len, Size::Tiny), fill(len, 0.25, Size::Tiny)]);
        for distance in [Distance::HalfSquare, Distance::Norm] {
            cases.push(regen(len, distance, Size::Tiny));
        }
        cases.push(perturb(len, 0.4, 0.1, Size::Tiny));
        cases.push(perturb(len, 0.0, 1.0, Size::Tiny));
    }
    for len in REAL {
        cases.push(gradient_norm(len, Some(1.0), Size::Real));
        cases.push(blend(len, 0.999, Size::Real));
        cases.push(regen(len, Distance::HalfSquare, Size::Real));
        cases.push(perturb(len, 0.999, 0.001, Size::Real));
    }
    // Not the largest: all cases live in memory at once.
    for len in [REAL[0], REAL[1]] {
        cases.extend([copy(len, Size::Real), fill(len, 0.25, Size::Real)]);
    }
    cases
}

fn gradient_norm(len: usize, max_norm: Option<f64>, size: Size) -> Case {
    let (ring_rows, words, slot) = (5, 8, 3);
    let clock = Clock { slot, ..clock(1, 1e-3) };
    let inputs = vec![floats(len, 2, 0.3), Values::F32(vec![0.0; 2]), floats(ring_rows * words, 9, 1.0)];
    let expected: Definition = Box::new(move |inputs| {
        let norm = inputs[0].f64().iter().map(|g| g * g).sum::<f64>().sqrt();
        let factor = max_norm.map_or(1.0, |max_norm| (max_norm / (norm + 1e-6)).min(1.0));
        let mut ring = inputs[2].f64();
        ring[slot as usize * words + 3] = norm;
        vec![None, Some(vec![norm, factor]), Some(ring)]
    });
    case(GradientNorm { len, max_norm, ring_rows, words }, clock, inputs, expected, size)
}

fn blend(len: usize, keep: f64, size: Size) -> Case {
    let inputs = vec![floats(len, 1, 0.1), floats(len, 2, 0.3)];
    let expected: Definition = Box::new(move |inputs| {
        let (target, source) = (inputs[0].f64(), inputs[1].f64());
        vec![Some(target.iter().zip(source).map(|(t, s)| keep * t + (1.0 - keep) * s).collect()), None]
    });
    case(Blend { len, keep }, clock(1, 1e-3), inputs, expected, size)
}

fn copy(len: usize, size: Size) -> Case {
    let inputs = vec![Values::F32(vec![0.0; len]), floats(len, 2, 0.3)];
    let expected: Definition = Box::new(|inputs| vec![Some(inputs[1].f64()), None]);
    Case { tolerance: 0.0, ..case(Copy { len }, clock(1, 1e-3), inputs, expected, size) }
}

fn fill(len: usize, value: f32, size: Size) -> Case {
    let inputs = vec![Values::F32(vec![0.0; len])];
    let expected: Definition = Box::new(move |_| vec![Some(vec![f64::from(value); len])]);
    Case { tolerance: 0.0, ..case(Fill { len, value }, clock(1, 1e-3), inputs, expected, size) }
}

fn regen(len: usize, distance: Distance, size: Size) -> Case {
    let (ring_rows, words, slot, strength) = (5, 8, 3, 0.3);
    let clock = Clock { slot, ..clock(1, 1e-3) };
    let inputs = vec![
        floats(len, 1, 0.1),
        floats(len, 2, 0.1),
        floats(len, 3, 0.3),
        floats(ring_rows * words, 9, 1.0),
    ];
    let expected: Definition = Box::new(move |inputs| {
        let [params, initial, mut gradients, mut ring] = std::array::from_fn(|i| inputs[i].f64());
        let square: f64 = params.iter().zip(&initial).map(|(w, w0)| (w - w0).powi(2)).sum();
        let (penalty, slope) = match distance {
            Distance::HalfSquare => (0.5 * square, 1.0),
            Distance::Norm => (square.sqrt(), 1.0 / square.sqrt()),
        };
        for i in 0..len {
            gradients[i] += strength * slope * (params[i] - initial[i]);
        }
        ring[slot as usize * words] += strength * penalty;
        vec![None, None, Some(gradients), Some(ring)]
    });
    let kernel = Regen { len, strength, distance, ring_rows, words };
    Case { tolerance: 2e-6, ..case(kernel, clock, inputs, expected, size) }
}

/// An arena of at least `len` floats, whose tensors end anywhere in their last block: uniform, constant, normal.
fn perturb(len: usize, keep: f64, scale: f64, size: Size) -> Case {
    let blocks = len.div_ceil(BLOCK);
    let clock = Clock { seed: 5, step: 77, ..Clock::default() };
    let kinds = [[0.0, 0.3, 0.0], [1.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 1.0]];
    let fresh = move |block: usize| {
        // In large cases few blocks are normal, as in a ViT: one in 400 of them.
        let normal = size == Size::Tiny || block.is_multiple_of(400);
        let [center, width, deviation] = kinds[if normal { (block + 3) % 4 } else { block % 3 }];
        // In large cases whole blocks, as in large tensors.
        let used = if block % 3 == 1 || size == Size::Real { BLOCK } else { (block * 29 + len) % BLOCK + 1 };
        Fresh { center, width, deviation, used: used as f32 }
    };
    let table: Vec<Fresh> = (0..blocks).map(fresh).collect();
    let inputs = vec![floats(BLOCK * blocks, 1, 0.1), Values::F32(bytemuck::cast_slice(&table).to_vec())];
    let expected: Definition = Box::new(move |inputs| {
        let mut target = inputs[0].f64();
        for (i, target) in target.iter_mut().enumerate() {
            let Fresh { center, width, deviation, used } = fresh(i / BLOCK);
            if i % BLOCK >= used as usize {
                continue;
            }
            let words = pcg4d([(i / 4) as u32, clock.step, stream::PERTURB, clock.seed]);
            let units = words.map(|word| f64::from(unit(word)));
            let mut value = f64::from(center) + f64::from(width) * (2.0 * units[i % 4] - 1.0);
            if deviation != 0.0 {
                let (radius, angle) = (units[i % 4 / 2 * 2], units[i % 4 / 2 * 2 + 1]);
                let (radius, angle) = (radius + 2f64.powi(-24), std::f64::consts::TAU * angle);
                let direction = if i % 2 == 0 { angle.cos() } else { angle.sin() };
                value += f64::from(deviation) * (-2.0 * radius.ln()).sqrt() * direction;
            }
            *target = keep * *target + scale * value;
        }
        vec![Some(target), None]
    });
    case(Perturb { blocks, keep, scale }, clock, inputs, expected, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::check_on_cpu;

    #[test]
    fn arena_kernels_agree_with_their_definitions() {
        check_on_cpu(super::super::cases());
    }

    #[test]
    fn a_norm_that_is_not_finite_is_reported_and_not_clipped() {
        let cpu = crate::Cpu::new(1).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = gradient_norm(1000, Some(0.1), Size::Tiny);
            let Values::F32(gradients) = &mut case.inputs[0] else { unreachable!("gradients are floats") };
            gradients[777] = bad;
            let clip = &case.run_on_cpu(&cpu)[1];
            assert!(!f32::from_bits(clip[0]).is_finite());
            assert_eq!(f32::from_bits(clip[1]), 1.0);
        }
    }

    #[test]
    fn a_slot_outside_the_ring_writes_nothing() {
        let mut case = gradient_norm(10, None, Size::Tiny);
        case.clock.slot = 5;
        let ring = case.run_on_cpu(&crate::Cpu::new(1).unwrap()).swap_remove(2);
        assert_eq!(ring, *case.inputs[2].words());
    }
}
