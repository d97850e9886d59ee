//! What a report shows, one file for each kind of section. Each is there if the runs have something for it.

pub(crate) mod agents;
pub(crate) mod continual;
pub(crate) mod curvature;
pub(crate) mod curves;
mod figures;
pub(crate) mod grids;
pub(crate) mod indicators;
pub(crate) mod memorisation;
pub(crate) mod methods;
pub(crate) mod not_read;
pub(crate) mod plasticity;
pub(crate) mod provenance;
pub(crate) mod results;
pub(crate) mod sweeps;

use super::Family;
use super::entry::Column;
use super::output::{Cell, Kind, Section};
use super::plots::svg::Color;
use super::settings::Class;

/// Names and colours of the families of methods; the first three of the methods are the paper's green, red and blue.
pub(crate) const FAMILIES: [(Class, &str, Color); 6] = [
    (Class::Baseline, "baseline", Color::Muted),
    (Class::Of(Family::Generalisation), "generalisation", Color::Series(3)),
    (Class::Of(Family::Trainability), "trainability", Color::Series(1)),
    (Class::Of(Family::Reinitialisation), "re-initialisation", Color::Series(2)),
    (Class::Of(Family::Averaging), "averaging", Color::Series(4)),
    (Class::Combination, "combination", Color::Series(5)),
];

const POINTS: Kind = Kind::Summary { decimals: 2 };
const DIFFERENCE: Kind = Kind::Number { decimals: 2, signed: true };

/// A section, if it has anything in it.
fn section(title: &str, intro: &str, blocks: Vec<super::output::Block>) -> Option<Section> {
    (!blocks.is_empty()).then(|| Section { title: title.to_string(), intro: intro.to_string(), blocks })
}

/// Which of the configurations of a method is shown, in words.
fn chosen(column: &Column<'_>) -> Cell {
    Cell::Text(match column.of {
        1 => String::new(),
        of => format!("{} (best of {of})", column.with),
    })
}

/// Names of the methods of which runs are still missing.
fn unfinished(columns: &[Column<'_>]) -> String {
    let missing = |column: &&Column<'_>| !column.best.unfinished.is_empty();
    let words = |column: &Column<'_>| {
        let (finished, all) =
            (column.best.finished.len(), column.best.finished.len() + column.best.unfinished.len());
        format!("{} ({finished} of {all} runs finished)", column.name)
    };
    let list: Vec<String> = columns.iter().filter(missing).map(words).collect();
    if list.is_empty() { String::new() } else { format!("Not finished: {}.", list.join(", ")) }
}

/// A text as part of a file's name.
fn stem(parts: &[&str]) -> String {
    let mut stem = String::new();
    for character in parts.join("-").to_lowercase().chars() {
        let plain =
            if character.is_ascii_alphanumeric() || ".=".contains(character) { character } else { '-' };
        if plain != '-' || !stem.ends_with('-') {
            stem.push(plain);
        }
    }
    stem.trim_matches('-').to_string()
}
