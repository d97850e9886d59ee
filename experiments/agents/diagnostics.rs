//! What updates saw, in a ring on the device that is read now and then: no update waits for it.

use super::Learner;
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

impl Learner {
    /// The row of the ring that belongs to an update, from 0.
    pub(super) fn row_of(update: u64) -> usize {
        (update % RING_ROWS as u64) as usize
    }

    /// What the last update saw; zeros before the first. Waits for the device.
    ///
    /// # Errors
    /// Those of the device; a loss that is not finite.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        let last = self.updates.saturating_sub(1);
        let row = self.device.read_f32(&self.diagnostics.slice(Self::row_of(last) * ROW_WORDS, ROW_WORDS))?;
        self.finite(last, &row)
    }

    /// What each of the last updates saw, from the one behind the first `since`. Waits for the device.
    ///
    /// # Errors
    /// More updates than the ring has rows; those of the device; a loss that is not finite.
    pub fn diagnostics_since(&self, since: u64) -> Result<Vec<Diagnostics>> {
        if self.updates.saturating_sub(since) > RING_ROWS as u64 {
            return Err(Error::Mismatch(format!(
                "{} updates were not looked at, of which {RING_ROWS} are kept: look more often",
                self.updates - since
            )));
        }
        let ring = self.device.read_f32(&self.diagnostics.slice(0, RING_ROWS * ROW_WORDS))?;
        let row = |update: u64| &ring[Self::row_of(update) * ROW_WORDS..][..ROW_WORDS];
        (since..self.updates).map(|update| self.finite(update, row(update))).collect()
    }

    fn finite(&self, update: u64, row: &[f32]) -> Result<Diagnostics> {
        let [loss, mean_max_q, gradient_norm] = [row[0], row[1], row[3]].map(f64::from);
        match loss.is_finite() {
            true => Ok(Diagnostics { loss, mean_max_q, gradient_norm }),
            false => Err(Self::not_finite_at(update + 1)),
        }
    }

    /// The error for an update that left something that is no number.
    pub fn not_finite(&self) -> Error {
        Self::not_finite_at(self.updates)
    }

    fn not_finite_at(update: u64) -> Error {
        Error::Mismatch(format!("update {update} left what is not finite: a smaller learning rate"))
    }
}
