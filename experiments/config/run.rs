//! `[engine]` and `[run]`: how the numbers are computed, and how the run is carried out.

use super::Error;
use super::check::{positive, refused};
use serde::{Deserialize, Serialize};

/// How the numbers are computed; changes results by rounding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Convolutions of 3x3 by Winograd's method where it is faster.
    pub winograd: bool,
}

/// How the run is carried out; changes no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Keep the checkpoint of a finished run.
    pub keep_checkpoint: bool,
    /// Keep the images on the host and send every batch to the device, as is done anyway for a set that does not fit.
    pub stream_images: bool,
}

impl Default for Engine {
    fn default() -> Self {
        Self { winograd: true }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self { checkpoint_seconds: 30.0, keep_checkpoint: true, stream_images: false }
    }
}

impl Run {
    pub(super) fn check(&self) -> Result<(), Error> {
        positive("run.checkpoint_seconds", self.checkpoint_seconds)?;
        if self.checkpoint_seconds > 1e9 {
            return Err(refused("run.checkpoint_seconds", self.checkpoint_seconds, "it must be at most 1e9"));
        }
        Ok(())
    }
}
