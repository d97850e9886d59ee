//! The cases of the optimisers.

use super::cases::{REAL, TINY, case, clock, floats};
use super::{Adam, FADED, FADED_SQUARE, RmsProp, Sgd, WeightDecay};
use crate::case::{Case, Definition, Size, Values, test_values};
use crate::kernel::Clock;

/// The cases of these kernels.
pub(super) fn cases() -> Vec<Case> {
    use WeightDecay::{Coupled, Decoupled};
    let mut cases = Vec::new();
    for len in TINY {
        cases.push(adam(len, Decoupled(0.01), 0.0, clock(1, 1e-3), 1.0, Size::Tiny));
        cases.push(adam(len, Decoupled(0.0), 0.0, clock(1000, 1e-3), 0.37, Size::Tiny));
        // A step as large as the parameters, so that an error in it shows.
        cases.push(adam(len, Decoupled(0.1), 0.0, clock(7, 0.5), 2.0, Size::Tiny));
        cases.push(adam(len, Coupled(0.1), 0.0, clock(7, 0.5), 2.0, Size::Tiny));
        cases.push(adam(len, Decoupled(0.1), 0.02, clock(7, 0.5), 2.0, Size::Tiny));
        cases.push(adam(len, Coupled(0.1), 0.02, clock(1, 0.5), 0.37, Size::Tiny));
        cases.push(adam_fading(len));
        for momentum in [0.0, 0.9] {
            cases.push(sgd(len, momentum, 0.1, 0.37, Size::Tiny));
        }
        cases.push(sgd_fading(len));
        for centered in [false, true] {
            cases.push(rmsprop(len, centered, 0.0, 1.0, Size::Tiny));
            cases.push(rmsprop(len, centered, 0.1, 0.37, Size::Tiny));
            cases.push(rmsprop_fading(len, centered));
        }
    }
    for len in REAL {
        cases.push(adam(len, Decoupled(0.01), 0.0, clock(1000, 1e-3), 0.37, Size::Real));
    }
    // Not the largest: all cases live in memory at once.
    cases.push(adam(REAL[1], Coupled(0.01), 1e-3, clock(1000, 1e-3), 0.37, Size::Real));
    cases.push(sgd(REAL[1], 0.9, 0.01, 0.37, Size::Real));
    cases.push(rmsprop(REAL[1], true, 0.01, 0.37, Size::Real));
    cases
}

/// What [`super::GradientNorm`] wrote: a norm that no optimiser reads, and the factor.
fn clip(factor: f32) -> Values {
    Values::F32(vec![f32::NAN, factor])
}

/// Positive floats: mean squares.
fn squares(len: usize, scale: f32) -> Values {
    Values::F32(test_values(len, 4).into_iter().map(|v| v * v * scale).collect())
}

fn adam(len: usize, weight_decay: WeightDecay, eps_root: f64, clock: Clock, factor: f32, size: Size) -> Case {
    let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
    let inputs =
        vec![floats(len, 1, 0.1), floats(len, 2, 0.3), floats(len, 3, 0.1), squares(len, 1e-2), clip(factor)];
    let (decoupled, coupled) = match weight_decay {
        WeightDecay::Decoupled(decay) => (decay, 0.0),
        WeightDecay::Coupled(decay) => (0.0, decay),
    };
    let expected: Definition = Box::new(move |inputs| {
        let [mut params, gradients, mut exp_avg, mut exp_avg_sq, clip] =
            std::array::from_fn(|index| inputs[index].f64());
        let learning_rate = f64::from(clock.learning_rate);
        for i in 0..len {
            let g = gradients[i] * clip[1] + coupled * params[i];
            params[i] *= 1.0 - learning_rate * decoupled;
            exp_avg[i] += (g - exp_avg[i]) * (1.0 - beta1);
            exp_avg_sq[i] = exp_avg_sq[i] * beta2 + (1.0 - beta2) * g * g;
            let unbiased = exp_avg_sq[i] / f64::from(clock.bias_correction2_sqrt).powi(2);
            let denominator = (unbiased + eps_root).sqrt() + eps;
            params[i] -= learning_rate / f64::from(clock.bias_correction1) * exp_avg[i] / denominator;
        }
        vec![Some(params), None, Some(exp_avg), Some(exp_avg_sq), None]
    });
    case(Adam { len, beta1, beta2, eps, eps_root, weight_decay }, clock, inputs, expected, size)
}

