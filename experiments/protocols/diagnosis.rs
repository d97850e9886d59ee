//! Where a value that is no number came from: found by running the steps since the last checkpoint again, which is exact.

use super::phases::Session;
use crate::error::{Error, Result};
use crate::run_folder::RunFolder;

impl Session<'_> {
    /// The error for a value that is no number at `step`: finds the first one by running the steps since the last
    /// checkpoint again, which is exact, and looking at every value of the last two.
    pub(super) fn not_finite(&self, step: u64, folder: &RunFolder) -> Error {
        let first = match self.first_not_finite(step, folder) {
            Ok(Some(first)) => first,
            Ok(None) => {
                "nothing when the steps since the last checkpoint were run again: a device that errs?".into()
            }
            Err(error) => format!("unknown, for the steps could not be run again ({error})"),
        };
        let epochs_before: usize = self.phases[..self.progress.phase].iter().map(|phase| phase.epochs).sum();
        let in_phase = self.progress.phase_step.saturating_sub(self.progress.step - step) as usize;
        Error::NonFinite {
            step,
            phase: self.progress.phase,
            epoch: epochs_before + in_phase / self.phase().batches + 1,
            first,
            kept: match folder.has_checkpoint() {
                true => format!("the last good checkpoint is kept in {}", folder.path().display()),
                false => "no checkpoint had been written yet".into(),
            },
        }
    }

    fn first_not_finite(&self, step: u64, folder: &RunFolder) -> Result<Option<String>> {
        let mut replay = Session::new(self.config, self.device, self.data)?;
        if let Some(file) = folder.checkpoint()? {
            replay.load(&file, folder)?;
        }
        while replay.progress.phase < replay.phases.len() {
            replay.begin_phase(None)?;
            while replay.progress.epoch < replay.phase().epochs {
                while replay.progress.batch < replay.phase().batches {
                    let now = replay.progress.step;
                    if now > step {
                        return Ok(None);
                    }
                    if now + 1 < step {
                        replay.step()?;
                    } else if let Some(found) = replay.step_checked()? {
                        return Ok(Some(format!("{found} in step {now}")));
                    }
                }
                replay.end_epoch()?;
                replay.between_epochs()?;
            }
            replay.end_phase()?;
        }
        Ok(None)
    }

    /// As [`Session::step`], looking at every value that the hare's step writes.
    fn step_checked(&mut self) -> Result<Option<String>> {
        let (clock, t, learning_rate) = self.clock();
        let found = self.trainer.step_checked(&clock, t, learning_rate, self.phase().examples.len())?;
        self.after_step()?;
        Ok(found)
    }
}
