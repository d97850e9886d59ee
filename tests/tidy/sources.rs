//! Sizes of files and widths of lines, as CONTRIBUTING.md states them.

use super::{files, none, read, short};

const MOST_LINES: usize = 400;
/// `cargo fmt` keeps code narrower; it leaves comments alone.
const MOST_CHARACTERS: usize = 125;

#[test]
fn files_can_be_read_at_one_sitting() {
    let all = [files(".rs"), files(".wgsl"), files(".toml")].concat();
    let long = |path: &std::path::PathBuf| {
        let lines = read(path).lines().count();
        (lines > MOST_LINES).then(|| format!("{} has {lines} lines, {MOST_LINES} at most", short(path)))
    };
    none(&all.iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn lines_fit_a_window() {
    let mut wide = Vec::new();
    for path in [files(".rs"), files(".wgsl"), files(".toml"), files(".md")].concat() {
        let is_document = path.extension().is_some_and(|ending| ending == "md");
        let mut in_code = false;
        for (index, line) in read(&path).lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            // Tables, links and commands of documents cannot be broken, nor can texts in code.
            let is_comment = line.trim_start().starts_with("//") || line.starts_with('#');
            let unbreakable = match is_document {
                true => in_code || line.starts_with(['|', '!']) || line.contains("](http"),
                false => !is_comment,
            };
            let width = line.chars().count();
            if width > MOST_CHARACTERS && !unbreakable {
                wide.push(format!("{}:{} is {width} characters wide", short(&path), index + 1));
            }
        }
    }
    none(&wide);
}

#[test]
fn contributing_states_these_limits() {
    let text = read(&super::root().join("CONTRIBUTING.md"));
    for limit in [MOST_LINES, MOST_CHARACTERS] {
        assert!(text.contains(&limit.to_string()), "CONTRIBUTING.md does not name {limit}");
    }
}
