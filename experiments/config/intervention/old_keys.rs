//! Keys of `[intervention]` before each method had a table of its own.

/// The keys that took the place of a key of version 1.
const OLD: [(&str, &[&str]); 18] = [
    ("momentum", &["hare-tortoise.momentum", "ema.momentum", "self-distillation.momentum"]),
    ("reset_interval", &["hare-tortoise.reset_interval", "optimizer-reset.interval"]),
    ("reset_unit", &["hare-tortoise.reset_unit", "optimizer-reset.unit"]),
    ("first_reset", &["hare-tortoise.first_reset", "optimizer-reset.first_reset"]),
    ("reset_shares_memory", &["hare-tortoise.reset_shares_memory"]),
    ("shrink_perturb", &["shrink-perturb.variant"]),
    ("keep", &["shrink-perturb.keep"]),
    ("perturb", &["shrink-perturb.perturb"]),
    ("weight_decay", &["l2.weight_decay"]),
    ("spectral_strength", &["spectral-decoupling.strength"]),
    ("spectral_form", &["spectral-decoupling.form"]),
    ("distillation_strength", &["self-distillation.strength"]),
    ("regen_strength", &["regen.strength"]),
    ("regen_form", &["regen.form"]),
    ("redo_threshold", &["redo.threshold"]),
    ("redo_interval", &["redo.interval"]),
    ("redo_examples", &["redo.examples"]),
    ("redo_recycles", &["redo.recycles"]),
];

/// What a dotted key of version 1 is called now, in words; `None` for any other key.
pub(in crate::config) fn new_name(dotted: &str) -> Option<String> {
    let old = dotted.strip_prefix("intervention.")?;
    let (_, new) = OLD.iter().find(|(key, _)| *key == old)?;
    let names: Vec<_> = new.iter().map(|key| format!("'intervention.{key}'")).collect();
    Some(names.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fidelity;
    use crate::config::{Intervention, flattened};
    use toml::Table;

    #[test]
    fn every_new_name_is_a_key() {
        let all = Intervention::defaults(Fidelity::Recommended, &Table::new());
        let keys = flattened(&Table::try_from(&all).unwrap());
        for (old, new) in OLD {
            assert!(!keys.contains_key(old), "{old}");
            assert!(new.iter().all(|key| keys.contains_key(*key)), "{old}: {new:?}");
        }
    }
}
