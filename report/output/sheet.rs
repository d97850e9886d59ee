//! Tables of figures: one description for the terminal, Markdown, CSV and HTML.

use crate::statistics::Summary;
use crate::text::plain;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// What a column holds and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    /// Text to the right, as of mixed figures.
    Figures,
    Count,
    Number {
        decimals: usize,
        signed: bool,
    },
    /// `mean ± std`, in a CSV file two columns.
    Summary {
        decimals: usize,
    },
    /// The same, in a CSV file with a third column for the number of seeds.
    Counted {
        decimals: usize,
    },
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) heading: String,
    /// Its name in a CSV file.
    pub(crate) csv: String,
    pub(crate) kind: Kind,
}

/// The content of a cell, fitting its column's kind.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    Count(usize),
    Number(Option<f64>),
    Summary(Option<Summary>),
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    /// The file's name without its extension.
    pub(crate) stem: String,
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Column {
    pub(crate) fn new(heading: impl Into<String>, csv: impl Into<String>, kind: Kind) -> Column {
        Column { heading: heading.into(), csv: csv.into(), kind }
    }

    /// Figures stand to the right.
    pub(crate) fn is_right(&self) -> bool {
        self.kind != Kind::Text
    }

    /// A cell as people read it; `-` where there is nothing.
    pub(crate) fn show(&self, cell: &Cell) -> String {
        let nothing = || "-".to_string();
        match (cell, self.kind) {
            (Cell::Text(text), _) => text.clone(),
            (Cell::Count(count), _) => count.to_string(),
            (Cell::Number(Some(value)), Kind::Number { decimals, signed: true }) => {
                // A true minus sign is as wide as the plus sign.
                let digits = format!("{:.decimals$}", value.abs());
                let is_zero = digits.chars().all(|digit| "0.".contains(digit));
                let sign = if is_zero {
                    '±'
                } else if *value < 0.0 {
                    '\u{2212}'
                } else {
                    '+'
                };
                format!("{sign}{digits}")
            }
            (Cell::Number(Some(value)), Kind::Number { decimals, .. }) => format!("{value:.decimals$}"),
            (Cell::Summary(Some(summary)), Kind::Summary { decimals } | Kind::Counted { decimals }) => {
                summary.show(decimals)
            }
            _ => nothing(),
        }
    }
}

impl Sheet {
    /// Takes out columns that have nothing in any row, such as those for numbers that the paper does not have.
    pub(crate) fn drop_empty_columns(&mut self) {
        let empty = |cell: &Cell| match cell {
            Cell::Text(text) => text.is_empty(),
            Cell::Number(value) => value.is_none(),
            Cell::Count(_) | Cell::Summary(_) => false,
        };
        for index in (0..self.columns.len()).rev() {
            if self.rows.iter().all(|row| empty(&row[index])) {
                self.columns.remove(index);
                self.rows.iter_mut().for_each(|row| drop(row.remove(index)));
            }
        }
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let rule = || LineStyle::none().fill('-').junction('-');
        let mut table = Table::new();
        table.load_style(TableStyle::new().top_border(rule()).header_separator(rule()).bottom_border(rule()));
        table.set_header(self.columns.iter().map(|column| plain(&column.heading)));
        for row in &self.rows {
            table.add_row(self.columns.iter().zip(row).map(|(column, cell)| plain(&column.show(cell))));
        }
        for (shown, column) in table.column_iter_mut().zip(&self.columns) {
            if column.is_right() {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
