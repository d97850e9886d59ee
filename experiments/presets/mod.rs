//! The presets that ship inside the binary: each a protocol, a pair of data set and model, and what changes them.

use crate::config::{Error, Layer, nearest, overlay};
use std::io::Read;
use std::path::Path;
use toml::{Table, Value};

/// A preset: config files that are part of the program, later ones laid over earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line, and the name of its experiment.
    pub name: &'static str,
    /// TOML texts; the first comment of each says what it is.
    parts: &'static [&'static str],
}

macro_rules! presets {
    ($($name:literal: $($part:literal)+;)*) => {
        &[$(Preset { name: $name, parts: &[$(include_str!(concat!($part, ".toml"))),+] }),*]
    };
}

/// All presets.
pub const PRESETS: &[Preset] = presets! {
    "fresh-mnist": "fresh" "mnist";
    "warm-start-mnist": "warm-start" "mnist";
    "fresh-cifar10-resnet18": "fresh" "cifar10-resnet18";
    "fresh-cifar10-resnet18-aug": "fresh" "cifar10-resnet18" "augmented";
    "warm-start-cifar10-resnet18": "warm-start" "cifar10-resnet18";
    "warm-start-cifar10-resnet18-aug": "warm-start" "cifar10-resnet18" "augmented";
    "fresh-cifar100-resnet18": "fresh" "cifar100-resnet18";
    "fresh-cifar100-resnet18-aug": "fresh" "cifar100-resnet18" "augmented";
    "warm-start-cifar100-resnet18": "warm-start" "cifar100-resnet18";
    "warm-start-cifar100-resnet18-aug": "warm-start" "cifar100-resnet18" "augmented";
    "fresh-tiny-imagenet-vgg16": "fresh" "tiny-imagenet-vgg16";
    "fresh-tiny-imagenet-vgg16-aug": "fresh" "tiny-imagenet-vgg16" "augmented";
    "warm-start-tiny-imagenet-vgg16": "warm-start" "tiny-imagenet-vgg16";
    "warm-start-tiny-imagenet-vgg16-aug": "warm-start" "tiny-imagenet-vgg16" "augmented";
    "fresh-tiny-imagenet-resnet18": "fresh" "tiny-imagenet-resnet18";
    "fresh-tiny-imagenet-resnet18-aug": "fresh" "tiny-imagenet-resnet18" "augmented";
    "warm-start-tiny-imagenet-resnet18": "warm-start" "tiny-imagenet-resnet18";
    "warm-start-tiny-imagenet-resnet18-aug": "warm-start" "tiny-imagenet-resnet18" "augmented";
    "fresh-cifar10-vgg16": "fresh" "cifar10-vgg16";
    "fresh-cifar10-vgg16-aug": "fresh" "cifar10-vgg16" "augmented";
    "warm-start-cifar10-vgg16": "warm-start" "cifar10-vgg16";
    "warm-start-cifar10-vgg16-aug": "warm-start" "cifar10-vgg16" "augmented";
    "fresh-cifar100-vit-tiny": "fresh" "cifar100-vit-tiny";
    "fresh-cifar100-vit-tiny-aug": "fresh" "cifar100-vit-tiny" "augmented";
    "warm-start-cifar100-vit-tiny": "warm-start" "cifar100-vit-tiny";
    "warm-start-cifar100-vit-tiny-aug": "warm-start" "cifar100-vit-tiny" "augmented";
    "continual-cifar10-resnet18": "continual" "cifar10-resnet18" "augmented";
    "continual-cifar10-resnet18-limited": "continual" "cifar10-resnet18" "augmented" "limited";
    "continual-cifar100-vit-tiny": "continual" "cifar100-vit-tiny" "augmented";
    "continual-cifar100-vit-tiny-limited": "continual" "cifar100-vit-tiny" "augmented" "limited";
    "continual-tiny-imagenet-vgg16": "continual" "tiny-imagenet-vgg16" "augmented";
    "continual-tiny-imagenet-vgg16-limited": "continual" "tiny-imagenet-vgg16" "augmented" "limited";
    "quick-fresh-cifar10": "quick-fresh" "quick-cifar10";
    "quick-fresh-cifar10-aug": "quick-fresh" "quick-cifar10" "augmented";
    "quick-warm-start-cifar10": "quick-warm-start" "quick-cifar10";
    "quick-warm-start-cifar10-aug": "quick-warm-start" "quick-cifar10" "augmented";
    "quick-continual-cifar10": "quick-continual" "quick-cifar10" "augmented";
    "quick-continual-cifar10-limited": "quick-continual" "quick-cifar10" "augmented" "quick-limited";
    "quick-fresh-cifar100": "quick-fresh" "quick-cifar100";
    "quick-fresh-cifar100-aug": "quick-fresh" "quick-cifar100" "augmented";
    "quick-warm-start-cifar100": "quick-warm-start" "quick-cifar100";
    "quick-warm-start-cifar100-aug": "quick-warm-start" "quick-cifar100" "augmented";
    "fresh-scenes": "quick-fresh" "scenes";
    "warm-start-scenes": "quick-warm-start" "scenes";
    "fresh-strokes": "short-fresh" "strokes";
    "warm-start-strokes": "short-warm-start" "strokes";
    "memorise-mnist": "mnist" "memorise";
    "quick-memorise-mnist": "mnist" "quick-memorise";
    "walk-mnist": "mdp-mnist" "walk";
    "quick-walk-mnist": "mdp-mnist" "quick-walk";
    "mdp-mnist": "mdp" "mdp-mnist";
    "mdp-cifar10": "mdp" "mdp-cifar10";
    "mdp-mnist-cnn": "mdp" "mdp-mnist-cnn";
    "mdp-cifar10-cnn": "mdp" "mdp-cifar10-cnn";
    "mdp-cifar10-resnet18": "mdp" "mdp-cifar10-resnet18";
    "mdp-cifar10-vit": "mdp" "mdp-cifar10-vit";
    "quick-mdp-mnist": "quick-mdp" "mdp-mnist";
    "quick-mdp-mnist-cnn": "quick-mdp" "mdp-mnist-cnn";
    "quick-mdp-cifar10": "quick-mdp" "mdp-cifar10";
    "quick-mdp-cifar10-cnn": "quick-mdp" "mdp-cifar10-cnn";
    "mdp-strokes": "quick-mdp" "mdp-strokes";
    "chain": "chain";
    "catch": "catch" "catch-board";
    "catch-pixels": "catch" "catch-pixels";
};

