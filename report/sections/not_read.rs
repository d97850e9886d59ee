//! What was left out because it could not be read.

use crate::NotRead;
use crate::output::{Block, Section};
use crate::text::plain;
use std::path::PathBuf;

const INTRO: &str = "Whatever could not be read is left out here, and hides nothing else. Repair or remove it, and make the \
    report again.";
const FOREIGN: &str = "Folders with a config.toml that is not that of a run, left out";

/// What was found beside the runs.
pub(crate) struct LeftOut<'a> {
    pub(crate) not_read: &'a [NotRead],
    /// Folders, and why their config is not that of a run.
    pub(crate) foreign: &'a [(PathBuf, String)],
}

impl LeftOut<'_> {
    fn foreign(&self) -> Vec<String> {
        self.foreign.iter().map(|(path, reason)| plain(&format!("{}: {reason}", path.display()))).collect()
    }

    /// The section, if something was left out.
    pub(crate) fn make(&self) -> Option<Section> {
        let not_read = self.not_read.iter().map(ToString::to_string).collect();
        let mut lists = vec![
            ("Files and folders that could not be read".to_string(), not_read),
            (FOREIGN.to_string(), self.foreign()),
        ];
        lists.retain(|(_, lines): &(String, Vec<String>)| !lines.is_empty());
        let blocks = if lists.is_empty() { vec![] } else { vec![Block { lists, ..Block::default() }] };
        super::section("Not read", INTRO, blocks)
    }

    /// For a terminal the folders of others only: what was not read is the caller's to say, beside the report.
    pub(crate) fn text(&self) -> String {
        let lines: String = self.foreign().iter().map(|line| format!("  {line}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{FOREIGN}:\n{lines}") }
    }
}
