//! Protocols: one readable loop each.

mod diagnosis;
pub mod phases;
pub mod schedule;