impl Preset {
    /// What the preset is, in a few sentences: the first comment of each of its parts.
    pub fn summary(&self) -> String {
        let comment = |part: &&'static str| {
            part.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect::<Vec<_>>().join(" ")
        };
        self.parts.iter().map(comment).collect::<Vec<_>>().join(" ")
    }

    /// Its config.
    pub fn table(&self) -> Table {
        let mut table = Table::from_iter([("name".to_string(), Value::String(self.name.to_string()))]);
        for part in self.parts {
            overlay(&mut table, &part.parse().expect("the presets are TOML: a test reads them all"));
        }
        table
    }
}

/// The text of a config or sweep, from a file or a pipe.
///
/// # Errors
/// It cannot be read, is longer than any config, or is not UTF-8.
pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    const MOST: u64 = 16 << 20;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    let refuse = |why| Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    if bytes.len() as u64 > MOST {
        return refuse("it has more than 16 MiB: it is no config");
    }
    let utf_16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(bytes);
    match text {
        Ok(text) => Ok(text),
        Err(_) if utf_16 => refuse("it is UTF-16 text: save it as UTF-8"),
        Err(_) => refuse("it is not UTF-8 text"),
    }
}

/// The table of a preset, or of a config file when `name` is a path.
///
/// # Errors
/// Neither exists, the file cannot be read, or it is not TOML.
pub fn find(name: &str) -> Result<Layer, Error> {
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
        return Ok(Layer::file(format!("preset {name}"), preset.table()));
    }
    if !name.ends_with(".toml") && !Path::new(name).exists() {
        let hint = nearest(name, PRESETS.iter().map(|preset| preset.name));
        return Err(Error::UnknownPreset { name: name.to_string(), hint });
    }
    let text =
        read_text(Path::new(name)).map_err(|source| Error::Unreadable { path: name.to_string(), source })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| Error::Syntax {
        origin: name.to_string(),
        message: error.to_string().trim_end().to_string(),
    })?;
    if table.is_empty() {
        return Err(Error::Empty { name: name.to_string() });
    }
    Ok(Layer::file(name, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AnyConfig;

    #[test]
    fn every_preset_resolves_has_its_own_name_and_says_what_it_is() {
        for preset in PRESETS {
            let config = AnyConfig::resolve(&[find(preset.name).unwrap()]).unwrap();
            assert_eq!(config.shared().name(), preset.name);
            assert!(preset.summary().len() > 30, "{}", preset.name);
        }
    }

    #[test]
    fn a_mistyped_preset_is_guessed() {
        let message = find("warmstart-mnist").unwrap_err().to_string();
        assert!(message.contains("did you mean 'warm-start-mnist'?"), "{message}");
    }
}
