//! Protocols: one readable loop each.

pub mod phases;
