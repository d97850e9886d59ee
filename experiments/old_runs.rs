//! Run folders of version 1, as revision 39c77da and those before it left them, under configs of today.
//!
//! Version 1 named a folder after eight hexadecimal digits of a config in another form. Such a folder is known by its name,
//! its config is brought into today's form ([`report::legacy`]) and compared. A finished run counts, a half-done one goes on
//! where it lies. Where a key means something else today, the old run is refused by name: its result is not what was asked
//! for.

use crate::config::{RunConfig, flattened};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Hexadecimal digits at the end of a folder's name in version 1.
const DIGITS: usize = 8;

/// The folder of version 1 that holds the run of a config; its config may have been brought into today's form since.
pub(crate) fn find(config: &dyn RunConfig, out: &Path) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(out.join(config.name()))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| has_old_name(path, config.seed()))
        .collect();
    if folders.is_empty() {
        return None;
    }
    folders.sort();
    let now = keys(&config.to_toml().parse().ok()?);
    folders.into_iter().find(|folder| {
        let text = files::read_to_string(&folder.join("config.toml")).unwrap_or_default();
        text.parse::<Table>().is_ok_and(|stored| keys(&report::legacy::upgrade(&stored)) == now)
    })
}

fn has_old_name(path: &Path, seed: u32) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').is_some_and(|(front, digits)| {
        digits.len() == DIGITS
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            && front.ends_with(&format!("-seed{seed}"))
    })
}

/// What makes a run, without the version of its meaning.
fn keys(config: &Table) -> BTreeMap<String, Value> {
    let mut keys = flattened(config);
    keys.retain(|key, _| key != "version" && !key.starts_with("run."));
    keys
}

/// Whether the config in a folder is one of version 1.
pub(crate) fn is_old(stored: &Table) -> bool {
    !stored.contains_key("version")
}

/// Refuses a run of version 1 in which a key meant something else.
///
/// # Errors
/// It did.
pub(crate) fn check_meaning(config: &dyn RunConfig, folder: &Path) -> Result<()> {
    let keys = flattened(&config.to_toml().parse().expect("a config is TOML"));
    let is = |key: &str, value: &str| keys.get(key).and_then(Value::as_str) == Some(value);
    if is("intervention.regen.form", "last-tensors") && is("model.name", "vit-tiny") {
        return Err(Error::Checkpoint {
            path: folder.into(),
            message: "is a run of version 1, where regen with form = \"last-tensors\" took the final layer norm of a \
                      vit-tiny instead of its last block's mlp.fc2.bias; move or remove it, or choose another --out"
                .into(),
        });
    }
    Ok(())
}
