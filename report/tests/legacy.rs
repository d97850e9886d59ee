//! Configs of version 1 in the form of today.

use report::legacy::upgrade;
use toml::{Table, Value};

/// `ht presets warm-start-mnist --resolved` of revision 39c77da, with the method and keys of it that a test asks for.
fn resolved(method: &str, changes: &[(&str, &str)]) -> Table {
    let mut config: Table = include_str!("version-1.toml").parse().unwrap();
    let intervention = config["intervention"].as_table_mut().unwrap();
    intervention.insert("method".into(), Value::String(method.into()));
    for (key, value) in changes {
        let value: Table = format!("value = {value}").parse().unwrap();
        assert!(intervention.insert((*key).into(), value["value"].clone()).is_some(), "no key {key}");
    }
    config
}

#[track_caller]
fn becomes(old: &Table, intervention: &str) {
    let new = upgrade(old);
    let expected: Table = intervention.parse().unwrap();
    assert_eq!(new["intervention"], Value::Table(expected));
    assert_eq!(new["version"], Value::Integer(1));
    // All other sections stay, and a second time changes nothing.
    for (key, value) in old.iter().filter(|(key, _)| *key != "intervention") {
        assert_eq!(new[key], *value);
    }
    assert_eq!(new.len(), old.len() + 1);
    assert_eq!(upgrade(&new), new);
}

#[test]
fn each_method_has_its_keys() {
    for (method, table) in [
        ("none", ""),
        (
            "hare-tortoise",
            "momentum = 0.999\nreset_interval = 10\nreset_unit = \"epochs\"\nfirst_reset = \"after-one\"\n\
             reset_shares_memory = false",
        ),
        ("ema", "momentum = 0.999"),
        ("shrink-perturb", "variant = \"hare-tortoise-2024\"\nkeep = 0.2\nperturb = 0.0"),
        ("head-reset", ""),
        ("optimizer-reset", "interval = 10\nunit = \"epochs\"\nfirst_reset = \"after-one\""),
        ("l2", "weight_decay = 0.1"),
        ("spectral-decoupling", "strength = 0.01\nform = \"mean\""),
        ("self-distillation", "momentum = 0.999\nstrength = 1.0"),
        ("regen", "strength = 0.01\nform = \"squared\""),
        ("redo", "threshold = 0.1\ninterval = 5\nexamples = 256\nrecycles = true"),
    ] {
        let table = if method == "none" { String::new() } else { format!("[{method}]\n{table}\n") };
        becomes(&resolved(method, &[]), &format!("method = \"{method}\"\n{table}"));
    }
}

#[test]
fn one_set_of_methods_has_one_spelling_and_a_key_goes_to_all_it_belonged_to() {
    let expected = "method = \"hare-tortoise+optimizer-reset+l2+self-distillation\"\n\
                    [hare-tortoise]\nmomentum = 0.9\nreset_interval = 7\nreset_unit = \"steps\"\n\
                    first_reset = \"after-one\"\nreset_shares_memory = true\n\
                    [optimizer-reset]\ninterval = 7\nunit = \"steps\"\nfirst_reset = \"after-one\"\n\
                    [l2]\nweight_decay = 0.1\n[self-distillation]\nmomentum = 0.9\nstrength = 1.0\n";
    for spelling in [
        "hare-tortoise+optimizer-reset+l2+self-distillation",
        "self-distillation + l2 + none + optimizer-reset+hare-tortoise",
        "l2+l2+hare-tortoise+\nself-distillation+optimizer-reset+",
    ] {
        let changes = [
            ("momentum", "0.9"),
            ("reset_interval", "7"),
            ("reset_unit", "\"steps\""),
            ("reset_shares_memory", "true"),
        ];
        becomes(&resolved(spelling, &changes), expected);
    }
    // What took no part makes no difference.
    let quiet = resolved("l2", &[("momentum", "0.5"), ("redo_interval", "9"), ("keep", "0.9")]);
    assert_eq!(upgrade(&quiet), upgrade(&resolved("l2", &[])));
}

#[test]
fn what_version_1_did_not_have_stays() {
    let upgraded = |text: &str| upgrade(&text.parse().unwrap());
    let same = |old: &str, new: &str| assert_eq!(upgraded(old), new.parse::<Table>().unwrap(), "{old}");
    same("", "version = 1");
    same("intervention = 5", "version = 1\nintervention = 5");
    same("[intervention]\nmethod = 5\nother = 1", "version = 1\n[intervention]\nmethod = 5\nother = 1");
    same("[intervention]\nother = 1", "version = 1\n[intervention]\nother = 1");
    same(
        "[intervention]\nmethod = \"b+redo+a\"\nstrength = 1",
        "version = 1\n[intervention]\nmethod = \"redo+a+b\"\nstrength = 1\n[intervention.redo]",
    );
    same(
        "[intervention]\nmethod = \"ema+l2\"\nmomentum = 1\nl2 = 5\n[intervention.ema]\nmomentum = 2",
        "version = 1\n[intervention]\nmethod = \"ema+l2\"\nl2 = 5\n[intervention.ema]\nmomentum = 2",
    );
    same("[intervention]\nmethod = \"\"", "version = 1\n[intervention]\nmethod = \"none\"");
    // Another version is not touched.
    for version in ["2", "1", "\"x\""] {
        let config = format!("version = {version}\n[intervention]\nmethod = \"l2+ema\"\nmomentum = 1");
        same(&config, &config);
    }
}
