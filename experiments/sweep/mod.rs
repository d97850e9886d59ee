//! Sweeps: a grid over config keys, named alternatives and seeds, each cell an ordinary run.
//!
//! A sweep is a TOML file (`docs/sweeps.md`). [`Sweep::runs`] turns it into resolved configs; [`execute`] runs those that
//! are not finished, several at once; [`Record`] keeps a sweep's folder from mixing runs of unlike configs. A run does not
//! know that it belongs to a sweep: its folder has the same bytes as with `ht run`.

mod cost;
mod error;
mod execute;
mod record;
mod runs;
mod shard;
mod shipped;
mod spec;

pub use cost::{Cost, Costs};
pub use error::Error;
pub use execute::{DataSets, Event, execute};
pub use record::Record;
pub use runs::SweepRun;
pub use shard::Shard;
pub use shipped::{Shipped, find, shipped};
pub use spec::Sweep;
