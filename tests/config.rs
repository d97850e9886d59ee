//! Configs that nobody would write: resolving never panics, and what resolves is canonical.
//!
//! `HT_FUZZ=200000 cargo test --test config` tries that many.

#[path = "common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
#[path = "common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;

use allocations::Bound;
use experiments::Config;
use experiments::config::{AgentConfig, AnyConfig, Layer, RunConfig, parse_set};
use experiments::presets;
use kernels::random::pcg4d;
use models::ModelConfig;
use std::collections::BTreeSet;
use toml::Table;

/// Numbers from a counter, the same in every run.
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 += 1;
        pcg4d([self.0, 0, 0, 1])[0] as usize % n
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

const VALUES: [&str; 34] = [
    "0",
    "1",
    "2",
    "-1",
    "3.5",
    "0.5",
    ".5",
    "1.",
    "1e-3",
    "+5",
    "-0.0",
    "0.0",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "true",
    "[]",
    "[0.5]",
    "[1, 2]",
    "[.5, .5]",
    "[[1]]",
    "\"\"",
    "\"l2\"",
    "{ a = 1 }",
    "1979-05-27",
    "99999999999999999999",
    "vgg16",
    "resnet18",
    "paper",
    "code",
    "per-step",
    "mnist",
    "\u{0}\u{7f}é\u{202e}",
];
const METHODS: [&str; 8] =
    ["none", "l2", " ema", "ema+ema", "hare-tortoise+redo", "regen + l2", "l2+", "self-distillation"];

const KINDS: [&str; 4] = ["adamw", "adam", "sgd", "rmsprop"];

/// The dotted keys of all methods, all models and all sections.
fn known_keys() -> Vec<String> {
    let mut keys = BTreeSet::new();
    for model in ModelConfig::NAMES {
        for method in experiments::config::Method::ALL {
            let sets = [format!("model.name={model}"), format!("intervention.method={}", method.name())];
            let mut config = Config::resolve(&sets.map(|set| parse_set(&set).unwrap())).unwrap();
            config.model = config.model.naming_every_key();
            collect("", &config.to_toml().parse().unwrap(), &mut keys);
        }
    }
    for kind in KINDS {
        let config = Config::resolve(&[parse_set(&format!("optimizer.kind={kind}")).unwrap()]).unwrap();
        collect("", &config.to_toml().parse().unwrap(), &mut keys);
    }
    // Seldom: one of an agent's makes the config an agent's, where most others are refused.
    collect("", &AgentConfig::resolve(&[]).unwrap().to_toml().parse().unwrap(), &mut keys);
    keys.into_iter().collect()
}

fn collect(prefix: &str, table: &Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        match value.as_table() {
            Some(inner) => collect(&format!("{prefix}{key}."), inner, keys),
            None => drop(keys.insert(format!("{prefix}{key}"))),
        }
    }
}

/// A key, mostly of those that exist.
fn key(numbers: &mut Numbers, known: &[String]) -> String {
    let mut key = match numbers.below(6) {
        0 => "intervention.method".to_string(),
        _ => known[numbers.below(known.len())].clone(),
    };
    if numbers.below(12) == 0 {
        let at = numbers.below(key.len());
        key.insert(at, ['.', '"', 'x', '=', ' ', '\n'][numbers.below(6)]);
    }
    key
}

fn value(numbers: &mut Numbers, key: &str) -> String {
    match key {
        "intervention.method" => METHODS[numbers.below(METHODS.len())].to_string(),
        "optimizer.kind" => numbers.of(&KINDS).to_string(),
        _ => numbers.of(&VALUES).to_string(),
    }
}

/// A file's text of a few lines, some of which may be no TOML.
fn file(numbers: &mut Numbers, known: &[String]) -> String {
    let line = |numbers: &mut Numbers| {
        let key = key(numbers, known);
        let value = value(numbers, &key);
        let quote =
            ["intervention.method", "optimizer.kind"].contains(&key.as_str()) || numbers.below(4) == 0;
        if quote { format!("{key} = {value:?}\n") } else { format!("{key} = {value}\n") }
    };
    (0..numbers.below(4)).map(|_| line(numbers)).collect()
}

#[test]
fn fuzz_whatever_is_written_resolves_to_itself_or_is_refused() {
    let tries = mutate::rounds();
    let known = known_keys();
    let (mut numbers, mut resolved) = (Numbers(0), 0);
    let mut bound = Bound::new("config", 256, 1 << 20);
    for _ in 0..tries {
        let text = file(&mut numbers, &known);
        let preset = presets::PRESETS[numbers.below(presets::PRESETS.len())].name;
        let with_preset = numbers.below(3) == 0;
        let mut sets = Vec::new();
        for _ in 0..numbers.below(3) {
            let key = key(&mut numbers, &known);
            sets.push(format!("{key}={}", value(&mut numbers, &key)));
        }
        let length = text.len() + sets.iter().map(String::len).sum::<usize>();
        let (layers, outcome) = bound.hold(length, || {
            let mut layers = Vec::new();
            layers.extend(with_preset.then(|| presets::find(preset).unwrap()));
            layers.extend(text.parse().map(|table| Layer::file("my.toml", table)));
            layers.extend(sets.iter().flat_map(|set| parse_set(set)));
            let outcome = AnyConfig::resolve(&layers);
            (layers, outcome)
        });
        match outcome {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(config) => {
                let config = config.shared();
                resolved += 1;
                let again = config.to_toml().parse().map(|table| [Layer::file("itself", table)]);
                let again = AnyConfig::resolve(&again.unwrap());
                let again = again.unwrap_or_else(|error| panic!("{error}: {layers:?}"));
                let again = again.shared();
                assert_eq!(
                    (again.to_toml(), again.run_id()),
                    (config.to_toml(), config.run_id()),
                    "{layers:?}"
                );
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
                assert!((config.name().to_string() + &config.run_id()).chars().all(plain), "{layers:?}");
            }
        }
    }
    assert!(resolved > tries / 20 && resolved < tries, "{resolved} of {tries} resolve");
    println!("{bound}");
}
