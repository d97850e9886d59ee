//! Grids of accuracies as heat maps.

use super::svg::{Color, Font, Stroke, Svg, text_width};

/// Width and least height.
const CELL: (f64, f64) = (66.0, 40.0);
const GAP: f64 = 34.0;
const WIDTH: f64 = 1150.0;
const SCALE: f64 = 14.0;

/// Ten colours of viridis (Smith and van der Walt 2015), from low to high: even steps of lightness for any colour vision.
const VIRIDIS: [[u8; 3]; 10] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [109, 205, 89],
    [180, 222, 44],
    [253, 231, 37],
];

/// The value in a cell, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) mean: f64,
    pub(crate) std: Option<f64>,
}

/// One grid.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    /// By row and column.
    pub(crate) cells: Vec<Vec<Option<Value>>>,
}

/// Grids with the same rows, columns and colours.
#[derive(Debug)]
pub(crate) struct HeatMap {
    pub(crate) title: String,
    pub(crate) panels: Vec<Panel>,
    /// Name and labels from top to bottom.
    pub(crate) rows: (String, Vec<String>),
    /// Name and labels from left to right.
    pub(crate) columns: (String, Vec<String>),
    /// What the cells say, with its unit.
    pub(crate) quantity: String,
}

/// The colour at a share from 0 to 1 of the scale, and whether white is to be written on it.
fn color(share: f64) -> ([u8; 3], bool) {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (at.floor() as usize).min(VIRIDIS.len() - 2);
    let part = at - below as f64;
    let mix = |c: usize| {
        (f64::from(VIRIDIS[below][c]) * (1.0 - part) + f64::from(VIRIDIS[below + 1][c]) * part).round() as u8
    };
    let rgb = [mix(0), mix(1), mix(2)];
    // Relative luminance as of Rec. 709, without its gamma: enough to choose between black and white.
    let luminance = 0.2126 * f64::from(rgb[0]) + 0.7152 * f64::from(rgb[1]) + 0.0722 * f64::from(rgb[2]);
    (rgb, luminance < 125.0)
}

impl HeatMap {
    pub(crate) fn draw(&self) -> Svg {
        let labels = self.rows.1.iter().map(|label| text_width(label, 12.0)).fold(0.0, f64::max);
        let beside = 34.0 + labels + 10.0;
        // The name of few rows may be longer than they are high.
        let cell = CELL.1.max((text_width(&self.rows.0, 13.0) + 10.0) / self.rows.1.len().max(1) as f64);
        let size = (beside + self.columns.1.len() as f64 * CELL.0, self.rows.1.len() as f64 * cell);
        let across =
            (((WIDTH - 110.0 + GAP) / (size.0 + GAP)).floor() as usize).clamp(1, self.panels.len().max(1));
        let down = self.panels.len().div_ceil(across);
        let panel = (size.0 + GAP, size.1 + 100.0);
        let width = (across as f64 * panel.0 + 100.0).max(560.0);
        let top = Svg::new(width, 0.0).title(&self.title, 20.0) + 8.0;
        let mut svg = Svg::new(width, top + down as f64 * panel.1);
        svg.title(&self.title, 20.0);

        let values = || self.panels.iter().flat_map(|panel| panel.cells.iter().flatten().flatten());
        let low = values().map(|value| value.mean).fold(f64::INFINITY, f64::min);
        let high = values().map(|value| value.mean).fold(f64::NEG_INFINITY, f64::max);
        // Equal values are the middle of the scale.
        let share = |value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
        for (index, grid) in self.panels.iter().enumerate() {
            let (left, above) = ((index % across) as f64 * panel.0, top + (index / across) as f64 * panel.1);
            self.grid(&mut svg, grid, (left, above), (beside, cell), share);
        }
        if low.is_finite() {
            let left = across as f64 * panel.0 + 10.0;
            scale(&mut svg, (left, top + 30.0), size.1.max(120.0), (low, high), &self.quantity);
        }
        svg
    }

