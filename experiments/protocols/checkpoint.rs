//! Saving a run, and taking it up where it stopped.

use super::phases::Session;
use super::progress::Progress;
use crate::checkpoint;
use crate::config::RunConfig;
use crate::error::Result;
use crate::lifecycle::other_data;
use crate::provenance::{DataIdentity, Segment, go_on};
use crate::run_folder::RunFolder;
use engine::checkpoint::File;

impl Session<'_> {
    /// Everything that is needed to go on exactly here.
    pub(super) fn save(&mut self, folder: &mut RunFolder) -> Result<()> {
        self.read_metrics(folder)?;
        self.progress.metrics_bytes = folder.metrics_bytes();
        if let Some(segment) = self.progress.segments.last_mut() {
            segment.to_step = self.progress.step;
        }
        let mut file =
            File { state: serde_json::to_string(&self.progress).expect("plain data"), ..File::default() };
        let (device, parameters) = (self.device, self.trainer.model().parameters());
        checkpoint::save_network(device, parameters, self.trainer.hare(), "", &mut file)?;
        if let Some(tortoise) = self.interventions.tortoise() {
            checkpoint::save_network(device, parameters, tortoise.network(), "tortoise.", &mut file)?;
        }
        self.trainer.save_moments(&mut file)?;
        if !file.all_finite() {
            // The last update left something that is no number; the next loss would show it.
            return Err(self.not_finite(self.progress.step.saturating_sub(1), folder));
        }
        folder.save_checkpoint(&file)
    }

    /// Takes up a checkpoint, if the folder has one. Returns whether it did; `note` is told what has changed meanwhile.
    pub(super) fn resume(
        &mut self,
        folder: &mut RunFolder,
        data: &DataIdentity,
        note: &mut dyn FnMut(&str),
    ) -> Result<bool> {
        let checkpoint = folder.checkpoint()?;
        if let Some(file) = &checkpoint {
            file.notes.iter().for_each(|line| note(line));
            if !file.all_finite() {
                return Err(checkpoint::broken(folder, "it holds a number that is not finite"));
            }
            self.load(file, folder)?;
            match &self.progress.data {
                Some(before) if before.digest != data.digest => {
                    let origin = Some(before.origin.as_str());
                    return Err(other_data(folder.path(), "begun", &before.digest, origin, data));
                }
                Some(_) => {}
                None => {
                    note("its checkpoint does not say on which data it was begun; today's were not compared");
                    self.progress.segments = vec![Segment::unknown(self.progress.step)];
                }
            }
        }
        folder.rewind_metrics(self.progress.metrics_bytes)?;
        self.progress.data = Some(data.clone());
        let here = Segment::here(self.device, self.progress.step);
        if let Some(moved) = go_on(&mut self.progress.segments, here) {
            note(&moved);
        }
        Ok(checkpoint.is_some())
    }

    /// Takes weights, moments and progress from a checkpoint.
    pub(super) fn load(&mut self, file: &File, folder: &RunFolder) -> Result<()> {
        let broken = |message: String| checkpoint::broken(folder, &message);
        let progress: Progress = serde_json::from_str(&file.state)
            .map_err(|error| broken(format!("it holds no training state ({error})")))?;
        // A run that version 1 began keeps its name, which is that of its folder.
        let named = |id: &str| folder.path().file_name().is_some_and(|name| name.to_string_lossy() == *id);
        if progress.run_id != self.config.run_id() && !named(&progress.run_id) {
            return Err(broken(format!("it belongs to the run {}", progress.run_id)));
        }
        let (device, parameters) = (self.device, self.trainer.model().parameters());
        let broken_weights = checkpoint::broken_weights(folder);
        checkpoint::load_network(device, parameters, self.trainer.hare(), "", file)
            .map_err(&broken_weights)?;
        if let Some(tortoise) = self.interventions.tortoise() {
            checkpoint::load_network(device, parameters, tortoise.network(), "tortoise.", file)
                .map_err(&broken_weights)?;
        }
        self.trainer.load_moments(file).map_err(&broken_weights)?;
        self.read = progress.step;
        self.progress = progress;
        Ok(())
    }
}
