//! Configs of version 1, as revisions up to 39c77da wrote them, in the form of today.
//!
//! Version 1 had no key `version` and one table `[intervention]` for the keys of all methods, whether they took part or
//! not. Today each method that takes part has a table of its own.

use toml::{Table, Value};

/// What an upgraded config says under `version`.
pub const VERSION: i64 = 1;

/// A method's name, and its keys: as version 1 called them, and as its table does.
type Keys = (&'static str, &'static [(&'static str, &'static str)]);

/// The methods of version 1 in their canonical order.
const METHODS: [Keys; 10] = [
    (
        "hare-tortoise",
        &[
            ("momentum", "momentum"),
            ("reset_interval", "reset_interval"),
            ("reset_unit", "reset_unit"),
            ("first_reset", "first_reset"),
            ("reset_shares_memory", "reset_shares_memory"),
        ],
    ),
    ("ema", &[("momentum", "momentum")]),
    ("shrink-perturb", &[("shrink_perturb", "variant"), ("keep", "keep"), ("perturb", "perturb")]),
    ("head-reset", &[]),
    (
        "optimizer-reset",
        &[("reset_interval", "interval"), ("reset_unit", "unit"), ("first_reset", "first_reset")],
    ),
    ("l2", &[("weight_decay", "weight_decay")]),
    ("spectral-decoupling", &[("spectral_strength", "strength"), ("spectral_form", "form")]),
    ("self-distillation", &[("momentum", "momentum"), ("distillation_strength", "strength")]),
    ("regen", &[("regen_strength", "strength"), ("regen_form", "form")]),
    (
        "redo",
        &[
            ("redo_threshold", "threshold"),
            ("redo_interval", "interval"),
            ("redo_examples", "examples"),
            ("redo_recycles", "recycles"),
        ],
    ),
];

/// The dotted keys of today that took the place of `old`, a key of `[intervention]` in version 1.
///
/// ```
/// assert_eq!(report::legacy::new_keys("keep"), ["intervention.shrink-perturb.keep"]);
/// ```
pub fn new_keys(old: &str) -> Vec<String> {
    let of = |(method, keys): &Keys| {
        let (_, key) = keys.iter().find(|(key, _)| *key == old)?;
        Some(format!("intervention.{method}.{key}"))
    };
    METHODS.iter().filter_map(of).collect()
}

/// A config in the form of today: one of version 1 with `version = 1`, its methods in canonical order and a table for
/// each of them; any other, which has a `version` already, as it is.
///
/// The names of the methods are joined by `+` in the order hare-tortoise, ema, shrink-perturb, head-reset,
/// optimizer-reset, l2, spectral-decoupling, self-distillation, regen, redo, each once; others follow by name. A key of
/// version 1 goes into the table of each method that it belonged to and that takes part, and is left out if there is
/// none: it had no effect. All else stays as it is, and nothing is added that was not said.
///
/// The form is new, the meaning is not: what a run computed by a config of version 1 may differ from what a later program
/// computes by the same keys, so `version` tells them apart.
///
/// ```
/// let old = "seed = 1\n[intervention]\nmethod = \"l2 + ema\"\nmomentum = 0.9\nweight_decay = 0.1\nkeep = 0.2\n";
/// let new = "version = 1\nseed = 1\n[intervention]\nmethod = \"ema+l2\"\n[intervention.ema]\nmomentum = 0.9\n\
///            [intervention.l2]\nweight_decay = 0.1\n";
/// assert_eq!(report::legacy::upgrade(&old.parse()?), new.parse()?);
/// # Ok::<(), toml::de::Error>(())
/// ```
pub fn upgrade(config: &Table) -> Table {
    let mut new = config.clone();
    if new.contains_key("version") {
        return new;
    }
    new.insert("version".to_string(), Value::Integer(VERSION));
    if let Some(Value::Table(intervention)) = new.get_mut("intervention") {
        *intervention = tables(intervention);
    }
    new
}

/// `[intervention]` with a table for each method that takes part.
fn tables(old: &Table) -> Table {
    let mut new = Table::new();
    if let Some(joined) = old.get("method").and_then(Value::as_str) {
        let names = names(joined);
        let method = if names.is_empty() { "none".to_string() } else { names.join("+") };
        new.insert("method".to_string(), Value::String(method));
        for (name, keys) in METHODS.iter().filter(|(name, _)| names.contains(name)) {
            let value =
                |(old_key, key): &(&str, &str)| Some(((*key).to_string(), old.get(*old_key)?.clone()));
            let mut table: Table = keys.iter().filter_map(value).collect();
            match old.get(*name) {
                Some(Value::Table(own)) => table.extend(own.clone()),
                Some(_) => continue,
                None => {}
            }
            new.insert((*name).to_string(), Value::Table(table));
        }
    }
    // What version 1 did not have, and what is no text under `method`.
    let moved = |key: &str| METHODS.iter().any(|(_, keys)| keys.iter().any(|(old_key, _)| *old_key == key));
    for (key, value) in old {
        if !moved(key) && !new.contains_key(key) {
            new.insert(key.clone(), value.clone());
        }
    }
    new
}

/// The names joined in `intervention.method`, each once: known ones in their order, then others by name.
fn names(joined: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        joined.split('+').map(str::trim).filter(|name| !name.is_empty() && *name != "none").collect();
    let place = |name: &str| METHODS.iter().position(|(known, _)| *known == name).unwrap_or(METHODS.len());
    names.sort_by_key(|name| (place(name), *name));
    names.dedup();
    names
}
