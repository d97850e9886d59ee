//! Scatter plots in panels that share their series.

use super::axis::Axis;
use super::svg::{Color, Font, Stroke, Svg, text_width};

const ACROSS: usize = 3;
const WIDTH: f64 = 1150.0;
const PANEL: (f64, f64) = (375.0, 300.0);
/// Left, right, top and bottom margin of the plotting area in a panel.
const MARGIN: (f64, f64, f64, f64) = (66.0, 16.0, 34.0, 56.0);

/// One plot.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_title: String,
    /// x, y in percent, and the index of the series.
    pub(crate) points: Vec<(f64, f64, usize)>,
}

/// Panels of test accuracy against something.
#[derive(Debug)]
pub(crate) struct Scatter {
    pub(crate) title: String,
    pub(crate) panels: Vec<Panel>,
    pub(crate) y_title: String,
    /// Names for the legend.
    pub(crate) series: Vec<String>,
}

impl Scatter {
    pub(crate) fn draw(&self) -> Svg {
        let across = self.panels.len().clamp(1, ACROSS);
        let down = self.panels.len().div_ceil(across);
        let width = (across as f64 * PANEL.0 + 25.0).clamp(560.0, WIDTH);
        let top = Svg::new(width, 0.0).title(&self.title, 20.0);
        let bottom = top + down as f64 * PANEL.1;
        let longest = self.series.iter().map(|name| text_width(name, 12.0)).fold(0.0, f64::max);
        let entry = longest + 40.0;
        let columns = (((width - 40.0) / entry).floor() as usize).max(1);
        let mut svg = Svg::new(width, bottom + 20.0 + self.series.len().div_ceil(columns) as f64 * 20.0);
        svg.title(&self.title, 20.0);
        for (index, panel) in self.panels.iter().enumerate() {
            let at = ((index % across) as f64 * PANEL.0, top + (index / across) as f64 * PANEL.1);
            self.panel(&mut svg, panel, at);
        }
        for (index, name) in self.series.iter().enumerate() {
            let at =
                (30.0 + (index % columns) as f64 * entry, bottom + 14.0 + (index / columns) as f64 * 20.0);
            svg.mark(at, index);
            svg.text(name, (at.0 + 12.0, at.1), Font::left(12.0, Color::Ink));
        }
        svg
    }

    fn panel(&self, svg: &mut Svg, panel: &Panel, (left, top): (f64, f64)) {
        let (x0, x1) = (left + MARGIN.0, left + PANEL.0 - MARGIN.1);
        let (y0, y1) = (top + MARGIN.2, top + PANEL.1 - MARGIN.3);
        let x = Axis::around(panel.points.iter().map(|point| point.0), 5.0, (x0, x1));
        let y = Axis::around(panel.points.iter().map(|point| point.1), 5.0, (y1, y0));
        svg.text(&panel.title, (x0, y0 - 14.0), Font::left(13.0, Color::Ink).bold());
        for (value, label) in &y.ticks {
            let at = y.pixel(*value);
            svg.line(&[(x0, at), (x1, at)], Stroke::solid(Color::Grid, 1.0));
            svg.text(label, (x0 - 6.0, at), Font::right(11.0, Color::Ink));
        }
        for (value, label) in &x.ticks {
            let at = x.pixel(*value);
            svg.line(&[(at, y0), (at, y1)], Stroke::solid(Color::Grid, 1.0));
            svg.line(&[(at, y1), (at, y1 + 4.0)], Stroke::solid(Color::Ink, 1.0));
            svg.text(label, (at, y1 + 14.0), Font::center(11.0, Color::Ink));
        }
        for &(at, value, series) in &panel.points {
            svg.mark((x.pixel(at), y.pixel(value)), series);
        }
        svg.line(&[(x0, y0), (x0, y1), (x1, y1)], Stroke::solid(Color::Ink, 1.0));
        svg.text(&panel.x_title, ((x0 + x1) / 2.0, y1 + 34.0), Font::center(12.0, Color::Ink));
        svg.text(&self.y_title, (left + 14.0, (y0 + y1) / 2.0), Font::center(12.0, Color::Ink).upwards());
    }
}
