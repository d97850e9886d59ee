//! Values as distributions over fixed bins: two-hot regression and categorical (C51) value learning.
//!
//! A network has B logits per action, `[N, A, B]`, for B values z that lie evenly from the smallest to the largest, the
//! [`Support`]. With p the softmax of the logits of one action:
//!
//! ```text
//! z_b      = smallest + b Δ         Δ = (largest - smallest) / (B - 1)
//! value    = Σ_b p_b z_b                                                    ExpectedValue
//! two-hot of x: the two bins around x share 1 so that their mean is x       TwoHot
//! m_b      = Σ_j p'_j overlap((r + discount z_j - z_b) / Δ)                Projection
//! row_loss = -Σ_b m_b log p_b                                               CrossEntropy
//! dlogits  = weight (p - m) / N at the action taken, zero elsewhere
//! ```
//!
//! with `overlap(d) = max(0, 1 - |d|)`, after what is compared with z_b was clipped to the support: algorithm 1 of
//! Bellemare, Dabney and Munos (*A Distributional Perspective on Reinforcement Learning*, 2017) as one formula, which
//! loses no mass where a value falls on a bin. Two-hot targets: Schrittwieser and others 2020 (MuZero), Hafner and others
//! 2023 (DreamerV3).
//!
//! Two-hot learning is `TwoHot` of a scalar target and `CrossEntropy`; C51 is `Projection` and `CrossEntropy`. The greedy
//! action of either is that of the expected values ([`crate::value::GreedyAction`]). Gradients are those of the mean over
//! the rows of `weight row_loss`; `row_loss`, of which priorities are made, is without the weight. Targets m are
//! constants.
//!
//! A logit of the row in use that is not finite, an action that is none, and a target or reward that is not finite make
//! all results of their row NaN, so that they are found. With no rows or actions, or fewer than two bins, nothing is
//! defined.

mod cases;
mod cross_entropy;
mod expected_value;
mod projection;
mod softmax;
mod two_hot;

pub use cases::cases;
pub use cross_entropy::CrossEntropy;
pub use expected_value::ExpectedValue;
pub use projection::Projection;
pub use two_hot::TwoHot;

/// The values that bins stand for: evenly from the smallest to the largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Support {
    /// Number of bins, B, at least 2.
    pub bins: usize,
    /// Value of the first bin.
    pub smallest: f64,
    /// Value of the last bin, above the smallest.
    pub largest: f64,
}

impl Support {
    /// Distance of two neighbouring values, Δ.
    pub fn spacing(&self) -> f64 {
        (self.largest - self.smallest) / (self.bins - 1) as f64
    }

    /// Where a value lies among the bins: 0 is the first, B - 1 the last, and it is clipped to them. NaN if it is not
    /// finite.
    fn place(&self, value: f32) -> f32 {
        if !value.is_finite() {
            return f32::NAN;
        }
        let place = (value - self.smallest as f32) * (1.0 / self.spacing()) as f32;
        place.clamp(0.0, (self.bins - 1) as f32)
    }

    /// The bits of smallest and 1 / Δ, as the shaders take them.
    fn in_wgsl(&self) -> [u32; 2] {
        [self.smallest as f32, (1.0 / self.spacing()) as f32].map(f32::to_bits)
    }
}

impl std::fmt::Display for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bins {} to {}", self.bins, self.smallest, self.largest)
    }
}

/// The lower of the two bins around a place, and the share of the upper one.
fn around(place: f32, bins: usize) -> (usize, f32) {
    let lower = (place as usize).min(bins - 2);
    (lower, place - lower as f32)
}

/// The grid of a launch whose workgroups each take a row, and stride over the rest.
fn grid(rows: usize) -> [u32; 3] {
    [rows.min(65_535) as u32, 1, 1]
}
