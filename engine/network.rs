//! A network's arenas on a device.

use crate::device::{Buffer, Device};
use crate::error::Result;
use crate::params::Parameters;

/// Trained values and running statistics of one network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Arena of trained tensors.
    pub parameters: Buffer,
    /// Arena of running statistics.
    pub statistics: Buffer,
}

impl Network {
    /// Zeroed arenas; `name` is what messages call them.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Device, name: &str, parameters: &Parameters) -> Result<Self> {
        Ok(Self {
            parameters: device.buffer(&format!("{name} parameters"), parameters.words())?,
            statistics: device.buffer(&format!("{name} statistics"), parameters.statistics_words())?,
        })
    }

    /// Fills both arenas.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&self, device: &Device, parameters: &[f32], statistics: &[f32]) -> Result<()> {
        device.write(&self.parameters, 0, bytemuck::cast_slice(parameters))?;
        device.write(&self.statistics, 0, bytemuck::cast_slice(statistics))
    }
}
