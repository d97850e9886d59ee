//! Saving a run, and taking it up where it stopped.

use super::phases::Session;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::run_folder::RunFolder;
use engine::checkpoint::File;

impl Session<'_> {
    /// Everything that is needed to go on exactly here.
    pub(super) fn save(&mut self, folder: &mut RunFolder) -> Result<()> {
        self.read_metrics(folder)?;
        self.progress.metrics_bytes = folder.metrics_bytes();
        let mut file =
            File { state: serde_json::to_string(&self.progress).expect("plain data"), ..File::default() };
        self.trainer.save_network(&self.trainer.hare().clone(), "", &mut file)?;
        if let Some(tortoise) = self.interventions.tortoise() {
            self.trainer.save_network(tortoise.network(), "tortoise.", &mut file)?;
        }
        self.trainer.save_moments(&mut file)?;
        if !file.all_finite() {
            // The last update left something that is no number; the next loss would show it.
            return Err(self.not_finite(self.progress.step.saturating_sub(1), folder));
        }
        folder.save_checkpoint(&file)
    }

    /// Takes up a checkpoint, if the folder has one. Returns whether it did.
    pub(super) fn resume(&mut self, folder: &mut RunFolder) -> Result<bool> {
        let Some(file) = folder.checkpoint()? else {
            folder.rewind_metrics(0)?;
            return Ok(false);
        };
        self.load(&file, folder)?;
        folder.rewind_metrics(self.progress.metrics_bytes)?;
        Ok(true)
    }

    /// Takes weights, moments and progress from a checkpoint.
    pub(super) fn load(&mut self, file: &File, folder: &RunFolder) -> Result<()> {
        let broken = |message: String| Error::Checkpoint {
            path: folder.path().join("checkpoint.safetensors"),
            message: format!("{message}; remove it to start this run from the beginning"),
        };
        let progress: Progress = serde_json::from_str(&file.state)
            .map_err(|error| broken(format!("it holds no training state ({error})")))?;
        if progress.run_id != self.config.run_id() {
            return Err(broken(format!("it belongs to the run {}", progress.run_id)));
        }
        let named = |error: Error| match error {
            Error::Engine(error @ engine::Error::Weights { .. }) => broken(error.to_string()),
            other => other,
        };
        self.trainer.load_network(&self.trainer.hare().clone(), "", file).map_err(named)?;
        if let Some(tortoise) = self.interventions.tortoise() {
            self.trainer.load_network(tortoise.network(), "tortoise.", file).map_err(named)?;
        }
        self.trainer.load_moments(file).map_err(named)?;
        self.read = progress.step;
        self.progress = progress;
        Ok(())
    }
}
