//! The spectrum of a large symmetric matrix by stochastic Lanczos quadrature (Golub and Welsch 1969; Ubaru, Chen and Saad
//! 2017; for networks Ghorbani, Krishnan and Xiao 2019).
//!
//! From a random vector of n entries of either sign, Lanczos' method makes a tridiagonal matrix of m rows. Its eigenvalues
//! θ_i and the squares τ_i of the first entries of its eigenvectors are the nodes and weights of a Gaussian quadrature: for
//! any function f, `trace f(A) ≈ n Σ_i τ_i f(θ_i)`, exactly on average over start vectors for polynomials up to degree
//! 2 m - 1. The outermost θ approach the outermost eigenvalues first, from within.

use super::lanczos::{Tridiagonal, lanczos};
use kernels::random::pcg4d;
use nalgebra::DMatrix;
use std::f64::consts::TAU;
use std::ops::Range;

/// Key of the random stream of start vectors.
const STREAM: u32 = 0x6c61_6e63;

/// A node of a quadrature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ritz {
    /// θ, close to an eigenvalue or between several.
    pub value: f64,
    /// τ, its share of the spectrum; the shares of one start vector sum to 1.
    pub weight: f64,
}

/// What several start vectors show of a spectrum.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// n, the number of eigenvalues.
    pub dimension: usize,
    /// The nodes of each start vector, by ascending value.
    pub nodes: Vec<Vec<Ritz>>,
}

impl Spectrum {
    /// Of the matrix that `apply` multiplies with, by `steps` products for each of `starts` vectors. A vector has `words`
    /// words, of which those in `used` are entries; the others are and stay 0. The vectors follow from the seed.
    ///
    /// # Errors
    /// Those of `apply`.
    pub fn of<E>(
        words: usize,
        used: &[Range<usize>],
        [starts, steps]: [usize; 2],
        seed: u32,
        mut apply: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
    ) -> Result<Self, E> {
        let mut nodes = Vec::new();
        for start in 0..starts as u32 {
            let mut vector = vec![0.0; words];
            for at in used.iter().cloned().flatten() {
                let word = pcg4d([at as u32, start, STREAM, seed])[0];
                vector[at] = if word >> 31 == 0 { 1.0 } else { -1.0 };
            }
            nodes.push(quadrature(&lanczos(&vector, steps, &mut apply)?));
        }
        Ok(Self { dimension: used.iter().map(ExactSizeIterator::len).sum(), nodes })
    }

    /// The largest eigenvalue that any start vector shows; NaN if a product was not finite.
    pub fn largest(&self) -> f64 {
        self.extreme(|a, b| a > b)
    }

    /// The smallest one: below 0 where the loss bends down.
    pub fn smallest(&self) -> f64 {
        self.extreme(|a, b| a < b)
    }

    fn extreme(&self, beats: impl Fn(f64, f64) -> bool) -> f64 {
        let values = self.nodes.iter().flatten().map(|node| node.value);
        let better = |a: f64, b: f64| if a.is_nan() || beats(a, b) { a } else { b };
        values.reduce(better).unwrap_or(f64::NAN)
    }

    /// About how many eigenvalues are larger in magnitude than `threshold` times the largest: n times their share of the
    /// spectrum, the mean over the start vectors. 0 for a matrix of zeros.
    pub fn rank(&self, threshold: f64) -> f64 {
        let largest = self.largest().abs().max(self.smallest().abs());
        let counts = |node: &&Ritz| node.value.abs() > threshold * largest;
        let share: f64 = self.nodes.iter().flatten().filter(counts).map(|node| node.weight).sum();
        match largest.is_nan() {
            true => f64::NAN,
            false => self.dimension as f64 * share / self.nodes.len() as f64,
        }
    }

    /// `Σ λ² / max λ²` over the eigenvalues λ, the mean over the start vectors of `n Σ τ θ²`, which two products make exact
    /// on average. 0 for a matrix of zeros.
    pub fn stable_rank(&self) -> f64 {
        let largest = self.largest().abs().max(self.smallest().abs());
        let squares: f64 = self.nodes.iter().flatten().map(|node| node.weight * node.value.powi(2)).sum();
        match largest == 0.0 {
            true => 0.0,
            false => self.dimension as f64 * squares / self.nodes.len() as f64 / largest.powi(2),
        }
    }

    /// The density of the eigenvalues at each of `points`, smoothed by a normal distribution of standard deviation
    /// `width`: its integral is 1.
    pub fn density(&self, points: &[f64], width: f64) -> Vec<f64> {
        let factor = 1.0 / (width * TAU.sqrt() * self.nodes.len() as f64);
        let at = |point: f64| {
            let bell = |node: &Ritz| node.weight * (-0.5 * ((point - node.value) / width).powi(2)).exp();
            factor * self.nodes.iter().flatten().map(bell).sum::<f64>()
        };
        points.iter().map(|&point| at(point)).collect()
    }
}

