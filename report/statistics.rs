//! Mean, sample standard deviation and correlation.

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The number of values, at least 1.
    pub(crate) n: usize,
    pub(crate) mean: f64,
    /// The sample standard deviation, with n - 1 in the denominator; `None` for one value.
    pub(crate) std: Option<f64>,
}

/// The summary of `values`, or `None` if there are none.
pub(crate) fn summarize(values: &[f64]) -> Option<Summary> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    Some(Summary { n, mean, std })
}

/// The summary of `values` if every one of them is there: a mean over only some of the seeds would be read as
/// one over all of them.
pub(crate) fn summarize_complete(values: impl Iterator<Item = Option<f64>>) -> Option<Summary> {
    summarize(&values.collect::<Option<Vec<f64>>>()?)
}

/// Pearson's correlation
/// `r = Σ (x_i - x̄)(y_i - ȳ) / sqrt( Σ (x_i - x̄)² Σ (y_i - ȳ)² )`; `None` below three points and where one of the two
/// does not vary.
pub(crate) fn pearson(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let constant =
        |value: fn(&(f64, f64)) -> f64| points.iter().all(|point| value(point) == value(&points[0]));
    if points.len() < 3 || constant(|point| point.0) || constant(|point| point.1) {
        return None;
    }
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |term: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(term).sum::<f64>();
    let covariance = sum(&|point| (point.0 - x) * (point.1 - y));
    let spread = (sum(&|point| (point.0 - x).powi(2)) * sum(&|point| (point.1 - y).powi(2))).sqrt();
    let r = covariance / spread;
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

impl Summary {
    /// Both figures times `factor`.
    pub(crate) fn scaled(self, factor: f64) -> Summary {
        Summary { n: self.n, mean: self.mean * factor, std: self.std.map(|std| std * factor) }
    }

    /// `mean ± std` with this many decimals, `mean ± -` for one value.
    pub(crate) fn show(self, decimals: usize) -> String {
        match self.std {
            Some(std) => format!("{:.decimals$} ± {std:.decimals$}", self.mean),
            None => format!("{:.decimals$} ± -", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn hand_computed() {
        // Deviations of 2, 4, 4, 4, 5, 5, 7, 9 from 5: squares 9, 1, 1, 1, 0, 0, 4, 16, sum 32; 32 / 7.
        let summary = summarize(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(summary.n, 8);
        assert_eq!(summary.mean, 5.0);
        assert_abs_diff_eq!(summary.std.unwrap(), 2.138_089_935_299_395, epsilon = 1e-15);
        assert_eq!(summary.show(2), "5.00 ± 2.14");
        assert_eq!(summary.scaled(10.0).show(1), "50.0 ± 21.4");
    }

    #[test]
    fn correlation_by_hand() {
        // Deviations of x: -1.5, -0.5, 0.5, 1.5; of y: -1.5, 0.5, -0.5, 1.5. Products 2.25, -0.25, -0.25, 2.25, sum 4;
        // squares 5 and 5.
        assert_eq!(pearson(&[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0)]), Some(0.8));
        assert_eq!(pearson(&[(1.0, 30.0), (2.0, 20.0), (3.0, 10.0)]), Some(-1.0));
        assert_eq!(pearson(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(pearson(&[(1.0, 0.1), (2.0, 0.1), (3.0, 0.1)]), None);
        assert_eq!(pearson(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(pearson(&[]), None);
    }

    #[test]
    fn one_value_has_no_spread() {
        let summary = summarize(&[0.25]).unwrap();
        assert_eq!(summary, Summary { n: 1, mean: 0.25, std: None });
        assert_eq!(summary.show(2), "0.25 ± -");
        assert_eq!(summarize(&[]), None);
    }

    #[test]
    fn a_missing_value_leaves_no_mean() {
        assert_eq!(summarize_complete([Some(1.0), None].into_iter()), None);
        assert_eq!(summarize_complete([Some(1.0), Some(3.0)].into_iter()).unwrap().mean, 2.0);
    }
}
