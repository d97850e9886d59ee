//! Keys of `[intervention]` before each method had a table of its own.

/// What a dotted key of version 1 is called now, in words; `None` for any other key.
pub(in crate::config) fn new_name(dotted: &str) -> Option<String> {
    let new = report::legacy::new_keys(dotted.strip_prefix("intervention.")?);
    let names: Vec<_> = new.iter().map(|key| format!("'{key}'")).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fidelity, Intervention, flattened};
    use toml::Table;

    /// All keys that a config of version 1 had, but `method`.
    const OLD: [&str; 18] = [
        "momentum",
        "reset_interval",
        "reset_unit",
        "first_reset",
        "reset_shares_memory",
        "shrink_perturb",
        "keep",
        "perturb",
        "weight_decay",
        "spectral_strength",
        "spectral_form",
        "distillation_strength",
        "regen_strength",
        "regen_form",
        "redo_threshold",
        "redo_interval",
        "redo_examples",
        "redo_recycles",
    ];

    #[test]
    fn every_old_key_has_new_names_that_are_keys() {
        let all = Intervention::defaults(Fidelity::Recommended, &Table::new());
        let keys =
            flattened(&Table::from_iter([("intervention".into(), Table::try_from(&all).unwrap().into())]));
        for old in OLD {
            let new = report::legacy::new_keys(old);
            assert!(!new.is_empty() && new.iter().all(|key| keys.contains_key(key)), "{old}: {new:?}");
            assert!(new_name(&format!("intervention.{old}")).is_some() && new_name(old).is_none());
        }
        assert_eq!(new_name("intervention.method"), None);
    }
}
