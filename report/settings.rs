//! What a config says in the paper's words: data set and model, protocol, method, and what is shortened.

use super::{Family, Method};
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// The resolved config of runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Dotted keys to values, without `seed`, `name` and `[run]`.
    pub(crate) values: BTreeMap<String, Value>,
    /// The methods under the paper's name for their column, other combinations by the names of their parts.
    pub(crate) column: String,
    /// Where its methods stand among the paper's.
    pub(crate) class: Class,
}

/// The phases of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Protocol {
    /// One phase on everything, clean.
    Fresh,
    /// A first phase on a share of the images, a share of its labels wrong; a second on all, clean.
    WarmStart { ratio: f64, noise: f64 },
    /// Three phases or more.
    Continual { phases: usize, buffer: usize },
    /// Anything else, in words.
    Other(String),
}

/// The family of a configuration's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// No method, or training without a warm start.
    Baseline,
    /// All methods are of this family.
    Of(Family),
    Combination,
}

/// The variant of Shrink & Perturb that the paper means.
const PAPERS_VARIANT: &str = "hare-tortoise-2024";

/// A value as people read it: text without quotes, small numbers with an exponent.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => brief(*number),
        _ => value.to_string(),
    }
}

/// `0.001` and `1e-8`.
pub(crate) fn brief(number: f64) -> String {
    if number != 0.0 && (number.abs() < 1e-4 || number.abs() >= 1e7) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// `key=value`, and `version 1`.
pub(crate) fn word(key: &str, value: &Value) -> String {
    match key {
        "version" => format!("version {}", show(value)),
        _ => format!("{key}={}", show(value)),
    }
}

/// The keys whose values are not the same in all of these configs.
pub(crate) fn differing_keys(configs: &[&BTreeMap<String, Value>]) -> Vec<String> {
    let keys: BTreeSet<&String> = configs.iter().flat_map(|config| config.keys()).collect();
    let differs = |key: &&String| {
        let mut values = configs.iter().map(|config| config.get(*key).map(Value::to_string));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.into_iter().filter(differs).cloned().collect()
}

/// A dotted key without its section, but with its method.
pub(crate) fn name_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(_, name)| name)
}

/// Percent with no more digits than it takes.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

impl Settings {
    pub(crate) fn new(values: BTreeMap<String, Value>, methods: &[Method]) -> Settings {
        let joined = values.get("intervention.method").and_then(Value::as_str).unwrap_or("none");
        let mut names: Vec<&str> = joined.split('+').map(str::trim).collect();
        names.retain(|name| *name != "none" && !name.is_empty());
        let known: Vec<&Method> = methods.iter().filter(|method| names.contains(&method.name)).collect();
        let mut parts: Vec<String> = known.iter().map(|method| short_name(&values, method)).collect();
        names.retain(|name| known.iter().all(|method| method.name != *name));
        parts.extend(names.into_iter().map(str::to_string));

        let protocol = Protocol::of(&values);
        let crelu = values.get("model.head_activation").and_then(Value::as_str) == Some("crelu");
        let augmented = values.get("data.augment").and_then(Value::as_bool).unwrap_or(false);
        if crelu {
            parts.push("CReLU".to_string());
        }
        // All runs of the continual protocol are augmented: there it is no method.
        if augmented && !matches!(protocol, Protocol::Continual { .. }) {
            parts.push("Aug".to_string());
        }
        match protocol {
            Protocol::Fresh => parts.insert(0, "w/o WS".to_string()),
            Protocol::WarmStart { .. } if parts.is_empty() => parts.push("WS".to_string()),
            _ if parts.is_empty() => parts.push("no method".to_string()),
            _ => {}
        }

        let mut families: Vec<Family> = known.iter().map(|method| method.family).collect();
        families.extend(crelu.then_some(Family::Trainability));
        let is_warm = matches!(protocol, Protocol::WarmStart { .. });
        families.extend((augmented && is_warm).then_some(Family::Generalisation));
        let class = match families.first() {
            None => Class::Baseline,
            Some(_) if protocol == Protocol::Fresh => Class::Baseline,
            Some(first) if families.iter().all(|family| family == first) => Class::Of(*first),
            Some(_) => Class::Combination,
        };
        Settings { column: parts.join("+"), class, values }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        number(self.values.get(key)?)
    }

    pub(crate) fn set(&self) -> &str {
        self.text("data.set").unwrap_or("data")
    }

    pub(crate) fn model(&self) -> &str {
        self.text("model.name").unwrap_or("model")
    }

