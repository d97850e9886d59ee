//! Lanczos' method: a small tridiagonal matrix that stands for a large symmetric one (Lanczos 1950).

/// A coefficient below this share of the largest is the rounding of products in f32: the vectors so far span all that the
/// start vector reaches.
const EXHAUSTED: f64 = 1e-6;

/// A symmetric tridiagonal matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tridiagonal {
    /// The m entries on the diagonal.
    pub diagonal: Vec<f64>,
    /// The m - 1 entries beside it.
    pub beside: Vec<f64>,
}

/// T = Qᵀ A Q for the matrix A that `apply` multiplies with, where the columns of Q are an orthonormal basis of the space of
/// `start, A start, ..., A^(steps - 1) start`. Every new vector is made orthogonal to all before it, twice: without
/// that, rounding brings copies of the largest eigenvalues. Fewer than `steps` rows come out where the space has fewer
/// dimensions, or where a product is not finite, which the last row then is too.
///
/// Sums are f64. The basis takes `steps` times the memory of a vector.
///
/// # Errors
/// Those of `apply`.
pub fn lanczos<E>(
    start: &[f64],
    steps: usize,
    mut apply: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
) -> Result<Tridiagonal, E> {
    let mut found = Tridiagonal::default();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut next, mut length) = (start.to_vec(), norm(start));
    let mut largest: f64 = 0.0;
    while basis.len() < steps && length > EXHAUSTED * largest {
        if !basis.is_empty() {
            found.beside.push(length);
        }
        next.iter_mut().for_each(|value| *value /= length);
        basis.push(next);
        let newest = &basis[basis.len() - 1];
        next = apply(newest)?;
        let along = dot(&next, newest);
        found.diagonal.push(along);
        if !along.is_finite() {
            break;
        }
        for _ in 0..2 {
            for vector in &basis {
                let share = dot(&next, vector);
                next.iter_mut().zip(vector).for_each(|(value, vector)| *value -= share * vector);
            }
        }
        length = norm(&next);
        largest = largest.max(along.abs()).max(length);
    }
    Ok(found)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn diagonal(values: &[f64]) -> impl Fn(&[f64]) -> Result<Vec<f64>, Infallible> {
        let values = values.to_vec();
        move |v| Ok(v.iter().zip(&values).map(|(v, value)| v * value).collect())
    }

    #[test]
    fn a_space_that_is_exhausted_ends_the_iteration() {
        // Three different eigenvalues, so three dimensions, however long the vectors are.
        let values: Vec<f64> = (0..90).map(|i| [-2.0, 0.5, 7.0][i % 3]).collect();
        let found = lanczos(&[1.0; 90], 50, diagonal(&values)).unwrap();
        assert_eq!((found.diagonal.len(), found.beside.len()), (3, 2));
        let trace: f64 = found.diagonal.iter().sum();
        assert!((trace - 5.5).abs() < 1e-12, "{found:?}");
        let nothing = lanczos(&[0.0; 4], 3, diagonal(&[1.0; 4])).unwrap();
        assert_eq!(nothing, Tridiagonal::default());
    }

    #[test]
    fn what_is_not_finite_ends_the_iteration_and_is_seen() {
        let found = lanczos(&[1.0, 1.0], 5, diagonal(&[1.0, f64::NAN])).unwrap();
        assert!(found.diagonal.len() == 1 && found.diagonal[0].is_nan());
    }

    #[test]
    fn errors_are_handed_on() {
        assert_eq!(lanczos(&[1.0], 2, |_| Err("lost")), Err("lost"));
    }
}
