//! Shapes for tests and benches, and the definitions in f64.

use super::{SpectralNorm, SpectralNormBackward};
use crate::case::test_values;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for outputs in [1, 2, 5, 64, 65, 300] {
        for inputs in [1, 3, 16, 33, 255, 256, 257] {
            for iterate in [true, false] {
                cases.push(forward(SpectralNorm { outputs, inputs, iterate }, Size::Tiny));
            }
            cases.push(backward(SpectralNormBackward { outputs, inputs }, Size::Tiny));
        }
    }
    cases.push(no_weight());
    // The first layers of MLPs on MNIST and CIFAR-10.
    for inputs in [784, 3072] {
        cases.push(forward(SpectralNorm { outputs: 512, inputs, iterate: true }, Size::Real));
        cases.push(backward(SpectralNormBackward { outputs: 512, inputs }, Size::Real));
    }
    cases
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12)
}

/// A vector of length 1, of positive numbers so that no product with it cancels to about 0.
fn unit_vector(len: usize, stream: u32) -> Values {
    let vector: Vec<f32> = test_values(len, stream).into_iter().map(|v| v + 1.1).collect();
    let length = length(&vector.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    Values::F32(vector.into_iter().map(|v| (f64::from(v) / length) as f32).collect())
}

/// Weights with a mean, for the same reason.
fn weight(len: usize) -> Values {
    Values::F32(test_values(len, 1).into_iter().map(|v| v + 0.5).collect())
}

fn forward(kernel: SpectralNorm, size: Size) -> Case {
    let SpectralNorm { outputs, inputs, iterate } = kernel;
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![
            weight(outputs * inputs),
            unit_vector(outputs, 2),
            unit_vector(inputs, 3),
            Values::F32(vec![0.0; outputs * inputs]),
            Values::F32(vec![0.0]),
        ],
        expected: Box::new(move |buffers| {
            let [weight, mut u, mut v] = std::array::from_fn(|i| buffers[i].f64());
            let divide = |vector: Vec<f64>| {
                let length = length(&vector);
                vector.into_iter().map(|x| x / length).collect::<Vec<_>>()
            };
            let times = |v: &[f64]| -> Vec<f64> {
                weight.chunks(inputs).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
            };
            if iterate {
                v = divide(
                    (0..inputs).map(|j| (0..outputs).map(|i| weight[i * inputs + j] * u[i]).sum()).collect(),
                );
                u = divide(times(&v));
            }
            let sigma: f64 = times(&v).iter().zip(&u).map(|(a, b)| a * b).sum();
            // A product of no length counts as 1e-12.
            let sigma = if iterate { sigma.max(1e-12) } else { sigma };
            let normalised = weight.iter().map(|w| w / sigma).collect();
            let state = |vector| iterate.then_some(vector);
            vec![None, state(u), state(v), Some(normalised), Some(vec![sigma])]
        }),
        tolerance: 1e-5,
        size,
    }
}

/// A weight of zeros stays one.
fn no_weight() -> Case {
    let mut case = forward(SpectralNorm { outputs: 3, inputs: 5, iterate: true }, Size::Tiny);
    case.inputs[0] = Values::F32(vec![0.0; 15]);
    case
}

fn backward(kernel: SpectralNormBackward, size: Size) -> Case {
    let SpectralNormBackward { outputs, inputs } = kernel;
    let all = outputs * inputs;
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![
            Values::F32(test_values(all, 4)),
            weight(all),
            unit_vector(outputs, 2),
            unit_vector(inputs, 3),
            Values::F32(vec![1.7]),
            Values::F32(vec![0.0; all]),
        ],
        expected: Box::new(move |buffers| {
            let [dnormalised, normalised, u, v, sigma] = std::array::from_fn(|i| buffers[i].f64());
            let c: f64 = dnormalised.iter().zip(&normalised).map(|(a, b)| a * b).sum();
            let gradient = (0..all).map(|i| (dnormalised[i] - c * u[i / inputs] * v[i % inputs]) / sigma[0]);
            vec![None, None, None, None, None, Some(gradient.collect())]
        }),
        tolerance: 1e-5,
        size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::case::check_gradient;
    use approx::assert_abs_diff_eq;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn iterating_finds_the_largest_singular_value() {
        // Columns of lengths 5 and 1 at right angles: its singular values.
        let weight = [3.0, 0.8, -4.0, 0.6f32].map(f32::to_bits);
        let (mut u, mut v, mut normalised, mut sigma) =
            ([0.6, 0.8f32].map(f32::to_bits), [0; 2], [0; 4], [0]);
        let (cpu, mut scratch) = (Cpu::new(1).unwrap(), [0; 2]);
        for _ in 0..20 {
            let read = std::iter::once(crate::Arg::Read(&weight));
            let written = [&mut u[..], &mut v, &mut normalised, &mut sigma].map(crate::Arg::Write);
            let kernel = SpectralNorm { outputs: 2, inputs: 2, iterate: true };
            crate::run(&kernel, &cpu, &Clock::default(), read.chain(written), &mut scratch).unwrap();
        }
        assert_abs_diff_eq!(f32::from_bits(sigma[0]), 5.0, epsilon = 1e-5);
        assert_abs_diff_eq!(f32::from_bits(normalised[2]), -0.8, epsilon = 1e-6);
    }

    /// With the vectors as they are, `Σ g ∘ normalised` has the gradient that the backward kernel makes of g.
    #[test]
    fn the_gradient_is_that_of_the_normalised_weight() {
        let (outputs, inputs) = (4, 3);
        let cpu = Cpu::new(1).unwrap();
        let mut ahead = forward(SpectralNorm { outputs, inputs, iterate: false }, Size::Tiny);
        let after = ahead.run_on_cpu(&cpu);
        let mut back = backward(SpectralNormBackward { outputs, inputs }, Size::Tiny);
        let floats = |words: &[u32]| Values::F32(words.iter().map(|&word| f32::from_bits(word)).collect());
        let [u, v, normalised, sigma] = std::array::from_fn(|i| floats(&after[i + 1]));
        (back.inputs[1], back.inputs[2], back.inputs[3], back.inputs[4]) = (normalised, u, v, sigma);
        let (g, dweight) = (back.inputs[0].f64(), back.run_on_cpu(&cpu).swap_remove(5));
        check_gradient(&mut ahead, 0, &bytemuck::cast_vec(dweight), |buffers| {
            buffers[3].iter().zip(&g).map(|(&w, g)| f64::from(f32::from_bits(w)) * g).sum()
        });
    }
}