    /// Data set and model as the paper writes them, with sizes where they are not the paper's.
    pub(crate) fn pair(&self) -> String {
        let set = match self.set() {
            "mnist" => "MNIST",
            "cifar10" => "CIFAR-10",
            "cifar100" => "CIFAR-100",
            "tiny-imagenet" => "Tiny ImageNet",
            other => other,
        };
        let model = match self.model() {
            "mlp" => "MLP",
            "resnet18" => "ResNet-18",
            "vgg16" => "VGG-16",
            "vit-tiny" => "ViT-Tiny",
            other => other,
        };
        let hidden: Vec<String> = numbers(&self.values, "model.hidden").iter().map(f64::to_string).collect();
        let hidden = if hidden.is_empty() { String::new() } else { format!(" {}", hidden.join("-")) };
        format!("{set}, {model}{hidden}")
    }

    pub(crate) fn protocol(&self) -> Protocol {
        Protocol::of(&self.values)
    }

    /// In what a run is shorter or smaller than the paper's, in words; empty if it is not.
    pub(crate) fn shortened(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (key, what) in [("data.train", "training"), ("data.test", "test")] {
            if let Some(count) = self.number(key).filter(|&count| count > 0.0) {
                words.push(format!("{count} {what} images"));
            }
        }
        if let Some(factor) = self.number("data.downsample").filter(|&factor| factor > 1.0) {
            words.push(format!("images reduced {factor} times"));
        }
        let full: &[(&str, f64)] = match self.model() {
            "resnet18" => &[("width", 64.0), ("head_hidden", 512.0)],
            "vgg16" => &[("width", 64.0), ("head_hidden", 1024.0)],
            "vit-tiny" => &[("dim", 192.0), ("depth", 12.0), ("heads", 3.0), ("patch", 4.0)],
            _ => &[],
        };
        for (key, full) in full {
            if let Some(value) = self.number(&format!("model.{key}")).filter(|value| value != full) {
                words.push(format!("{} {value} instead of {full}", key.replace('_', " ")));
            }
        }
        let full = if matches!(self.protocol(), Protocol::Continual { .. }) { 10.0 } else { 100.0 };
        if let Some(epochs) = self.number("protocol.base_epochs").filter(|&epochs| epochs < full) {
            words.push(format!("{epochs} base epochs instead of {full}"));
        }
        words
    }
}

/// The method's name in tables. Variants that are methods of their own carry their name.
fn short_name(values: &BTreeMap<String, Value>, method: &Method) -> String {
    let variant = values.get(&format!("intervention.{}.variant", method.name)).and_then(Value::as_str);
    match variant.filter(|variant| *variant != PAPERS_VARIANT) {
        Some(variant) => format!("{} ({variant})", method.short),
        None => method.short.to_string(),
    }
}

fn numbers(values: &BTreeMap<String, Value>, key: &str) -> Vec<f64> {
    let list = values.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(number).collect()
}

