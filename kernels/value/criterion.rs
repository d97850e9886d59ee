//! How bad an error is.

/// WGSL text of `criterion` and `is_finite`.
pub(super) const WGSL: &str = include_str!("criterion.wgsl");

/// The loss of an error `δ = target - prediction`, and its slope, the derivative with respect to δ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    /// `δ²`, slope `2 δ`: PyTorch's `mse_loss`.
    Squared,
    /// `δ²/2` up to the threshold κ and `κ (|δ| - κ/2)` beyond it (Huber 1964), slope δ clipped to ±κ: PyTorch's
    /// `huber_loss`, and what DQN calls a clipped error.
    Huber {
        /// κ, above 0.
        threshold: f64,
    },
    /// `|τ - [δ < 0]| δ²` (Newey and Powell 1987; in implicit Q-learning Kostrikov and others 2022), slope
    /// `2 |τ - [δ < 0]| δ`: the prediction tends to the expectile τ of its targets, and for τ near 1 to their maximum.
    Expectile {
        /// τ, between 0 and 1; 0.5 is half the squared error.
        expectile: f64,
    },
}

impl Criterion {
    /// Loss and slope of an error.
    #[inline]
    pub(super) fn of(self, error: f32) -> (f32, f32) {
        match self {
            Criterion::Squared => (error * error, 2.0 * error),
            Criterion::Huber { threshold } => {
                let threshold = threshold as f32;
                if error.abs() <= threshold {
                    (0.5 * error * error, error)
                } else {
                    (threshold * (error.abs() - 0.5 * threshold), threshold.copysign(error))
                }
            }
            Criterion::Expectile { expectile } => {
                let weight = if error < 0.0 { 1.0 - expectile } else { expectile } as f32;
                (weight * error * error, 2.0 * weight * error)
            }
        }
    }

    /// The second derivative of the loss: 2 for [`Criterion::Squared`]; 1 up to the threshold of [`Criterion::Huber`] and 0
    /// beyond it; `2 |τ - [δ < 0]|` for [`Criterion::Expectile`].
    #[inline]
    pub fn curvature(self, error: f32) -> f32 {
        match self {
            Criterion::Squared => 2.0,
            Criterion::Huber { threshold } => f32::from(error.abs() <= threshold as f32),
            Criterion::Expectile { expectile } => {
                2.0 * if error < 0.0 { 1.0 - expectile } else { expectile } as f32
            }
        }
    }

    /// Its number in `criterion.wgsl`, and the parameter that it takes there.
    pub(super) fn in_wgsl(self) -> (f64, u32) {
        let (number, parameter) = match self {
            Criterion::Squared => (0.0, 0.0),
            Criterion::Huber { threshold } => (1.0, threshold),
            Criterion::Expectile { expectile } => (2.0, expectile),
        };
        (number, (parameter as f32).to_bits())
    }
}

impl std::fmt::Display for Criterion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Criterion::Squared => write!(f, "squared"),
            Criterion::Huber { threshold } => write!(f, "huber {threshold}"),
            Criterion::Expectile { expectile } => write!(f, "expectile {expectile}"),
        }
    }
}
