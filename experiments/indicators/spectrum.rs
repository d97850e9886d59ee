//! Singular values of a matrix of features, and the two ranks made of them.

use nalgebra::DMatrix;

/// Singular values of the row-major `[rows, columns]` matrix, largest first: roots of the eigenvalues of the smaller of the
/// two products of the matrix with itself. Below about 1e-8 of the largest they are noise, which moves no share.
pub fn singular_values(matrix: &[f32], rows: usize, columns: usize) -> Vec<f64> {
    if matrix.is_empty() {
        return Vec::new();
    }
    let matrix = DMatrix::from_row_iterator(rows, columns, matrix.iter().map(|&value| f64::from(value)));
    let products = if rows <= columns { &matrix * matrix.transpose() } else { matrix.tr_mul(&matrix) };
    let eigenvalues = products.symmetric_eigenvalues();
    let mut values: Vec<f64> = eigenvalues.iter().map(|value| value.max(0.0).sqrt()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// `srank = min k: (σ_1 + ... + σ_k) / Σ σ >= 1 - delta` (Kumar et al. 2020); 0 for a matrix of zeros.
pub fn srank(singular_values: &[f64], delta: f64) -> usize {
    let total: f64 = singular_values.iter().sum();
    let mut sum = 0.0;
    let enough = |value: &f64| {
        sum += value;
        sum >= (1.0 - delta) * total
    };
    if total > 0.0 {
        singular_values.iter().position(enough).map_or(singular_values.len(), |k| k + 1)
    } else {
        0
    }
}

/// `exp(-Σ p ln p)` with `p = σ / Σ σ` (Roy and Vetterli 2007); 0 for a matrix of zeros.
pub fn effective_rank(singular_values: &[f64]) -> f64 {
    let total: f64 = singular_values.iter().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let shares = singular_values.iter().map(|value| value / total).filter(|&p| p > 0.0);
    shares.map(|p| -p * p.ln()).sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{abs_diff_eq, assert_abs_diff_eq, assert_relative_eq, relative_eq};
    use kernels::case::test_values;

    /// One-sided Jacobi rotations on the matrix itself: another method altogether.
    fn by_rotations(matrix: &[f32], rows: usize, columns: usize) -> Vec<f64> {
        let mut column: Vec<Vec<f64>> =
            (0..columns).map(|c| (0..rows).map(|r| f64::from(matrix[r * columns + c])).collect()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for _ in 0..40 {
            for i in 0..columns {
                for j in 0..i {
                    let (a, b, c) = (
                        dot(&column[i], &column[i]),
                        dot(&column[j], &column[j]),
                        dot(&column[i], &column[j]),
                    );
                    if c.abs() > 1e-15 * (a * b).sqrt() {
                        let angle = 0.5 * (2.0 * c).atan2(a - b);
                        // j < i
                        let (before, from) = column.split_at_mut(i);
                        for (x, y) in from[0].iter_mut().zip(&mut before[j]) {
                            (*x, *y) =
                                (angle.cos() * *x + angle.sin() * *y, angle.cos() * *y - angle.sin() * *x);
                        }
                    }
                }
            }
        }
        let mut values: Vec<f64> = column.iter().map(|c| dot(c, c).sqrt()).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values.truncate(rows.min(columns));
        values
    }

    #[test]
    fn singular_values_agree_with_jacobi_rotations() {
        for (rows, columns) in [(1, 1), (1, 5), (5, 1), (2, 2), (7, 4), (4, 7), (30, 20), (24, 40)] {
            let matrix = test_values(rows * columns, 3);
            let (got, expected) =
                (singular_values(&matrix, rows, columns), by_rotations(&matrix, rows, columns));
            assert_eq!(got.len(), rows.min(columns));
            for (got, expected) in got.iter().zip(&expected) {
                let close = relative_eq!(got, expected, epsilon = 1e-7, max_relative = 1e-7);
                assert!(close, "{rows}x{columns}: {got}, {expected}");
            }
        }
    }

    #[test]
    fn ranks_of_matrices_that_are_known() {
        // Two orthogonal directions of lengths 3 and 1, the same in 40 rows each.
        let matrix: Vec<f32> =
            (0..80).flat_map(|row| if row < 40 { [3.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0] }).collect();
        let values = singular_values(&matrix, 80, 3);
        for (value, expected) in values.iter().zip([3.0 * 40f64.sqrt(), 40f64.sqrt(), 0.0]) {
            assert!(abs_diff_eq!(*value, expected, epsilon = 1e-6), "{values:?}");
        }
        assert_eq!((srank(&values, 0.01), srank(&values, 0.25), srank(&values, 0.3)), (2, 1, 1));
        let entropy = -(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        assert_abs_diff_eq!(effective_rank(&values), entropy.exp(), epsilon = 1e-6);
        // 100 equal shares: 99 of them are 99 %.
        assert_eq!(srank(&[2.0; 100], 0.015), 99);
        assert_abs_diff_eq!(effective_rank(&[2.0; 100]), 100.0, epsilon = 1e-9);
        let zeros = singular_values(&[0.0; 12], 3, 4);
        assert_eq!((srank(&zeros, 0.01), effective_rank(&zeros)), (0, 0.0));
    }

    #[test]
    fn a_large_matrix_of_low_rank_converges() {
        let (left, right) = (test_values(300 * 3, 1), test_values(3 * 200, 2));
        let product = |r: usize, c: usize| (0..3).map(|k| left[r * 3 + k] * right[k * 200 + c]).sum::<f32>();
        let matrix: Vec<f32> = (0..300 * 200).map(|i| product(i / 200, i % 200)).collect();
        let values = singular_values(&matrix, 300, 200);
        assert_eq!(srank(&values, 0.001), 3);
        let squares: f64 = values.iter().map(|v| v * v).sum();
        let norm: f64 = matrix.iter().map(|&v| f64::from(v).powi(2)).sum();
        assert_relative_eq!(squares, norm, max_relative = 1e-9);
    }
}
