//! First values: how they are distributed, and drawing them.

use crate::params::Segment;
use kernels::random::{pcg4d, unit};

/// The distribution of the first values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All equal.
    Constant(f32),
    /// Uniform in `(-1/sqrt(fan_in), 1/sqrt(fan_in))`: PyTorch's default for linear layers and convolutions, weights and
    /// biases alike.
    FanIn(usize),
    /// Normal with mean 0 and variance `1 / fan_in` (LeCun and others 1998). Flax and Haiku cut it at two standard
    /// deviations, which is not done here.
    LecunNormal(usize),
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        deviation: f32,
    },
}

/// Stream of the initial values: the third word of every counter.
const STREAM_INIT: u32 = 0x1000_0000;

/// The first values of an arena.
pub(crate) fn fill(segments: &[Segment], words: usize, seed: u32) -> Vec<f32> {
    let mut arena = vec![0.0; words];
    for (index, segment) in segments.iter().enumerate() {
        let draw = |i: usize| pcg4d([(i / 4) as u32, index as u32, STREAM_INIT, seed]);
        let drawn_normal = |i: usize| {
            let words = draw(i);
            normal(words[i % 4 / 2 * 2], words[i % 4 / 2 * 2 + 1])[i % 2]
        };
        for (i, value) in arena[segment.range()].iter_mut().enumerate() {
            *value = match segment.init {
                Init::Constant(value) => value,
                Init::FanIn(fan_in) => (2.0 * unit(draw(i)[i % 4]) - 1.0) / (fan_in as f32).sqrt(),
                Init::LecunNormal(fan_in) => drawn_normal(i) / (fan_in as f32).sqrt(),
                Init::Normal { deviation } => deviation * drawn_normal(i),
            };
        }
    }
    arena
}

/// Two independent normal values from two random words (Box and Muller, 1958).
pub fn normal(radius: u32, angle: u32) -> [f32; 2] {
    // In (0, 1]: the logarithm of 0 would be infinite.
    let uniform = (f64::from(radius) + 1.0) / 2f64.powi(32);
    let (radius, angle) =
        ((-2.0 * uniform.ln()).sqrt(), std::f64::consts::TAU * f64::from(angle) / 2f64.powi(32));
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

/// Power iterations before the first step, as many as PyTorch makes.
const ITERATIONS: usize = 15;

/// The first left and right singular vectors of a matrix `[outputs, in]`, by power iteration from equal numbers.
pub(crate) fn singular_vectors(matrix: &[f32], outputs: usize) -> [Vec<f32>; 2] {
    let inputs = matrix.len() / outputs;
    let divided_by_length = |vector: Vec<f64>| {
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        vector.into_iter().map(|x| x / length).collect::<Vec<f64>>()
    };
    let (mut left, mut right) = (divided_by_length(vec![1.0; outputs]), vec![0.0; inputs]);
    for _ in 0..ITERATIONS {
        right.fill(0.0);
        for (row, factor) in matrix.chunks_exact(inputs).zip(&left) {
            right.iter_mut().zip(row).for_each(|(sum, &w)| *sum += factor * f64::from(w));
        }
        right = divided_by_length(right);
        let product = |row: &[f32]| row.iter().zip(&right).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
        left = divided_by_length(matrix.chunks_exact(inputs).map(product).collect());
    }
    [left, right].map(|vector| vector.into_iter().map(|x| x as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Parameters;

    #[test]
    fn first_values_are_uniform_within_their_bound_and_padding_is_zero() {
        let mut table = Parameters::new();
        table.add("backbone.fc1.weight".into(), &[100, 101], Init::FanIn(101));
        let values = table.initial_values(7);
        let bound = 1.0 / 101f32.sqrt();
        let (used, padding) = values.split_at(10_100);
        assert!(used.iter().all(|v| v.abs() <= bound) && padding.iter().all(|&v| v == 0.0));
        let mean = used.iter().sum::<f32>() / 10_100.0;
        let variance = used.iter().map(|v| v * v).sum::<f32>() / 10_100.0;
        assert!(mean.abs() < 0.002 && (variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
        assert_ne!(values, table.initial_values(8));
    }

    #[test]
    fn normal_values_have_the_moments_of_a_normal_distribution() {
        let mut table = Parameters::new();
        table.add("backbone.positions".into(), &[100, 100], Init::Normal { deviation: 1.0 });
        let values: Vec<f64> = table.initial_values(3).into_iter().take(10_000).map(f64::from).collect();
        let moment = |power: i32| values.iter().map(|v| v.powi(power)).sum::<f64>() / 1e4;
        assert!(moment(1).abs() < 0.04 && (moment(2) - 1.0).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.4);
        // Neighbours come from one pair.
        let products = values.chunks(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 5e3;
        assert!(products.abs() < 0.06, "{products}");
    }

    #[test]
    fn lecun_weights_have_their_variance_and_biases_are_zero() {
        let mut table = Parameters::new();
        table.add("backbone.fc1.weight".into(), &[100, 100], Init::FanIn(100));
        table.add("backbone.fc1.bias".into(), &[100], Init::FanIn(100));
        table.add("backbone.ln1.weight".into(), &[100], Init::Constant(1.0));
        table.begin_lecun_normal();
        let values = table.initial_values(3);
        let [weight, bias, norm] = [0, 1, 2].map(|index| &values[table.trained()[index].range()]);
        let variance = weight.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / 1e4;
        assert!((100.0 * variance - 1.0).abs() < 0.05, "{variance}");
        // Uniform values of this variance end at sqrt(3) deviations, Flax's at two.
        assert!(weight.iter().any(|w| w.abs() > 0.2));
        assert!(bias.iter().all(|&b| b == 0.0) && norm.iter().all(|&w| w == 1.0));
    }

    #[test]
    fn singular_vectors_are_those_of_the_first_weights() {
        let mut table = Parameters::new();
        let weight = table.add("backbone.fc1.weight".into(), &[40, 25], Init::FanIn(25));
        table.add_singular_vectors(weight);
        let (values, statistics) = (table.initial_values(5), table.initial_statistics(5));
        let [left, right] = [0, 1].map(|index| &statistics[table.statistics()[index].range()]);
        assert_eq!(table.statistics()[1].name, "backbone.fc1.weight_v");
        for vector in [left, right] {
            assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        // The largest singular value has uᵀ W v = |Wᵀu|, and no other unit vectors have more than a few percent more.
        let product = |u: &[f32], v: &[f32]| -> f32 {
            let rows = values[table.trained()[0].range()].chunks_exact(25).zip(u);
            rows.map(|(row, u)| u * row.iter().zip(v).map(|(w, v)| w * v).sum::<f32>()).sum()
        };
        let sigma = product(left, right);
        let many: Vec<f32> = values[table.trained()[0].range()].to_vec();
        let frobenius = many.iter().map(|w| w * w).sum::<f32>().sqrt();
        assert!(sigma > frobenius / 5.0 && sigma < frobenius, "{sigma} of {frobenius}");
        for row in many.chunks_exact(25) {
            assert!(sigma * 1.05 > row.iter().map(|w| w * w).sum::<f32>().sqrt());
        }
    }
}
