//! Tells the program which revision it was built from, for `result.json`, and whether its files differed from it.

use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 12] = [
    "files",
    "random",
    "environments",
    "kernels",
    "engine",
    "models",
    "data",
    "report",
    "experiments",
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
];

fn main() {
    // Without git, or outside a checkout, results simply carry no revision.
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=HT_GIT_REVISION={revision}");
    }
    let changed = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat());
    if changed.is_some_and(|changed| !changed.is_empty()) {
        println!("cargo::rustc-env=HT_GIT_DIRTY=yes");
    }
}
