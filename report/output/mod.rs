//! Sections of a report, and what they are written as.

mod csv;
mod html;
mod markdown;
mod sheet;

pub(crate) use html::page;
pub(crate) use markdown::markdown;
pub(crate) use sheet::{Cell, Column, Kind, Sheet};

use super::plots::Svg;

/// A chapter of the report.
pub(crate) struct Section {
    pub(crate) title: String,
    /// What it shows, with formulas where they need one.
    pub(crate) intro: String,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) title: String,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) sheets: Vec<Sheet>,
    /// Written as files only.
    pub(crate) data: Vec<Sheet>,
    /// Headed lists under the tables.
    pub(crate) lists: Vec<(String, Vec<String>)>,
}

/// A drawing.
pub(crate) struct Figure {
    /// The file's name without its extension.
    pub(crate) stem: String,
    pub(crate) caption: String,
    pub(crate) svg: Svg,
}
