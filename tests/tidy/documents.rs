//! Documents name what there is: every config key, every method, every command; and every link leads somewhere.

use super::{files, is_output, none, read, root, short};
use experiments::Config;
use experiments::config::{AgentConfig, Method, RunConfig, parse_set};
use models::ModelConfig;
use std::collections::BTreeSet;

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in files(".md") {
        let text = read(&path);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let label = text[..at].rsplit('[').next().unwrap();
            let is_path = label.contains('/') && !label.contains(|c: char| c.is_whitespace() || c == '`');
            if is_path && !target.contains(label.trim_end_matches('/')) {
                broken.push(format!("{}: {label} leads to {target}", short(&path)));
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            if !file.exists() {
                broken.push(format!("{}: {target} is not there", short(&path)));
            } else if !heading.is_empty() && !headings(&read(&file)).contains(heading) {
                broken.push(format!("{}: {target}: there is no such heading", short(&path)));
            }
        }
    }
    none(&broken);
}

#[test]
fn the_tree_in_the_readme_has_every_folder() {
    let readme = read(&root().join("README.md"));
    let tree = readme.split_once("## The tree\n\n```\n").unwrap().1.split_once("```").unwrap().0;
    let named: BTreeSet<String> = tree.lines().map(|line| line.split_once('/').unwrap().0.into()).collect();
    let entries = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let there: BTreeSet<String> = names.filter(|name| !is_output(name)).collect();
    let missing = there.difference(&named).map(|name| format!("README.md does not name the folder {name}/"));
    let gone = named.difference(&there).map(|name| format!("README.md names {name}/, which is not there"));
    none(&missing.chain(gone).collect::<Vec<_>>());
}

/// The anchors of a document's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let words = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.collect::<String>().replace(' ', "-"))
    };
    text.lines().filter_map(heading).collect()
}

#[test]
fn every_config_key_is_in_the_page_on_run_folders() {
    let page = read(&root().join("docs/run-folder.md"));
    let mut missing = BTreeSet::new();
    for model in ModelConfig::NAMES {
        for method in Method::ALL.iter().map(|method| method.name()) {
            let sets = [format!("model.name={model}"), format!("intervention.method={method}")];
            let layers: Vec<_> = sets.iter().map(|set| parse_set(set).unwrap()).collect();
            let mut config = Config::resolve(&layers).unwrap();
            config.model = config.model.naming_every_key();
            let table: toml::Table = config.to_toml().parse().unwrap();
            collect(&table, &page, &mut missing);
        }
    }
    none(&missing.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_key_of_an_agent_is_in_the_page_on_agents() {
    let page = read(&root().join("docs/agents.md")) + &read(&root().join("docs/run-folder.md"));
    let mut missing = BTreeSet::new();
    for task in ["true", "catch", "chain"] {
        let sets = [format!("environment.task={task}"), "agent.n_step=2".into()];
        let layers: Vec<_> = sets.iter().map(|set| parse_set(set).unwrap()).collect();
        let table = AgentConfig::resolve(&layers).unwrap().to_toml().parse().unwrap();
        collect(&table, &page, &mut missing);
    }
    none(&missing.into_iter().collect::<Vec<_>>());
}

fn collect(table: &toml::Table, page: &str, missing: &mut BTreeSet<String>) {
    for (key, value) in table {
        if !page.contains(&format!("`{key}`")) && !page.contains(&format!("{key}]`")) {
            missing.insert(format!("docs/run-folder.md does not name `{key}`"));
        }
        if let toml::Value::Table(inner) = value {
            collect(inner, page, missing);
        }
    }
}

#[test]
fn every_method_has_a_page_and_is_named_where_methods_are_listed() {
    let mut missing = Vec::new();
    for method in Method::ALL.iter().map(|method| method.name()) {
        if !root().join(format!("docs/methods/{method}.md")).exists() {
            missing.push(format!("docs/methods/{method}.md is not there"));
        }
        for list in ["README.md", "docs/methods/README.md", "CHANGELOG.md"] {
            if !read(&root().join(list)).contains(&format!("`{method}`"))
                && !read(&root().join(list)).contains(&format!("[{method}]"))
            {
                missing.push(format!("{list} does not name `{method}`"));
            }
        }
    }
    none(&missing);
}

#[test]
fn the_changelog_and_the_readme_name_every_command() {
    let mut missing = Vec::new();
    for command in experiments::cli::commands() {
        let readme = read(&root().join("README.md"));
        if !readme.contains(&format!("`ht {command}`")) {
            missing.push(format!("README.md does not name `ht {command}`"));
        }
        let changelog = read(&root().join("CHANGELOG.md"));
        if !changelog.contains(&format!("`ht {command}`")) && !changelog.contains(&format!("`{command}`")) {
            missing.push(format!("CHANGELOG.md does not name `{command}`"));
        }
    }
    none(&missing);
}
