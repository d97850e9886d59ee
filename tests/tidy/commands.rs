//! Command lines in documents are command lines of this program.

use super::{files, none, read, root, short};

/// The commands of a document: lines of its code blocks, and code within its text, that begin with `ht` or `cargo run`.
///
/// Each with its line, and whether it stands in a block, where it is meant to be typed as it is.
fn commands(text: &str) -> Vec<(usize, bool, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    let mut continued = String::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code ^= true;
            continue;
        }
        if in_code {
            let line = line.trim_start().trim_start_matches("$ ");
            continued.push_str(line.trim_end_matches('\\'));
            if line.ends_with('\\') {
                continue;
            }
            found.push((index + 1, true, std::mem::take(&mut continued)));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (index + 1, false, code.to_string())));
        }
    }
    found
}

/// The words of `ht` in a shell's line, up to where the line is no longer its own.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next().unwrap().split(" | ").next().unwrap().split(" > ").next().unwrap();
    let line = line.split(" && ").next().unwrap().trim().trim_end_matches([';', ':']);
    let line = match line.strip_prefix("cargo run --release -- ") {
        Some(rest) => format!("ht {rest}"),
        None => line.to_string(),
    };
    let words: Vec<String> =
        line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_string()).collect();
    let mut words =
        words.into_iter().skip_while(|word| word.contains('=') && !word.starts_with('-')).peekable();
    words.peek().is_some_and(|word| word == "ht" || word.ends_with("/ht")).then(|| words.collect())
}

#[test]
fn command_lines_in_documents_are_valid() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files(".md") {
        // Other releases had other options.
        if path.starts_with(root().join("CHANGELOG.md")) {
            continue;
        }
        for (line, complete, text) in commands(&read(&path)) {
            let Some(words) = words(&text) else { continue };
            // `ht help run`, `ht ...`, `ht COMMAND`: words about words.
            let is_pattern =
                words.iter().any(|word| word.contains("...") || word.contains('…') || word == "COMMAND");
            if words.len() == 1 || is_pattern {
                continue;
            }
            let words: Vec<String> = words.into_iter().map(filled_in).collect();
            seen += 1;
            if let Err(error) = experiments::cli::check(&words, complete) {
                let first = error.lines().next().unwrap_or_default().to_string();
                wrong.push(format!("{}:{line}: {text}: {first}", short(&path)));
            }
        }
    }
    none(&wrong);
    assert!(seen > 50, "{seen} command lines were found");
}

/// Variables and place holders stand for a value: `$seed`, `SEED`, `$SLURM_ARRAY_TASK_ID/8`.
fn filled_in(word: String) -> String {
    let (key, value) = word.rsplit_once('=').map_or(("", word.as_str()), |(key, value)| (key, value));
    let name = value.split('/').next().unwrap();
    let is_name = name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let value =
        if name.starts_with('$') || is_name { value.replacen(name, "1", 1) } else { value.to_string() };
    match (key, value.as_str()) {
        ("", _) => value,
        ("intervention.method", "1") => "intervention.method=ema".into(),
        _ => format!("{key}={value}"),
    }
}

#[test]
fn shells_lines_are_read_as_shells_read_them() {
    let read = |line: &str| words(line).map(|words| words.join(" "));
    assert_eq!(read("HT_ISA=avx2 ht run x --set a=b   # why").unwrap(), "ht run x --set a=b");
    assert_eq!(read("cargo run --release -- demo > log").unwrap(), "ht demo");
    assert_eq!(read("target/release/ht bench mlp | head").unwrap(), "target/release/ht bench mlp");
    assert_eq!(read("cargo test"), None);
    let text = "a `ht run x` b\n```sh\nht step \\\n  --out y\n```\n";
    let all: Vec<String> = commands(text).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(all, ["ht run x", "ht step --out y"]);
}