fn sgd(len: usize, momentum: f64, weight_decay: f64, factor: f32, size: Size) -> Case {
    let clock = clock(1, 0.5);
    let inputs = vec![floats(len, 1, 0.1), floats(len, 2, 0.3), floats(len, 3, 0.1), clip(factor)];
    let expected: Definition = Box::new(move |inputs| {
        let [mut params, gradients, mut buffer, clip] = std::array::from_fn(|index| inputs[index].f64());
        for i in 0..len {
            buffer[i] = momentum * buffer[i] + gradients[i] * clip[1] + weight_decay * params[i];
            params[i] -= f64::from(clock.learning_rate) * buffer[i];
        }
        vec![Some(params), None, Some(buffer), None]
    });
    case(Sgd { len, momentum, weight_decay }, clock, inputs, expected, size)
}

fn rmsprop(len: usize, centered: bool, weight_decay: f64, factor: f32, size: Size) -> Case {
    let (alpha, eps, clock) = (0.9, 1e-3, clock(1, 0.05));
    // Mean squares that are well above the squared means: their difference keeps its digits.
    let above = test_values(len, 4).into_iter().map(|v| 0.5 + v * v).collect();
    let mut inputs = vec![floats(len, 1, 0.1), floats(len, 2, 0.3), Values::F32(above)];
    inputs.extend(centered.then(|| floats(len, 3, 0.1)));
    inputs.push(clip(factor));
    let expected: Definition = Box::new(move |inputs| {
        let [mut params, gradients, mut square] = std::array::from_fn(|index| inputs[index].f64());
        let mut mean = if centered { inputs[3].f64() } else { vec![0.0; len] };
        let clip = inputs[3 + usize::from(centered)].f64();
        for i in 0..len {
            let g = gradients[i] * clip[1] + weight_decay * params[i];
            square[i] = alpha * square[i] + (1.0 - alpha) * g * g;
            if centered {
                mean[i] = alpha * mean[i] + (1.0 - alpha) * g;
            }
            let deviation = (square[i] - mean[i].powi(2)).sqrt();
            params[i] -= f64::from(clock.learning_rate) * g / (deviation + eps);
        }
        let mut expected = vec![Some(params), None, Some(square)];
        expected.extend(centered.then_some(Some(mean)));
        expected.push(None);
        expected
    });
    case(RmsProp { len, alpha, eps, weight_decay, centered }, clock, inputs, expected, size)
}

/// Powers of two, negative ones for negative exponents, over and over.
fn cycle(len: usize, exponents: [i32; 4]) -> Values {
    let values = exponents.map(|exponent| exponent.signum() as f32 * -(2f32.powi(-exponent.abs())));
    Values::F32((0..len).map(|i| values[i % 4]).collect())
}

/// First moments of which, halved, the first two are above [`FADED`] and the last two below.
const FIRST: [i32; 4] = [98, -98, 99, -99];
/// Second moments of which, halved, the first two are above [`FADED_SQUARE`] and the last two below.
const SECOND: [i32; 4] = [-10, -121, -122, -124];

/// Halves; 0 where they are below the limit.
fn halved(moments: &Values, limit: f32) -> Option<Vec<f64>> {
    let halves = moments.f64().into_iter().map(|moment| moment / 2.0);
    Some(halves.map(|moment| if moment.abs() < f64::from(limit) { 0.0 } else { moment }).collect())
}

/// Moments to both sides of the limits below which they are stored as 0. With powers of two every device is exact.
fn adam_fading(len: usize) -> Case {
    let gradients = Values::F32(vec![0.0; len]);
    let inputs = vec![floats(len, 1, 0.1), gradients, cycle(len, FIRST), cycle(len, SECOND), clip(1.0)];
    let expected: Definition = Box::new(move |inputs| {
        let (m, v) = (halved(&inputs[2], FADED), halved(&inputs[3], FADED_SQUARE));
        vec![Some(inputs[0].f64()), None, m, v, None]
    });
    let weight_decay = WeightDecay::Decoupled(0.0);
    let kernel = Adam { len, beta1: 0.5, beta2: 0.5, eps: 1e-8, eps_root: 0.0, weight_decay };
    Case { tolerance: 0.0, ..case(kernel, clock(1000, 1e-3), inputs, expected, Size::Tiny) }
}

