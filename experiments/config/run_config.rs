//! What every config has, whether a classifier is trained or an agent acts.

use super::{Data, Run, flattened};
use crate::hex::hex;
use models::ModelConfig;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A resolved config, as whoever finds, enters and loads a run sees it.
pub trait RunConfig {
    /// Name of the experiment: the folder of its runs.
    fn name(&self) -> &str;
    /// Seed of everything random.
    fn seed(&self) -> u32;
    /// Names of what keeps the network plastic, as tables show them.
    fn method(&self) -> String;
    /// Which images; none where a task shows something else.
    fn data(&self) -> Option<Data>;
    /// The network.
    fn model(&self) -> &ModelConfig;
    /// How the run is carried out.
    fn run(&self) -> &Run;
    /// The config as a table, every key named.
    fn to_table(&self) -> Table;
    /// The config as TOML, every key named, in the order in which a person reads it.
    fn to_toml(&self) -> String;

    /// The config under its dotted keys, every key named.
    fn to_keys(&self) -> BTreeMap<String, Value> {
        flattened(&self.to_table())
    }

    /// Names the run: its methods, its seed, and the first 64 bits of a hash of all that can change its result.
    fn run_id(&self) -> String {
        let mut table = self.to_table();
        table.remove("run");
        let digest = Sha256::digest(toml::to_string(&table).expect("a table"));
        format!("{}-seed{}-{}", self.method(), self.seed(), hex(&digest[..8]))
    }
}