/// Eigenvalues and squares of the first entries of the eigenvectors.
fn quadrature(of: &Tridiagonal) -> Vec<Ritz> {
    let size = of.diagonal.len();
    if of.diagonal.iter().chain(&of.beside).any(|value| !value.is_finite()) {
        // An eigen-solver would not come to an end.
        return vec![Ritz { value: f64::NAN, weight: 1.0 }];
    }
    let mut matrix = DMatrix::zeros(size, size);
    for (i, &value) in of.diagonal.iter().enumerate() {
        matrix[(i, i)] = value;
    }
    for (i, &value) in of.beside.iter().enumerate() {
        matrix[(i, i + 1)] = value;
        matrix[(i + 1, i)] = value;
    }
    let eigen = matrix.symmetric_eigen();
    let node = |i: usize| Ritz { value: eigen.eigenvalues[i], weight: eigen.eigenvectors[(0, i)].powi(2) };
    let mut nodes: Vec<Ritz> = (0..size).map(node).collect();
    nodes.sort_by(|a, b| a.value.total_cmp(&b.value));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Of a diagonal matrix, with two words of padding behind each ten.
    fn of_diagonal(values: &[f64], runs: [usize; 2], seed: u32) -> Spectrum {
        let used: Vec<Range<usize>> =
            (0..values.len().div_ceil(10)).map(|block| 12 * block..(12 * block + 10)).collect();
        let place = |i: usize| 12 * (i / 10) + i % 10;
        Spectrum::of(12 * used.len(), &used, runs, seed, |v| {
            let mut product = vec![0.0; v.len()];
            values.iter().enumerate().for_each(|(i, value)| product[place(i)] = value * v[place(i)]);
            Ok::<_, Infallible>(product)
        })
        .unwrap()
    }

    #[test]
    fn few_eigenvalues_are_found_with_their_shares() {
        let values: Vec<f64> = (0..100).map(|i| if i < 90 { 0.0 } else { [-3.0, 8.0][i % 2] }).collect();
        let spectrum = of_diagonal(&values, [1, 20], 1);
        let [low, zero, high] = spectrum.nodes[0][..] else { panic!("{spectrum:?}") };
        for (node, value, share) in [(low, -3.0, 0.05), (zero, 0.0, 0.9), (high, 8.0, 0.05)] {
            // Entries of either sign all have the same square, so a diagonal matrix shows its shares exactly.
            assert!((node.value - value).abs() < 1e-9 && (node.weight - share).abs() < 1e-9, "{node:?}");
        }
        assert_eq!(spectrum.dimension, 100);
        assert!((spectrum.rank(1e-3) - 10.0).abs() < 1e-6 && (spectrum.rank(0.5) - 5.0).abs() < 1e-6);
        assert!((spectrum.largest() - 8.0).abs() < 1e-9 && (spectrum.smallest() + 3.0).abs() < 1e-9);
        assert!((spectrum.stable_rank() - (5.0 * 9.0 + 5.0 * 64.0) / 64.0).abs() < 1e-9);
    }

    #[test]
    fn the_density_of_many_eigenvalues_is_that_of_all_of_them() {
        // Evenly from -1 to 1, and one far away.
        let mut values: Vec<f64> = (0..499).map(|i| i as f64 / 249.0 - 1.0).collect();
        values.push(5.0);
        let spectrum = of_diagonal(&values, [3, 40], 2);
        let points: Vec<f64> = (0..1200).map(|i| i as f64 / 100.0 - 5.0).collect();
        let width = 0.1;
        let density = spectrum.density(&points, width);
        let integral: f64 = density.iter().sum::<f64>() / 100.0;
        assert!((integral - 1.0).abs() < 1e-6, "{integral}");
        for (&point, &got) in points.iter().zip(&density) {
            let bell = |value: f64| (-0.5 * ((point - value) / width).powi(2)).exp();
            let all = values.iter().map(|&value| bell(value)).sum::<f64>();
            let expected = all / (500.0 * width * TAU.sqrt());
            assert!((got - expected).abs() < 0.01, "at {point}: {got}, {expected}");
        }
        assert!((spectrum.largest() - 5.0).abs() < 1e-6 && (spectrum.smallest() + 1.0).abs() < 0.02);
    }

    #[test]
    fn seeds_decide_and_what_is_not_finite_is_seen() {
        // Not diagonal: there the signs of the start vector would change nothing.
        let of = |seed| {
            let apply = |v: &[f64]| -> Result<Vec<f64>, Infallible> {
                let sum: f64 = v.iter().sum();
                Ok(v.iter().zip(0..).map(|(v, i)| f64::from(i) * v + sum).collect())
            };
            Spectrum::of(50, &[0..20, 20..50], [2, 5], seed, apply).unwrap().nodes
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_ne!(of(1)[0], of(1)[1]);
        let spectrum = of_diagonal(&[f64::NAN; 10], [1, 5], 1);
        let numbers = [spectrum.largest(), spectrum.smallest(), spectrum.rank(0.1), spectrum.stable_rank()];
        assert!(numbers.iter().all(|number| number.is_nan()), "{numbers:?}");
        let zeros = of_diagonal(&[0.0; 10], [1, 5], 1);
        assert_eq!((zeros.largest(), zeros.rank(0.1), zeros.stable_rank()), (0.0, 0.0, 0.0));
    }
}