fn sgd_fading(len: usize) -> Case {
    let inputs = vec![floats(len, 1, 0.1), Values::F32(vec![0.0; len]), cycle(len, FIRST), clip(1.0)];
    let expected: Definition =
        Box::new(|inputs| vec![Some(inputs[0].f64()), None, halved(&inputs[2], FADED), None]);
    let kernel = Sgd { len, momentum: 0.5, weight_decay: 0.0 };
    Case { tolerance: 0.0, ..case(kernel, clock(1, 1e-3), inputs, expected, Size::Tiny) }
}

fn rmsprop_fading(len: usize, centered: bool) -> Case {
    let gradients = Values::F32(vec![0.0; len]);
    let mut inputs = vec![floats(len, 1, 0.1), gradients, cycle(len, SECOND)];
    inputs.extend(centered.then(|| cycle(len, FIRST)));
    inputs.push(clip(1.0));
    let expected: Definition = Box::new(move |inputs| {
        let mut expected = vec![Some(inputs[0].f64()), None, halved(&inputs[2], FADED_SQUARE)];
        expected.extend(centered.then(|| halved(&inputs[3], FADED)));
        expected.push(None);
        expected
    });
    let kernel = RmsProp { len, alpha: 0.5, eps: 1e-8, weight_decay: 0.0, centered };
    Case { tolerance: 0.0, ..case(kernel, clock(1, 1e-3), inputs, expected, Size::Tiny) }
}

#[cfg(test)]
mod tests {
    use super::super::GradientNorm;
    use super::*;
    use crate::kernel::Kernel;
    use crate::{Arg, run};
    use approx::assert_relative_eq;

    /// Three steps from p = [0.5, -1.0, 2.0, 0.0, -0.25] and states of 0 with learning rate 0.01. Gradient t is
    /// `[0.3, -2.0, 0.001, 0.0, 1.5] / t³`, clipped to norm 1. Gives parameters and states, and the norms.
    fn three_clipped_steps<const ARENAS: usize>(kernel: &dyn Kernel) -> ([[f32; 5]; ARENAS], [f32; 3]) {
        let cpu = crate::Cpu::new(1).unwrap();
        let norm = GradientNorm { len: 5, max_norm: Some(1.0), ring_rows: 1, words: 4 };
        let mut arenas = [[0f32; 5]; ARENAS];
        arenas[0] = [0.5, -1.0, 2.0, 0.0, -0.25];
        let mut norms = [0.0; 3];
        for t in 1..=3 {
            let gradients = [0.3f32, -2.0, 0.001, 0.0, 1.5].map(|g| g / (t * t * t) as f32);
            let (mut clip, mut ring, mut scratch) = ([0u32; 2], [0u32; 4], [0u32; 1]);
            let gradients: &[u32] = bytemuck::cast_slice(&gradients);
            let arguments = [Arg::Read(gradients), Arg::Write(&mut clip), Arg::Write(&mut ring)];
            run(&norm, &cpu, &clock(t, 1e-2), arguments, &mut scratch).unwrap();
            norms[t as usize - 1] = f32::from_bits(clip[0]);
            let mut written = arenas.iter_mut().map(|arena| Arg::Write(bytemuck::cast_slice_mut(arena)));
            let arguments = [written.next().unwrap(), Arg::Read(gradients)];
            let arguments = arguments.into_iter().chain(written).chain([Arg::Read(&clip)]);
            run(kernel, &cpu, &clock(t, 1e-2), arguments, &mut []).unwrap();
        }
        (arenas, norms)
    }

    fn close(got: &[f32], expected: &[f32]) {
        assert_relative_eq!(got, expected, epsilon = 0.0, max_relative = 5e-7);
    }