    fn grid(
        &self,
        svg: &mut Svg,
        panel: &Panel,
        (left, top): (f64, f64),
        (beside, cell): (f64, f64),
        share: impl Fn(f64) -> f64,
    ) {
        let (x0, y0) = (left + beside, top + 30.0);
        let (columns, rows) = (self.columns.1.len() as f64, self.rows.1.len() as f64);
        let (right, bottom) = (x0 + columns * CELL.0, y0 + rows * cell);
        svg.text(&panel.title, (x0, top + 14.0), Font::left(13.0, Color::Ink).bold());
        for (row, label) in self.rows.1.iter().enumerate() {
            let y = y0 + (row as f64 + 0.5) * cell;
            svg.text(label, (x0 - 8.0, y), Font::right(12.0, Color::Ink));
            for (column, content) in panel.cells.get(row).into_iter().flatten().enumerate() {
                let x = x0 + column as f64 * CELL.0;
                let middle = x + CELL.0 / 2.0;
                let Some(value) = content else {
                    svg.text("–", (middle, y), Font::center(12.0, Color::Muted));
                    continue;
                };
                let (rgb, dark) = color(share(value.mean));
                svg.rectangle(
                    (x + 0.5, y - cell / 2.0 + 0.5),
                    (x + CELL.0 - 0.5, y + cell / 2.0 - 0.5),
                    Color::Fixed(rgb),
                    1.0,
                );
                let ink = Color::Fixed(if dark { [255; 3] } else { [0; 3] });
                let lift = if value.std.is_some() { 7.0 } else { 0.0 };
                svg.text(&format!("{:.2}", value.mean), (middle, y - lift), Font::center(13.0, ink));
                if let Some(std) = value.std {
                    svg.text(&format!("± {std:.2}"), (middle, y + 8.0), Font::center(10.5, ink));
                }
            }
        }
        for (column, label) in self.columns.1.iter().enumerate() {
            svg.text(
                label,
                (x0 + (column as f64 + 0.5) * CELL.0, bottom + 15.0),
                Font::center(12.0, Color::Ink),
            );
        }
        svg.text(&self.columns.0, ((x0 + right) / 2.0, bottom + 38.0), Font::center(13.0, Color::Ink));
        svg.text(&self.rows.0, (left + 14.0, (y0 + bottom) / 2.0), Font::center(13.0, Color::Ink).upwards());
    }
}

/// A bar of all colours with their values.
fn scale(svg: &mut Svg, (left, top): (f64, f64), height: f64, (low, high): (f64, f64), quantity: &str) {
    const PARTS: usize = 40;
    let bottom = top + height;
    for part in 0..PARTS {
        let y = |part: usize| bottom - height * part as f64 / PARTS as f64;
        let (rgb, _) = color((part as f64 + 0.5) / PARTS as f64);
        svg.rectangle((left, y(part + 1)), (left + SCALE, y(part)), Color::Fixed(rgb), 1.0);
    }
    let edge = Stroke::solid(Color::Ink, 1.0);
    let right = left + SCALE;
    svg.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], edge);
    let ticks: &[f64] = if high > low { &[0.0, 0.5, 1.0] } else { &[0.5] };
    for share in ticks {
        let y = bottom - height * share;
        svg.line(&[(right, y), (right + 4.0, y)], edge);
        svg.text(
            &format!("{:.2}", low + (high - low) * share),
            (right + 8.0, y),
            Font::left(12.0, Color::Ink),
        );
    }
    svg.text(quantity, (right + 58.0, (top + bottom) / 2.0), Font::center(12.0, Color::Muted).upwards());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_run_from_dark_to_light() {
        assert_eq!((color(-1.0), color(0.0)), (([68, 1, 84], true), ([68, 1, 84], true)));
        assert_eq!((color(1.0), color(2.0)), (([253, 231, 37], false), ([253, 231, 37], false)));
        assert_eq!(color(0.5 / 9.0).0, [70, 21, 102]);
    }
}
