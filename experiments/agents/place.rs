//! What updates and methods work on.

use engine::{Buffer, Device, Network};
use models::Model;

/// What updates and methods work on.
pub(super) struct Place<'a> {
    pub(super) device: &'a Device,
    pub(super) model: &'a dyn Model,
    pub(super) online: &'a Network,
    pub(super) target: &'a Network,
    /// What the optimiser keeps for each parameter, by name.
    pub(super) moments: &'a [(&'static str, Buffer)],
    /// Convolutions of 3x3 by Winograd's method where it is faster.
    pub(super) winograd: bool,
    /// The ring of diagnostics.
    pub(super) diagnostics: &'a Buffer,
}
