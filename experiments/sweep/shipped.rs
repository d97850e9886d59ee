//! The sweeps that ship inside the binary: the paper's tables and figures, for each of its pairs of data set and model.

use super::{Error, Sweep};
use crate::config::nearest;
use std::path::Path;

/// A sweep that is part of the program.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Its name on the command line, and that of its folder.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// A data set and its model, by the ends of the presets' names.
struct Pair {
    /// Before the kind of a preset: `quick-` or nothing.
    prefix: &'static str,
    /// Behind it.
    name: &'static str,
    /// Number of seeds, the paper's where it is the paper's experiment.
    seeds: u32,
}

const fn pair(prefix: &'static str, name: &'static str, seeds: u32) -> Pair {
    Pair { prefix, name, seeds }
}

const CIFAR10: Pair = pair("", "cifar10-resnet18", 5);
const CIFAR100: Pair = pair("", "cifar100-vit-tiny", 5);
const TINY_IMAGENET: Pair = pair("", "tiny-imagenet-vgg16", 3);
const QUICK: Pair = pair("quick-", "cifar10", 3);
const QUICK_VIT: Pair = pair("quick-", "cifar100", 3);
const SCENES: Pair = pair("", "scenes", 3);

/// Files that stand for a sweep of each pair: in their text `FRESH-PAIR`, `WARM-START-PAIR`, `CONTINUAL-PAIR` and
/// `MEMORISE-PAIR` become the names of presets, `SEEDS` the list of seeds. Without pairs it is one sweep.
struct Template {
    name: &'static str,
    /// Texts, joined.
    parts: &'static [&'static str],
    pairs: &'static [Pair],
}

macro_rules! templates {
    ($($name:literal: $($part:literal)+, $pairs:expr;)*) => {
        &[$(Template {
            name: $name,
            parts: &[$(include_str!(concat!("../sweeps/", $part, ".toml"))),+],
            pairs: &$pairs,
        }),*]
    };
}

const TEMPLATES: &[Template] = templates! {
    "table4-mnist": "table4-mnist", [];
    "quick-table4-mnist": "quick-table4-mnist", [];
    "quick-mdp-mnist": "quick-mdp-mnist", [];
    "table5": "table5", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK, SCENES];
    "table7": "table7" "crelu", [CIFAR10, TINY_IMAGENET, QUICK, SCENES];
    // ViT's head has no hidden layer in which CReLU could be.
    "table7": "table7", [CIFAR100, QUICK_VIT];
    "table7-search": "table7-search", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK, QUICK_VIT, SCENES];
    "fig3": "fig3", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK, SCENES];
    "fig5": "fig5", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK, QUICK_VIT, SCENES];
    "fig6": "fig6", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK];
    "fig7": "fig7" "table5", [pair("", "tiny-imagenet-resnet18", 2), pair("", "cifar10-vgg16", 2)];
    "memorise": "memorise", [pair("", "mnist", 1), pair("quick-", "mnist", 3)];
    "fig9": "fig9", [CIFAR10, CIFAR100, TINY_IMAGENET, QUICK, SCENES];
};

impl Template {
    fn of(&self, pair: &Pair) -> Shipped {
        let mut text = self.parts.concat();
        for kind in ["fresh", "warm-start", "continual", "memorise"] {
            let preset = format!("{}{kind}-{}", pair.prefix, pair.name);
            text = text.replace(&format!("{}-PAIR", kind.to_uppercase()), &preset);
        }
        let seeds: Vec<u32> = (1..=pair.seeds).collect();
        Shipped {
            name: format!("{}{}-{}", pair.prefix, self.name, pair.name),
            text: text.replace("SEEDS", &format!("{seeds:?}")),
        }
    }
}

/// All sweeps that ship.
pub fn shipped() -> Vec<Shipped> {
    TEMPLATES
        .iter()
        .flat_map(|template| match template.pairs {
            [] => vec![Shipped { name: template.name.into(), text: template.parts.concat() }],
            pairs => pairs.iter().map(|pair| template.of(pair)).collect(),
        })
        .collect()
}

/// The sweep of this name, or in the file when `name` is a path.
///
/// # Errors
/// Neither exists, or what is there is no sweep.
pub fn find(name: &str) -> Result<Sweep, Error> {
    let all = shipped();
    if let Some(sweep) = all.iter().find(|sweep| sweep.name == name) {
        return Sweep::parse(name, &sweep.text);
    }
    let path = Path::new(name);
    if path.extension().is_none_or(|extension| extension != "toml") && !path.exists() {
        let hint = nearest(name, all.iter().map(|sweep| sweep.name.as_str()));
        return Err(Error::Unknown { name: name.to_string(), hint });
    }
    let text = crate::presets::read_text(path).map_err(|source| crate::Error::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Sweep::parse(&stem, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_shipped_sweep_resolves_has_its_own_name_and_says_what_it_is() {
        let mut names = BTreeSet::new();
        for sweep in shipped() {
            assert!(names.insert(sweep.name.clone()), "{} is there twice", sweep.name);
            assert!(!sweep.text.contains("PAIR") && !sweep.text.contains("SEEDS"), "{}", sweep.name);
            let sweep = find(&sweep.name).unwrap();
            assert!(sweep.summary.len() > 30, "{}", sweep.name);
            sweep.runs(&[], &[]).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn a_mistyped_sweep_is_guessed() {
        let message = find("tabel4-mnist").unwrap_err().to_string();
        assert!(message.contains("did you mean 'table4-mnist'?"), "{message}");
    }
}