    /// With O one of the optimisers named below, PyTorch 2.15 gives these numbers:
    ///
    /// ```python
    /// p = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.0, -0.25]))
    /// optimizer = O([p], lr=1e-2, weight_decay=0.1, foreach=False)
    /// for t in range(1, 4):
    ///     p.grad = torch.tensor([0.3, -2.0, 0.001, 0.0, 1.5]) / t ** 3
    ///     torch.nn.utils.clip_grad_norm_([p], 1.0)
    ///     optimizer.step()
    /// ```
    #[test]
    fn three_clipped_steps_equal_pytorch() {
        // torch.optim.AdamW
        let adam = |eps, eps_root, weight_decay| Adam {
            len: 5,
            beta1: 0.9,
            beta2: 0.999,
            eps,
            eps_root,
            weight_decay,
        };
        let ([p, m, v], norms) = three_clipped_steps(&adam(1e-8, 0.0, WeightDecay::Decoupled(0.1)));
        close(&norms, &[2.517_936, 0.314_742, 0.093_256_88]);
        close(&p, &[0.472_695_44, -0.971_197, 1.968_200_9, 0.0, -0.275_056_84]);
        close(&m, &[0.014_136_87, -0.094_245_79, 4.712_290_3e-5, 0.0, 0.070_684_35]);
        close(&v, &[1.569_549_6e-5, 6.975_775_5e-4, 1.743_944e-10, 0.0, 3.923_874_2e-4]);
        // torch.optim.Adam
        let ([p, m, v], _) = three_clipped_steps(&adam(1e-8, 0.0, WeightDecay::Coupled(0.1)));
        close(&p, &[0.471_840_65, -0.973_114_97, 1.970_005_9, 0.0, -0.275_326_34]);
        close(&m, &[0.027_403_323, -0.121_066_324, 0.053_957_14, 0.0, 0.063_634_61]);
        close(&v, &[3.952_942_6e-5, 9.495_006_5e-4, 1.189_086e-4, 0.0, 3.519_572_2e-4]);
        // torch.optim.SGD with momentum=0.9
        let ([p, b], _) = three_clipped_steps(&Sgd { len: 5, momentum: 0.9, weight_decay: 0.1 });
        close(&p, &[0.493_149_88, -0.967_411_16, 1.988_776_1, 0.0, -0.268_836_44]);
        close(&b, &[0.276_307_76, -1.210_604_8, 0.541_710_2, 0.0, 0.637_333_5]);
        // torch.optim.RMSprop with alpha=0.99
        let rmsprop = |eps, centered| RmsProp { len: 5, alpha: 0.99, eps, weight_decay: 0.1, centered };
        let ([p, v], _) = three_clipped_steps(&rmsprop(1e-8, false));
        close(&p, &[0.333_503_78, -0.847_609_9, 1.775_440_7, 0.0, -0.379_004_75]);
        close(&v, &[3.618_920_5e-4, 9.240_648e-3, 1.086_847_6e-3, 0.0, 3.425_923_4e-3]);
        // The same with eps=1e-3, centered=True
        let ([p, v, a], _) = three_clipped_steps(&rmsprop(1e-3, true));
        close(&p, &[0.340_898_22, -0.848_291_2, 1.782_179_6, 0.0, -0.377_540_1]);
        close(&v, &[3.633_176e-4, 9.241_28e-3, 1.090_661_4e-3, 0.0, 3.426_349e-3]);
        close(&a, &[2.906_127_4e-3, -1.373_738_4e-2, 5.687_927e-3, 0.0, 7.285_737_4e-3]);
    }

    /// The formula of `optax.adam(1e-2, eps=1e-3, eps_root=1e-2)` written out in PyTorch:
    ///
    /// ```python
    /// m = 0.9 * m + 0.1 * g
    /// v = 0.999 * v + 0.001 * g * g
    /// p = p - 1e-2 * (m / (1 - 0.9 ** t)) / (torch.sqrt(v / (1 - 0.999 ** t) + 1e-2) + 1e-3)
    /// ```
    #[test]
    fn epsilon_inside_the_root_equals_optax() {
        let weight_decay = WeightDecay::Coupled(0.0);
        let kernel = Adam { len: 5, beta1: 0.9, beta2: 0.999, eps: 1e-3, eps_root: 1e-2, weight_decay };
        let ([p, _, _], _) = three_clipped_steps(&kernel);
        close(&p, &[0.482_529_85, -0.974_556_45, 1.999_918_3, 0.0, -0.275_169_88]);
    }

    #[test]
    fn moments_that_faded_are_zero_and_nan_stays() {
        for isa in crate::simd::Isa::supported() {
            let mut cpu = crate::Cpu::new(1).unwrap();
            cpu.isa = isa;
            let weight_decay = WeightDecay::Decoupled(0.0);
            let step = Adam { len: 6, beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 0.0, weight_decay };
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
}
