//! What keeps a network plastic: one small file per method, with its formula, its source and any deviation.
//!
//! Each works on whole arenas on the device; the loop in `protocols/` shows where it acts.

mod head_reset;
mod l2;
mod shrink_perturb;
mod tortoise;

pub use head_reset::HeadReset;
pub use l2::weight_decay;
pub use shrink_perturb::ShrinkPerturb;
pub use tortoise::{HareReset, Tortoise};
