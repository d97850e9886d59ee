//! Arrows of dependence point one way: between crates, between the modules of a crate, and within a folder.

use super::{none, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every crate with those of the project that it may use.
const CRATES: [(&str, &[&str]); 9] = [
    ("files", &[]),
    ("random", &[]),
    ("kernels", &[]),
    ("engine", &["files", "kernels"]),
    ("models", &["engine", "kernels"]),
    ("data", &["files", "random"]),
    ("environments", &["random"]),
    ("report", &["files"]),
    ("", &["files", "kernels", "engine", "models", "data", "environments", "report"]),
];

#[test]
fn crates_use_only_those_below_them() {
    let names: Vec<&str> = CRATES.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    for (folder, allowed) in CRATES {
        let manifest: toml::Table = read(&root().join(folder).join("Cargo.toml")).parse().unwrap();
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        let used: Vec<&str> = used
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str))
            .filter(|name| names.contains(name))
            .collect();
        for name in used {
            assert!(allowed.contains(&name), "{folder}/Cargo.toml: {name} lies above it, or beside");
        }
    }
    let members: toml::Table = read(&root().join("Cargo.toml")).parse().unwrap();
    let members = members["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    assert_eq!(members, names.into_iter().collect(), "every crate is listed here");
}

#[test]
fn no_folder_has_a_circle() {
    let mut circles = Vec::new();
    for (folder, _) in CRATES {
        let top = root().join(if folder.is_empty() { "experiments" } else { folder });
        let mut crate_ = Crate { top: top.clone(), arrows: BTreeMap::new() };
        crate_.read(&top, &[]);
        for (folder, arrows) in &crate_.arrows {
            if let Some(circle) = circle(arrows) {
                circles.push(format!("{}: {}", folder.display(), circle.join(" -> ")));
            }
        }
    }
    none(&circles);
}

/// The arrows between the files and folders of each folder of a crate. The front door of a folder (`mod.rs`, `lib.rs`) is no
/// end of an arrow in it: it shows what lies inside, and what lies inside may use what it declares.
struct Crate {
    top: PathBuf,
    arrows: BTreeMap<PathBuf, BTreeMap<String, BTreeSet<String>>>,
}

const DOORS: [&str; 3] = ["lib.rs", "mod.rs", "main.rs"];

impl Crate {
    fn read(&mut self, folder: &Path, module: &[String]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let not_of_the_crate = ["tests", "tests.rs", "examples", "benches", "fixtures", "target"];
            if not_of_the_crate.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                let inner = [module, &[name]].concat();
                self.read(&path, &inner);
            } else if let Some(stem) = name.strip_suffix(".rs") {
                let is_door = DOORS.contains(&name.as_str());
                let own = if is_door { module.to_vec() } else { [module, &[stem.to_string()]].concat() };
                for used in paths(&read(&path), &own) {
                    self.draw(&own, &used);
                }
            }
        }
    }

    /// An arrow in the innermost folder that holds both ends.
    fn draw(&mut self, from: &[String], to: &[String]) {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let folder = from[..common].iter().fold(self.top.clone(), |path, name| path.join(name));
        let is_module =
            |name: &String| folder.join(name).is_dir() || folder.join(format!("{name}.rs")).is_file();
        let (Some(from), Some(to)) = (from.get(common), to.get(common)) else { return };
        // What the front door gives out under its own name leads to the file that it comes from.
        let to = if is_module(to) { to.clone() } else { given_out(&folder, to).unwrap_or_default() };
        if is_module(from) && is_module(&to) && *from != to {
            self.arrows.entry(folder).or_default().entry(from.clone()).or_default().insert(to);
        }
    }
}

/// The module from which a folder's front door gives out `name`.
fn given_out(folder: &Path, name: &str) -> Option<String> {
    let door = DOORS.iter().map(|door| folder.join(door)).find(|path| path.is_file())?;
    let text = without_tests(&read(&door));
    for statement in text.split(';') {
        let Some((_, used)) = statement.rsplit_once("pub use ").or(statement.rsplit_once("pub(crate) use "))
        else {
            continue;
        };
        let (module, names) = used.trim().split_once("::")?;
        let words = names.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.into_iter().any(|word| word == name) {
            return Some(module.to_string());
        }
    }
    None
}

/// A file's text up to its unit tests, without comments.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// All paths in a module's code that begin at the crate or at a module above, from the top of the crate on.
fn paths(text: &str, own: &[String]) -> Vec<Vec<String>> {
    let code = without_tests(text);
    let mut found = Vec::new();
    for (word, strip) in [("crate::", false), ("super::", true)] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            // `$crate::x`, `a_crate::x` and the second `super` of `super::super` begin elsewhere.
            if before.is_some_and(|c| c.is_alphanumeric() || "_$:".contains(c)) {
                continue;
            }
            let mut base = if strip { own[..own.len().saturating_sub(1)].to_vec() } else { Vec::new() };
            let mut rest = &code[at + word.len()..];
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            expand(rest, &base, &mut found);
        }
    }
    found
}

/// `a::b` and `a::{b, c::d}` behind a base.
fn expand(text: &str, base: &[String], found: &mut Vec<Vec<String>>) {
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => return expand(group[start..index].trim(), base, found),
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(group[start..index].trim(), base, found);
                    start = index + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path = [base, &[text[..end].to_string()]].concat();
    match text[end..].strip_prefix("::") {
        Some(rest) => expand(rest, &path, found),
        None if end > 0 => found.push(path),
        None => {}
    }
}

/// Some circle among these arrows.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn follow<'a>(
        at: &'a String,
        arrows: &'a BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<&'a String>,
    ) -> bool {
        if way.contains(at) {
            way.push(at.clone());
            return true;
        }
        if !done.insert(at) {
            return false;
        }
        way.push(at.clone());
        if arrows.get(at).into_iter().flatten().any(|next| follow(next, arrows, way, done)) {
            return true;
        }
        way.pop();
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    arrows.keys().any(|start| follow(start, arrows, &mut way, &mut done)).then(|| {
        let end = way.last().cloned();
        way.into_iter().skip_while(|name| Some(name) != end.as_ref()).collect()
    })
}

#[test]
fn the_reader_of_paths_sees_what_rust_sees() {
    let own = ["trainer".to_string(), "probe".to_string()];
    let text = "use crate::{config::{Config, Error as E}, error::Result};\nuse super::Trainer;\nfn f() { \
                super::super::images::pack() } // crate::no\n#[cfg(test)]\nmod tests { use crate::never; }";
    let seen: Vec<String> = paths(text, &own).iter().map(|path| path.join("::")).collect();
    let expected = ["config::Config", "config::Error", "error::Result", "trainer::Trainer", "images::pack"];
    assert_eq!(seen, expected);
    let arrows = |pairs: &[(&str, &str)]| {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            arrows.entry((*from).into()).or_default().insert((*to).into());
        }
        circle(&arrows)
    };
    assert_eq!(arrows(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert_eq!(arrows(&[("a", "b"), ("b", "c"), ("c", "b")]).unwrap(), ["b", "c", "b"]);
}
