//! Where a value that is no number came from: found by running the steps since the last checkpoint again, which is exact.

use super::phases::Session;
use super::progress::Progress;
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
        let (phase, epoch) = self.place_of(step);
        Error::NonFinite { step, phase, epoch, first, kept: kept(folder) }
    }

    /// The error for an evaluation that is no number, now.
    pub(super) fn evaluation_not_finite(&self, what: &str, folder: &RunFolder) -> Error {
        let Progress { step, phase, epochs, .. } = self.progress;
        Error::NonFiniteEvaluation { what: what.into(), step, phase, epoch: epochs, kept: kept(folder) }
    }

    /// Phase, from 0, and epoch of the run, from 1, of a step from 0.
    fn place_of(&self, step: u64) -> (usize, usize) {
        let (mut left, mut epochs) = (step as usize, 0);
        for (index, phase) in self.phases.iter().enumerate() {
            if left < phase.epochs * phase.batches {
                return (index, epochs + left / phase.batches + 1);
            }
            left -= phase.epochs * phase.batches;
            epochs += phase.epochs;
        }
        (self.phases.len() - 1, epochs)
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

/// Which checkpoint there is, for a message.
fn kept(folder: &RunFolder) -> String {
    match folder.has_checkpoint() {
        true => format!("the last good checkpoint is kept in {}", folder.path().display()),
        false => "no checkpoint had been written yet".into(),
    }
}
