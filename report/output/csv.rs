//! Tables as CSV: unrounded, mean and standard deviation in columns of their own, empty where there is nothing.

use super::{Cell, Kind, Sheet};

impl Sheet {
    /// A line of headings and one for each row.
    pub(crate) fn csv(&self) -> String {
        let mut header = Vec::new();
        for column in &self.columns {
            let name = &column.csv;
            match column.kind {
                Kind::Summary { .. } => header.extend([format!("{name}_mean"), format!("{name}_std")]),
                Kind::Counted { .. } => {
                    header.extend([format!("{name}_mean"), format!("{name}_std"), format!("{name}_seeds")]);
                }
                _ => header.push(name.clone()),
            }
        }
        let mut csv = line(&header);
        for row in &self.rows {
            let mut fields = Vec::new();
            for (column, cell) in self.columns.iter().zip(row) {
                match cell {
                    Cell::Text(text) => fields.push(text.clone()),
                    Cell::Count(count) => fields.push(count.to_string()),
                    Cell::Number(value) => fields.push(show(*value)),
                    Cell::Summary(summary) => {
                        fields.push(show(summary.map(|summary| summary.mean)));
                        fields.push(show(summary.and_then(|summary| summary.std)));
                        if matches!(column.kind, Kind::Counted { .. }) {
                            fields.push(summary.map_or(0, |summary| summary.n).to_string());
                        }
                    }
                }
            }
            csv.push_str(&line(&fields));
        }
        csv
    }
}

fn show(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Joins the fields, in quotes where RFC 4180 asks for them.
fn line(fields: &[String]) -> String {
    let quote = |field: &String| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(quote).collect::<Vec<_>>().join(",") + "\n"
}
