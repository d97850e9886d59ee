//! The presets that ship inside the binary.

use crate::config::{Error, nearest};
use std::path::Path;
use toml::Table;

/// A preset: a config file that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its TOML text; the first comment says what it is.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!($name, ".toml")) }),*]
    };
}

/// All presets.
pub const PRESETS: &[Preset] =
    presets!["fresh-mnist", "warm-start-mnist", "fresh-strokes", "warm-start-strokes"];

impl Preset {
    /// The first comment of the file: what the preset is, in a sentence or two.
    pub fn summary(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// The table of a preset, or of a config file when `name` is a path.
///
/// # Errors
/// Neither exists, the file cannot be read, or it is not TOML.
pub fn find(name: &str) -> Result<(String, Table), Error> {
    let (origin, text) = match PRESETS.iter().find(|preset| preset.name == name) {
        Some(preset) => (format!("preset {name}"), preset.text.to_string()),
        None if name.ends_with(".toml") || Path::new(name).exists() => {
            let text = std::fs::read_to_string(name)
                .map_err(|source| Error::Unreadable { path: name.to_string(), source })?;
            (name.to_string(), text)
        }
        None => {
            let hint = nearest(name, PRESETS.iter().map(|preset| preset.name));
            return Err(Error::UnknownPreset { name: name.to_string(), hint });
        }
    };
    let table = text.parse().map_err(|error: toml::de::Error| Error::Syntax {
        origin: origin.clone(),
        message: error.to_string().trim_end().to_string(),
    })?;
    Ok((origin, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_preset_resolves_has_its_own_name_and_says_what_it_is() {
        for preset in PRESETS {
            let config = Config::resolve(&[find(preset.name).unwrap()]).unwrap();
            assert_eq!(config.name, preset.name);
            assert!(preset.summary().len() > 30, "{}", preset.name);
        }
    }

    #[test]
    fn a_mistyped_preset_is_guessed() {
        let message = find("warmstart-mnist").unwrap_err().to_string();
        assert!(message.contains("did you mean 'warm-start-mnist'?"), "{message}");
    }
}
