//! The report as GitHub-flavoured Markdown, with its figures as files.

use super::{Block, Section, Sheet};
use crate::text::plain;
use std::fmt::Write;

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in plain(text).chars() {
        if "\\|*<_`".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The whole report.
pub(crate) fn markdown(title: &str, summary: &str, sections: &[Section]) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(title), escape(summary));
    for section in sections {
        let _ = write!(text, "\n## {}\n\n{}\n", escape(&section.title), escape(&section.intro));
        for block in &section.blocks {
            add(&mut text, block);
        }
    }
    text
}

fn add(text: &mut String, block: &Block) {
    if !block.title.is_empty() {
        let _ = write!(text, "\n### {}\n", escape(&block.title));
    }
    for paragraph in &block.paragraphs {
        let _ = write!(text, "\n{}\n", escape(paragraph));
    }
    for figure in &block.figures {
        let caption = escape(&figure.caption);
        let _ = write!(text, "\n![{caption}](figures/{}.svg)\n\n{caption}\n", figure.stem);
    }
    for sheet in &block.sheets {
        let _ = write!(text, "\n{}\n\n{}", escape(&sheet.caption), table(sheet));
    }
    for (title, lines) in &block.lists {
        let _ = write!(text, "\n{}:\n\n", escape(title));
        for line in lines {
            let _ = writeln!(text, "- {}", escape(line));
        }
    }
}

fn table(sheet: &Sheet) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(sheet.columns.iter().map(|column| escape(&column.heading)).collect());
    text.push_str(&row(sheet
        .columns
        .iter()
        .map(|c| if c.is_right() { "--:" } else { "---" }.to_string())
        .collect()));
    for cells in &sheet.rows {
        text.push_str(&row(sheet
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| escape(&column.show(cell)))
            .collect()));
    }
    text
}
