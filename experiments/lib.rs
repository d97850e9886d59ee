//! experiments
pub mod report;
