//! The cases of the arena kernels.

use super::{
    AdamW, BLOCK, Blend, Copy, Distance, FADED, FADED_SQUARE, Fill, Fresh, GradientNorm, Perturb, Regen,
};
use crate::case::{Case, Definition, Size, Values, test_values};
use crate::kernel::{Clock, Kernel};
use crate::random::{pcg4d, stream, unit};
use std::sync::Arc;

/// Odd and ragged lengths, the last of them of several CPU chunks and GPU partial sums.
const TINY: [usize; 8] = [1, 3, 63, 64, 65, 1000, 4097, 40_003];

/// Arenas of an MLP 784-100-100-10, an MLP 784-512-256-10 and a ResNet-18 with a head of 512.
const REAL: [usize; 3] = [90_010, 537_354, 11_436_618];

/// The clock of step `t` of a phase.
fn clock(t: i32, learning_rate: f32) -> Clock {
    Clock {
        seed: 1,
        step: t as u32,
        learning_rate,
        bias_correction1: (1.0 - 0.9f64.powi(t)) as f32,
        bias_correction2_sqrt: (1.0 - 0.999f64.powi(t)).sqrt() as f32,
        ..Clock::default()
    }
}

fn floats(len: usize, stream: u32, scale: f32) -> Values {
    Values::F32(test_values(len, stream).into_iter().map(|v| v * scale).collect())
}