impl Protocol {
    /// What the phases of a config are.
    pub(crate) fn of(values: &BTreeMap<String, Value>) -> Protocol {
        let (ratios, noise) = (numbers(values, "protocol.ratios"), numbers(values, "protocol.noise"));
        if let Some(sets) = values.get("protocol.label_sets") {
            return Protocol::Other(format!("memorisation of {} random label sets", show(sets)));
        }
        let whole = (ratios.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        match (&ratios[..], &noise[..]) {
            ([ratio], [0.0]) if *ratio == 1.0 => Protocol::Fresh,
            ([ratio, _], [noise, 0.0]) if whole => Protocol::WarmStart { ratio: *ratio, noise: *noise },
            ([_, _, _, ..], _) => {
                let buffer = values.get("protocol.buffer").and_then(number).unwrap_or(0.0) as usize;
                Protocol::Continual { phases: ratios.len(), buffer }
            }
            _ => Protocol::Other(format!("phases of {ratios:?} of the images, noise {noise:?}")),
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Protocol::Fresh => "fresh training".to_string(),
            Protocol::WarmStart { ratio, noise } => {
                format!("warm start on {} of the images, {} wrong labels", percent(*ratio), percent(*noise))
            }
            Protocol::Continual { phases, buffer: 0 } => {
                format!("continual learning in {phases} phases, full access")
            }
            Protocol::Continual { phases, buffer } => {
                format!("continual learning in {phases} phases, {buffer} earlier images kept")
            }
            Protocol::Other(words) => words.clone(),
        }
    }
}

/// Whole numbers too.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 10] = {
        const fn method(name: &'static str, short: &'static str, family: Family) -> Method {
            Method { name, short, family }
        }
        [
            method("hare-tortoise", "H&T", Family::Averaging),
            method("ema", "EMA", Family::Averaging),
            method("shrink-perturb", "SnP", Family::Reinitialisation),
            method("head-reset", "HR", Family::Reinitialisation),
            method("optimizer-reset", "OR", Family::Reinitialisation),
            method("l2", "L2", Family::Generalisation),
            method("spectral-decoupling", "Spectral", Family::Trainability),
            method("self-distillation", "SD", Family::Averaging),
            method("regen", "Regen", Family::Trainability),
            method("redo", "ReDo", Family::Trainability),
        ]
    };

    fn settings(text: &str) -> Settings {
        let table: toml::Table = text.parse().unwrap();
        Settings::new(super::super::group::compared(&crate::legacy::upgrade(&table)), &METHODS)
    }

    #[test]
    fn columns_have_the_papers_names() {
        const WARM: &str = "protocol.ratios = [0.1, 0.9]\nprotocol.noise = [0.5, 0.0]\n";
        for (config, column, class) in [
            ("", "WS", Class::Baseline),
            ("intervention.method = \"none\"", "WS", Class::Baseline),
            ("data.augment = true", "Aug", Class::Of(Family::Generalisation)),
            ("intervention.method = \"l2\"", "L2", Class::Of(Family::Generalisation)),
            ("intervention.method = \"spectral-decoupling\"", "Spectral", Class::Of(Family::Trainability)),
            ("intervention.method = \"regen\"", "Regen", Class::Of(Family::Trainability)),
            ("intervention.method = \"redo\"", "ReDo", Class::Of(Family::Trainability)),
            ("model.head_activation = \"crelu\"", "CReLU", Class::Of(Family::Trainability)),
            ("intervention.method = \"head-reset\"", "HR", Class::Of(Family::Reinitialisation)),
            ("intervention.method = \"shrink-perturb\"", "SnP", Class::Of(Family::Reinitialisation)),
            (
                "intervention.method = \"l2 + shrink-perturb\"\ndata.augment = true",
                "SnP+L2+Aug",
                Class::Combination,
            ),
            (
                "intervention.method = \"shrink-perturb\"\nintervention.shrink_perturb = \"per-step\"",
                "SnP (per-step)",
                Class::Of(Family::Reinitialisation),
            ),
            (
                "version = 2\nintervention.method = \"shrink-perturb\"\n\
                 intervention.shrink-perturb.variant = \"ash-adams-2020\"",
                "SnP (ash-adams-2020)",
                Class::Of(Family::Reinitialisation),
            ),
            ("intervention.method = \"hare-tortoise\"", "H&T", Class::Of(Family::Averaging)),
            ("intervention.method = \"self-distillation+ema\"", "EMA+SD", Class::Of(Family::Averaging)),
            ("intervention.method = \"new\"", "new", Class::Baseline),
        ] {
            let settings = settings(&format!("{WARM}{config}"));
            assert_eq!((settings.column.as_str(), settings.class), (column, class), "{config}");
        }
        for (config, column) in [("", "w/o WS"), ("data.augment = true", "w/o WS+Aug")] {
            let settings = settings(&format!("protocol.ratios = [1.0]\nprotocol.noise = [0.0]\n{config}"));
            assert_eq!((settings.column.as_str(), settings.class), (column, Class::Baseline));
        }
    }

    #[test]
    fn protocols_are_told_from_their_phases() {
        let protocol = |ratios: &str, noise: &str| {
            settings(&format!("protocol.ratios = {ratios}\nprotocol.noise = {noise}\nprotocol.buffer = 5000"))
                .protocol()
        };
        assert_eq!(protocol("[1.0]", "[0]"), Protocol::Fresh);
        assert_eq!(protocol("[1.0, 0.0]", "[0.3, 0.0]"), Protocol::WarmStart { ratio: 1.0, noise: 0.3 });
        assert_eq!(protocol("[0.2, 0.8]", "[0.0, 0.0]"), Protocol::WarmStart { ratio: 0.2, noise: 0.0 });
        assert_eq!(protocol("[0.5, 0.3, 0.2]", "[0, 0, 0]"), Protocol::Continual { phases: 3, buffer: 5000 });
        let sets =
            settings("protocol.ratios = [1.0]\nprotocol.noise = [0.0]\nprotocol.label_sets = 3").protocol();
        assert_eq!(sets.describe(), "memorisation of 3 random label sets");
        assert!(matches!(protocol("[0.2, 0.2]", "[0.0, 0.0]"), Protocol::Other(_)));
        assert!(matches!(protocol("[1.0]", "[0.5]"), Protocol::Other(_)));
    }

    #[test]
    fn what_is_shortened_is_said() {
        let quick = "data.set = \"cifar10\"\ndata.train = 4000\nmodel.name = \"resnet18\"\nmodel.width = 8\n\
                     model.head_hidden = 512\nprotocol.base_epochs = 30\nprotocol.ratios = [1.0]\nprotocol.noise = [0]";
        let expected = ["4000 training images", "width 8 instead of 64", "30 base epochs instead of 100"];
        assert_eq!(settings(quick).shortened(), expected);
        assert_eq!(settings(quick).pair(), "CIFAR-10, ResNet-18");
        let full = "data.train = 0\nmodel.name = \"vit-tiny\"\nmodel.dim = 192\nprotocol.base_epochs = 100";
        assert!(settings(full).shortened().is_empty());
    }
}
