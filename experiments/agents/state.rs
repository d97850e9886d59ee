//! What a learner keeps from update to update, so that one that is taken up again goes on with the same bits.
//!
//! | kept | where |
//! |---|---|
//! | online and target network, with their running statistics | tensors `online.*`, `target.*` |
//! | what the optimiser keeps | tensors `exp_avg.*`, `exp_avg_sq.*`, or those of another kind |
//! | what the last updates saw | tensor `diagnostics` |
//! | number of updates | a number of the caller's |
//! | the replay, and what waits for it | the last transitions, in a file that only grows, and a number of the caller's |
//!
//! The power iteration of a spectral norm is among the running statistics; what a method does and when follows from seed and
//! counts, and so does all else.

use super::diagnostics::{RING_ROWS, ROW_WORDS};
use super::n_step::NStep;
use super::{Learner, Options};
use crate::checkpoint::{load_arena, load_network, save_arena, save_network};
use crate::error::{Error, Result};
use engine::checkpoint::File;

impl Learner {
    /// Puts networks and moments into a file.
    ///
    /// # Errors
    /// Those of the device.
    pub fn save(&self, file: &mut File) -> Result<()> {
        let (device, parameters) = (&self.device, &self.parameters);
        save_network(device, parameters, &self.online, "online.", file)?;
        save_network(device, parameters, &self.target, "target.", file)?;
        for (name, arena) in &self.moments {
            save_arena(device, parameters, arena, &format!("{name}."), file)?;
        }
        let shape = [RING_ROWS, ROW_WORDS];
        file.insert(
            "diagnostics",
            &shape,
            device.read_f32(&self.diagnostics.slice(0, RING_ROWS * ROW_WORDS))?,
        );
        Ok(())
    }

    /// Goes on behind the update with this number, from 1; [`Learner::refill`] brings the replay back.
    ///
    /// # Errors
    /// The file belongs to another network or optimiser; those of the device.
    pub fn load(&mut self, file: &File, updates: u64) -> Result<()> {
        let (device, parameters) = (&self.device, &self.parameters);
        load_network(device, parameters, &self.online, "online.", file)?;
        load_network(device, parameters, &self.target, "target.", file)?;
        for (name, arena) in &self.moments {
            load_arena(device, parameters, arena, &format!("{name}."), file)?;
        }
        let diagnostics = file.floats("diagnostics").filter(|(shape, _)| *shape == [RING_ROWS, ROW_WORDS]);
        let (_, diagnostics) = diagnostics.ok_or_else(|| engine::Error::Weights {
            what: "checkpoint".into(),
            message: format!("no tensor 'diagnostics' of shape [{RING_ROWS}, {ROW_WORDS}]"),
        })?;
        device.write(&self.diagnostics, 0, bytemuck::cast_slice(&diagnostics))?;
        self.updates = updates;
        Ok(())
    }

    /// Words of a transition.
    pub fn transition_words(&self) -> usize {
        self.ring.row()
    }

    /// Transitions that the replay was given so far: all that were taken, but those that wait for the steps behind them.
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Gives the replay back what it held when it had been given `appended` transitions in all. `rows` are the last ones
    /// that were taken, as [`Learner::append`] got them, one behind the other: as many as the replay holds and one less
    /// than `n_step`, or all.
    ///
    /// # Errors
    /// Fewer rows; those of the device.
    pub fn refill(&mut self, rows: &[u32], appended: u64) -> Result<()> {
        let Options { n_step, discount, .. } = *self.options();
        let (words, capacity) = (self.ring.row(), self.ring.capacity as u64);
        let (mut waiting, mut made) = (NStep::new(n_step, discount, self.ring.observation), Vec::new());
        for row in rows.chunks_exact(words) {
            waiting.push(row, |whole| {
                made.extend_from_slice(whole);
                Ok(())
            })?;
        }
        let (held, found) = (appended.min(capacity), (made.len() / words) as u64);
        let Some(superfluous) = found.checked_sub(held) else {
            let message = format!("{found} transitions where the replay held {held}");
            return Err(Error::Mismatch(message));
        };
        let made = &made[superfluous as usize * words..];
        // The oldest lies where the next one will, the others behind it and from the start on.
        let first = ((appended - held) % capacity) as usize;
        let (behind, wrapped) = made.split_at(made.len().min((self.ring.capacity - first) * words));
        for (slot, rows) in [(first, behind), (0, wrapped)].into_iter().filter(|(_, rows)| !rows.is_empty()) {
            self.device.write(&self.replay, slot * words, rows)?;
        }
        (self.appended, self.n_step) = (appended, waiting);
        Ok(())
    }
}
