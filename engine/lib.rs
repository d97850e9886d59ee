//! The engine.

pub mod device;
mod error;
pub use device::{Buffer, Device, Launch, Program, Slice};
pub use error::{Error, Result};
