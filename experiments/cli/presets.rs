//! `ht presets`: what ships inside the binary.

use super::print;
use crate::config::AnyConfig;
use crate::presets::{PRESETS, find};
use clap::Args;

/// Arguments of `ht presets`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ht presets\n  ht presets warm-start-mnist > my.toml")]
pub(super) struct PresetsArgs {
    /// Print this preset's TOML
    name: Option<String>,
    /// With a name: print the resolved config, every key
    #[arg(long, requires = "name")]
    resolved: bool,
}

pub(super) fn run(args: &PresetsArgs) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        let lines: Vec<_> =
            PRESETS.iter().map(|preset| format!("{:36} {}", preset.name, preset.summary())).collect();
        return print(&lines.join("\n"));
    };
    let layer = find(name)?;
    if args.resolved {
        return print(&AnyConfig::resolve(&[layer])?.shared().to_toml());
    }
    let preset = PRESETS.iter().find(|preset| preset.name == name);
    let summary = preset.map_or_else(String::new, |preset| format!("# {}\n", preset.summary()));
    print(&format!("{summary}{}", layer.table))
}