fn case(
    kernel: impl Kernel + 'static,
    clock: Clock,
    inputs: Vec<Values>,
    expected: Definition,
    size: Size,
) -> Case {
    Case { kernel: Arc::new(kernel), clock, inputs, expected, tolerance: 1e-6, size }
}

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in TINY {
        cases.push(adamw(len, 0.01, clock(1, 1e-3), 1.0, Size::Tiny));
        cases.push(adamw(len, 0.0, clock(1000, 1e-3), 0.37, Size::Tiny));
        cases.push(adamw_fading(len));
        // A step as large as the parameters, so that an error in it shows.
        cases.push(adamw(len, 0.1, clock(7, 0.5), 2.0, Size::Tiny));
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
        cases.push(adamw(len, 0.01, clock(1000, 1e-3), 0.37, Size::Real));
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

fn adamw(len: usize, weight_decay: f64, clock: Clock, factor: f32, size: Size) -> Case {
    let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
    let second_moments = test_values(len, 4).into_iter().map(|v| v * v * 1e-2).collect();
    let inputs = vec![
        floats(len, 1, 0.1),
        floats(len, 2, 0.3),
        floats(len, 3, 0.1),
        Values::F32(second_moments),
        Values::F32(vec![f32::NAN, factor]),
    ];
    let expected: Definition = Box::new(move |inputs| {
        let [mut params, gradients, mut exp_avg, mut exp_avg_sq, clip] =
            std::array::from_fn(|index| inputs[index].f64());
        let learning_rate = f64::from(clock.learning_rate);
        for i in 0..len {
            let g = gradients[i] * clip[1];
            params[i] *= 1.0 - learning_rate * weight_decay;
            exp_avg[i] += (g - exp_avg[i]) * (1.0 - beta1);
            exp_avg_sq[i] = exp_avg_sq[i] * beta2 + (1.0 - beta2) * g * g;
            let denominator = exp_avg_sq[i].sqrt() / f64::from(clock.bias_correction2_sqrt) + eps;
            params[i] -= learning_rate / f64::from(clock.bias_correction1) * exp_avg[i] / denominator;
        }
        vec![Some(params), None, Some(exp_avg), Some(exp_avg_sq), None]
    });
    case(AdamW { len, beta1, beta2, eps, weight_decay }, clock, inputs, expected, size)
}

/// Moments to both sides of the limits below which they are stored as 0. With powers of two every device is exact.
fn adamw_fading(len: usize) -> Case {
    let cycle = |values: [i32; 4]| {
        let values = values.map(|exponent| exponent.signum() as f32 * -(2f32.powi(-exponent.abs())));
        Values::F32((0..len).map(|i| values[i % 4]).collect())
    };
    let inputs = vec![
        floats(len, 1, 0.1),
        Values::F32(vec![0.0; len]),
        // Halved, the first two are above 1e-30 and the last two below.
        cycle([98, -98, 99, -99]),
        // Halved, the first two are above 1e-37 and the last two below.
        cycle([-10, -121, -122, -124]),
        Values::F32(vec![f32::NAN, 1.0]),
    ];
    let expected: Definition = Box::new(move |inputs| {
        let kept = |moments: &Values, limit: f32| {
            let halves = moments.f64().into_iter().map(|moment| moment / 2.0);
            halves.map(|moment| if moment.abs() < f64::from(limit) { 0.0 } else { moment }).collect()
        };
        let (m, v) = (kept(&inputs[2], FADED), kept(&inputs[3], FADED_SQUARE));
        vec![Some(inputs[0].f64()), None, Some(m), Some(v), None]
    });
    let kernel = AdamW { len, beta1: 0.5, beta2: 0.5, eps: 1e-8, weight_decay: 0.0 };
    Case { tolerance: 0.0, ..case(kernel, clock(1000, 1e-3), inputs, expected, Size::Tiny) }
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
    use crate::{Arg, run};
    use approx::assert_relative_eq;

    #[test]
    fn arena_kernels_agree_with_their_definitions() {
        check_on_cpu(cases());
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

    /// Three steps with clipping against numbers of PyTorch 2.15:
    ///
    /// ```python
    /// p = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.0, -0.25]))
    /// optimizer = torch.optim.AdamW([p], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, foreach=False)
    /// for t in range(1, 4):
    ///     p.grad = torch.tensor([0.3, -2.0, 0.001, 0.0, 1.5]) / t ** 3
    ///     torch.nn.utils.clip_grad_norm_([p], 1.0)
    ///     optimizer.step()
    /// ```
    #[test]
    fn three_clipped_steps_equal_pytorch() {
        let cpu = crate::Cpu::new(1).unwrap();
        let len = 5;
        let norm = GradientNorm { len, max_norm: Some(1.0), ring_rows: 1, words: 4 };
        let step = AdamW { len, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };
        let (mut params, mut exp_avg, mut exp_avg_sq) =
            ([0.5f32, -1.0, 2.0, 0.0, -0.25], [0f32; 5], [0f32; 5]);
        let mut norms = Vec::new();
        for t in 1..=3 {
            let gradients = [0.3f32, -2.0, 0.001, 0.0, 1.5].map(|g| g / (t * t * t) as f32);
            let (mut clip, mut ring, mut scratch) = ([0u32; 2], [0u32; 4], [0u32; 1]);
            let gradients: &[u32] = bytemuck::cast_slice(&gradients);
            let arguments = [Arg::Read(gradients), Arg::Write(&mut clip), Arg::Write(&mut ring)];
            run(&norm, &cpu, &clock(t, 1e-2), arguments, &mut scratch).unwrap();
            norms.push(f32::from_bits(clip[0]));
            let arguments = [
                Arg::Write(bytemuck::cast_slice_mut(&mut params)),
                Arg::Read(gradients),
                Arg::Write(bytemuck::cast_slice_mut(&mut exp_avg)),
                Arg::Write(bytemuck::cast_slice_mut(&mut exp_avg_sq)),
                Arg::Read(&clip),
            ];
            run(&step, &cpu, &clock(t, 1e-2), arguments, &mut []).unwrap();
        }
        let close = |got: &[f32], expected: &[f32]| {
            assert_relative_eq!(got, expected, epsilon = 0.0, max_relative = 5e-7);
        };
        close(&norms, &[2.517_936, 0.314_742, 0.093_256_88]);
        close(&params, &[0.472_695_44, -0.971_197, 1.968_200_9, 0.0, -0.275_056_84]);
        close(&exp_avg, &[0.014_136_87, -0.094_245_79, 4.712_290_3e-5, 0.0, 0.070_684_35]);
        close(&exp_avg_sq, &[1.569_549_6e-5, 6.975_775_5e-4, 1.743_944e-10, 0.0, 3.923_874_2e-4]);
    }

    #[test]
    fn moments_that_faded_are_zero_and_nan_stays() {
        for isa in crate::simd::Isa::supported() {
            let mut cpu = crate::Cpu::new(1).unwrap();
            cpu.isa = isa;
            let step = AdamW { len: 6, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
            let mut params = [1.0f32; 6];
            let mut exp_avg = [1.1e-30f32, -1.1e-30, 1.2e-30, -1.2e-30, f32::NAN, 0.5];
            let mut exp_avg_sq = [1e-37f32, 1.1e-37, 1e-38, 1.0, f32::NAN, 1e-6];
            let arguments = [
                Arg::Write(bytemuck::cast_slice_mut(&mut params)),
                Arg::Read(&[0; 6]),
                Arg::Write(bytemuck::cast_slice_mut(&mut exp_avg)),
                Arg::Write(bytemuck::cast_slice_mut(&mut exp_avg_sq)),
                Arg::Read(&[0, 1f32.to_bits()]),
            ];
            run(&step, &cpu, &clock(1, 1e-3), arguments, &mut []).unwrap();
            assert_eq!((exp_avg[0], exp_avg[1]), (0.0, 0.0), "{isa:?}");
            assert!(exp_avg[2] > 1e-30 && exp_avg[3] < -1e-30 && exp_avg[4].is_nan() && exp_avg[5] > 0.4);
            assert_eq!((exp_avg_sq[0], exp_avg_sq[2]), (0.0, 0.0), "{isa:?}");
            assert!(exp_avg_sq[1] > 1e-37 && exp_avg_sq[3] > 0.9 && exp_avg_sq[4].is_nan());
            assert_eq!(params[..4], [1.0; 4]);
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
