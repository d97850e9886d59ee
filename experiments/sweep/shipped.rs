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

/// A file, which may stand for several sweeps: in its text `FRESH-`, `WARM-START-` and `CONTINUAL-` before `PAIR` are made
/// the names of presets.
struct Template {
    name: &'static str,
    text: &'static str,
    /// Ends of preset names: `quick-` before the pair asks for the quick presets. Empty: one sweep, of the file's name.
    pairs: &'static [&'static str],
}

macro_rules! templates {
    ($($name:literal: $pairs:expr;)*) => {
        &[$(Template { name: $name, text: include_str!(concat!("../sweeps/", $name, ".toml")), pairs: &$pairs }),*]
    };
}

const TEMPLATES: &[Template] = templates! {
    "table4-mnist": [];
};

impl Template {
    fn of(&self, pair: &str) -> Shipped {
        let (quick, pair) = pair.strip_prefix("quick-").map_or(("", pair), |pair| ("quick-", pair));
        let mut text = self.text.to_string();
        for kind in ["fresh", "warm-start", "continual"] {
            text = text.replace(&format!("{}-PAIR", kind.to_uppercase()), &format!("{quick}{kind}-{pair}"));
        }
        Shipped { name: format!("{quick}{}-{pair}", self.name), text: text.replace("PAIR", pair) }
    }
}

/// All sweeps that ship.
pub fn shipped() -> Vec<Shipped> {
    TEMPLATES
        .iter()
        .flat_map(|template| match template.pairs {
            [] => vec![Shipped { name: template.name.into(), text: template.text.into() }],
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
    let text = std::fs::read_to_string(path).map_err(|source| crate::Error::Io {
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
            assert!(!sweep.text.contains("PAIR"), "{}", sweep.name);
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
