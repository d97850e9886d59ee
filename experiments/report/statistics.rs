//! Mean and sample standard deviation.

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

    /// The ends of mean ± std; the mean twice where there is no standard deviation.
    pub(crate) fn interval(self) -> (f64, f64) {
        let std = self.std.unwrap_or(0.0);
        (self.mean - std, self.mean + std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // Deviations of 2, 4, 4, 4, 5, 5, 7, 9 from 5: squares 9, 1, 1, 1, 0, 0, 4, 16, sum 32; 32 / 7.
        let summary = summarize(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(summary.n, 8);
        assert_eq!(summary.mean, 5.0);
        assert!((summary.std.unwrap() - 2.138_089_935_299_395).abs() < 1e-15);
        assert_eq!(summary.show(2), "5.00 ± 2.14");
        assert_eq!(summary.scaled(10.0).show(1), "50.0 ± 21.4");
    }

    #[test]
    fn one_value_has_no_spread() {
        let summary = summarize(&[0.25]).unwrap();
        assert_eq!(summary, Summary { n: 1, mean: 0.25, std: None });
        assert_eq!(summary.show(2), "0.25 ± -");
        assert_eq!(summary.interval(), (0.25, 0.25));
        assert_eq!(summarize(&[]), None);
    }

    #[test]
    fn a_missing_value_leaves_no_mean() {
        assert_eq!(summarize_complete([Some(1.0), None].into_iter()), None);
        assert_eq!(summarize_complete([Some(1.0), Some(3.0)].into_iter()).unwrap().mean, 2.0);
    }
}
