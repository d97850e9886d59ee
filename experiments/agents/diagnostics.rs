//! What updates saw, in a ring on the device that is read now and then: no update waits for it.

use crate::error::{Error, Result};

/// Rows of the ring: it is to be read at least this often, in updates.
pub const RING_ROWS: usize = 256;
/// Words of a row: mean loss, mean largest value, nothing, gradient norm (`engine::optim` chooses its word).
pub(super) const ROW_WORDS: usize = 4;

/// What an update saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnostics {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Mean over the batch of the largest value that the online network gave.
    pub mean_max_q: f64,
    /// L2 norm of the gradient, before clipping.
    pub gradient_norm: f64,
}

/// The row of the ring that belongs to an update, from 0.
pub(super) fn row_of(update: u64) -> usize {
    (update % RING_ROWS as u64) as usize
}

impl Diagnostics {
    /// What the row of an update, from 0, says.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub(super) fn of(update: u64, row: &[f32]) -> Result<Self> {
        let [loss, mean_max_q, gradient_norm] = [row[0], row[1], row[3]].map(f64::from);
        match loss.is_finite() {
            true => Ok(Self { loss, mean_max_q, gradient_norm }),
            false => Err(not_finite(update + 1)),
        }
    }
}

/// The error for an update, counted from 1, that left something that is no number.
pub(super) fn not_finite(update: u64) -> Error {
    Error::NoNumber(format!("update {update} left what is not finite; a smaller optimizer.lr may help"))
}
