//! First values: how they are distributed, and drawing them.

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

/// The first values of a tensor, which has a number of its own: each is a function of place and seed.
pub(crate) fn first_values(init: Init, tensor: u32, values: &mut [f32], seed: u32) {
    let draw = |i: usize| pcg4d([(i / 4) as u32, tensor, STREAM_INIT, seed]);
    let drawn_normal = |i: usize| {
        let words = draw(i);
        normal(words[i % 4 / 2 * 2], words[i % 4 / 2 * 2 + 1])[i % 2]
    };
    for (i, value) in values.iter_mut().enumerate() {
        *value = match init {
            Init::Constant(value) => value,
            Init::FanIn(fan_in) => (2.0 * unit(draw(i)[i % 4]) - 1.0) / (fan_in as f32).sqrt(),
            Init::LecunNormal(fan_in) => drawn_normal(i) / (fan_in as f32).sqrt(),
            Init::Normal { deviation } => deviation * drawn_normal(i),
        };
    }
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

    fn drawn(init: Init, len: usize, seed: u32) -> Vec<f32> {
        let mut values = vec![0.0; len];
        first_values(init, 0, &mut values, seed);
        values
    }

    #[test]
    fn first_values_are_uniform_within_their_bound() {
        let values = drawn(Init::FanIn(101), 10_100, 7);
        let bound = 1.0 / 101f32.sqrt();
        assert!(values.iter().all(|v| v.abs() <= bound));
        let mean = values.iter().sum::<f32>() / 10_100.0;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 10_100.0;
        assert!(mean.abs() < 0.002 && (variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
        assert_ne!(values, drawn(Init::FanIn(101), 10_100, 8));
    }

    #[test]
    fn normal_values_have_the_moments_of_a_normal_distribution() {
        // The variance of LeCun's is 1 / 100.
        let lecun = drawn(Init::LecunNormal(100), 10_000, 3).into_iter().map(|v| 10.0 * v).collect();
        for values in [drawn(Init::Normal { deviation: 1.0 }, 10_000, 3), lecun] {
            let moment = |power: i32| values.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / 1e4;
            assert!(
                moment(1).abs() < 0.04 && (moment(2) - 1.0).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.4
            );
            // Neighbours come from one pair.
            let products = values.chunks(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / 5e3;
            assert!(products.abs() < 0.06, "{products}");
        }
    }

    #[test]
    fn singular_vectors_have_length_1_and_the_largest_singular_value() {
        let matrix = drawn(Init::FanIn(25), 40 * 25, 5);
        let [left, right] = singular_vectors(&matrix, 40);
        for vector in [&left, &right] {
            assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let along = |row: &[f32]| row.iter().zip(&right).map(|(w, v)| w * v).sum::<f32>();
        let sigma: f32 = matrix.chunks_exact(25).zip(&left).map(|(row, u)| u * along(row)).sum();
        // No row is longer, and all together are.
        let length = |row: &[f32]| row.iter().map(|w| w * w).sum::<f32>().sqrt();
        assert!(matrix.chunks_exact(25).all(|row| length(row) < 1.05 * sigma) && sigma < length(&matrix));
    }
}
