//! Lines with bands: learning curves, and sweeps of one key.

use super::axis::Axis;
use super::svg::{Color, Font, Stroke, Svg, wrap};
use std::collections::BTreeSet;

/// The plotting area: left and right edge and the least height.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 776.0;
const LEAST_HEIGHT: f64 = 400.0;
const BELOW: f64 = 62.0;
/// The legend: left edge of its lines and of its text, and how much of that fits.
const LEGEND: f64 = 796.0;
const LEGEND_TEXT: f64 = 836.0;
const LEGEND_CHARACTERS: usize = 44;
const LEGEND_SIZE: f64 = 12.0;
const LEGEND_LEADING: f64 = 15.0;
const LEGEND_GAP: f64 = 7.0;
const WIDTH: f64 = 1150.0;
const OPACITY_OF_BANDS: f64 = 0.16;
const BOUNDARY: Stroke = Stroke { color: Color::Muted, width: 1.0, dash: Some((3.0, 3.0)) };

/// A point of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) mean: f64,
    /// Half the height of the band.
    pub(crate) std: Option<f64>,
    /// Whether the y axis has to show it.
    pub(crate) shown: bool,
}

/// A line and what the legend says of it.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// In grey under the label.
    pub(crate) detail: String,
    pub(crate) points: Vec<Point>,
}

/// The x axis.
#[derive(Debug)]
pub(crate) enum Horizontal {
    /// How many of these.
    Counted(&'static str),
    /// Any number of this.
    Number(&'static str),
    /// A name and its values, in equal distances: the points lie at 0, 1, 2, ...
    Labels(String, Vec<String>),
}

/// The y axis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vertical {
    /// Shares of this in percent, 0 and 100 being where they are.
    Percent(&'static str),
    /// Any number of this.
    Number(&'static str),
}

/// Something against something, test accuracy against training steps for one.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) vertical: Vertical,
    pub(crate) horizontal: Horizontal,
    pub(crate) series: Vec<Series>,
    /// Steps at which a phase ended.
    pub(crate) boundaries: BTreeSet<u64>,
}

impl Lines {
    /// The y axis fits the points that it has to show; lines are cut off where they leave it.
    pub(crate) fn draw(&self) -> Svg {
        let entries: Vec<Vec<String>> =
            self.series.iter().map(|series| wrap(&series.label, LEGEND_CHARACTERS)).collect();
        let lines: usize = entries.iter().map(|lines| lines.len() + 1).sum();
        let legend = lines as f64 * LEGEND_LEADING + (entries.len() + 3) as f64 * (LEGEND_GAP + 2.0) + 40.0;
        let titled = Svg::new(WIDTH, 0.0).title(&self.title, LEFT);
        let (top, bottom) = (titled + 12.0, titled + 12.0 + legend.max(LEAST_HEIGHT));
        let mut svg = Svg::new(WIDTH, bottom + BELOW);
        svg.title(&self.title, LEFT);

        let all = || self.series.iter().flat_map(|series| &series.points);
        let any_shown = all().any(|point| point.shown);
        let limits = all().filter(|point| point.shown || !any_shown).flat_map(|point| {
            let std = point.std.unwrap_or(0.0);
            [point.mean - std, point.mean + std]
        });
        let (y, y_title) = match self.vertical {
            Vertical::Percent(title) => (Axis::percent(limits, 10.0, (bottom, top)), title),
            Vertical::Number(title) => (Axis::around(limits, 10.0, (bottom, top)), title),
        };
        let (x, x_title) = match &self.horizontal {
            Horizontal::Counted(title) => {
                (Axis::steps(all().map(|point| point.x), 7.0, (LEFT, RIGHT)), *title)
            }
            Horizontal::Number(title) => {
                (Axis::around(all().map(|point| point.x), 7.0, (LEFT, RIGHT)), *title)
            }
            Horizontal::Labels(title, labels) => (Axis::labels(labels, (LEFT, RIGHT)), title.as_str()),
        };
        frame(&mut svg, &x, &y, (top, bottom), (x_title, y_title));
        for &step in &self.boundaries {
            let x = x.pixel(step as f64);
            svg.line(&[(x, top), (x, bottom)], BOUNDARY);
        }
        let traces: Vec<Vec<Point>> = self.series.iter().map(|series| thin(&series.points, &x)).collect();
        svg.clipped((LEFT, top), (RIGHT, bottom), |svg| {
            for (index, points) in traces.iter().enumerate() {
                let side = |sign: f64| {
                    let height = move |point: &Point| point.mean + sign * point.std.unwrap_or(0.0);
                    points.iter().map(move |point| (point.x, height(point)))
                };
                if points.iter().any(|point| point.std.is_some()) {
                    let outline = side(1.0).chain(side(-1.0).rev());
                    let outline: Vec<_> = outline.map(|(at, value)| (x.pixel(at), y.pixel(value))).collect();
                    svg.area(&outline, Color::Series(index), OPACITY_OF_BANDS);
                }
            }
            // Above all bands, so that no band hides a line.
            for (index, points) in traces.iter().enumerate() {
                let line: Vec<_> =
                    points.iter().map(|point| (x.pixel(point.x), y.pixel(point.mean))).collect();
                svg.line(&line, Stroke::of_series(index));
                if matches!(self.horizontal, Horizontal::Labels(..)) || line.len() == 1 {
                    line.iter().for_each(|&at| svg.mark(at, index));
                }
            }
        });
        self.legend(&mut svg, &entries, top);
        svg
    }

    fn legend(&self, svg: &mut Svg, entries: &[Vec<String>], top: f64) {
        let right = LEGEND_TEXT - 8.0;
        let mut y = top + LEGEND_LEADING / 2.0;
        for (index, (series, lines)) in self.series.iter().zip(entries).enumerate() {
            svg.line(&[(LEGEND, y), (right, y)], Stroke::of_series(index));
            for line in lines {
                svg.text(line, (LEGEND_TEXT, y), Font::left(LEGEND_SIZE, Color::Ink));
                y += LEGEND_LEADING;
            }
            svg.text(&series.detail, (LEGEND_TEXT, y), Font::left(LEGEND_SIZE, Color::Muted));
            y += LEGEND_LEADING + LEGEND_GAP;
        }
        let note = Font::left(LEGEND_SIZE, Color::Muted);
        y += LEGEND_GAP;
        if self.series.iter().flat_map(|series| &series.points).any(|point| point.std.is_some()) {
            svg.rectangle((LEGEND, y - 5.0), (right, y + 5.0), Color::Muted, 0.3);
            svg.text("mean ± sample standard deviation", (LEGEND_TEXT, y), note);
            y += LEGEND_LEADING + LEGEND_GAP;
        }
        if !self.boundaries.is_empty() {
            let middle = (LEGEND + right) / 2.0;
            svg.line(&[(middle, y - 8.0), (middle, y + 8.0)], BOUNDARY);
            svg.text("end of a phase", (LEGEND_TEXT, y), note);
        }
    }
}

/// Grid, frame, ticks and axis titles.
fn frame(svg: &mut Svg, x: &Axis, y: &Axis, (top, bottom): (f64, f64), (x_title, y_title): (&str, &str)) {
    for (value, label) in &y.ticks {
        let at = y.pixel(*value);
        svg.line(&[(LEFT, at), (RIGHT, at)], Stroke::solid(Color::Grid, 1.0));
        svg.text(label, (LEFT - 8.0, at), Font::right(12.0, Color::Ink));
    }
    for (value, label) in &x.ticks {
        let at = x.pixel(*value);
        svg.line(&[(at, top), (at, bottom)], Stroke::solid(Color::Grid, 1.0));
        svg.line(&[(at, bottom), (at, bottom + 5.0)], Stroke::solid(Color::Ink, 1.0));
        svg.text(label, (at, bottom + 16.0), Font::center(12.0, Color::Ink));
    }
    svg.line(&[(LEFT, top), (LEFT, bottom), (RIGHT, bottom)], Stroke::solid(Color::Ink, 1.0));
    svg.text(x_title, ((LEFT + RIGHT) / 2.0, bottom + 42.0), Font::center(13.0, Color::Ink));
    svg.text(y_title, (22.0, (top + bottom) / 2.0), Font::center(13.0, Color::Ink).upwards());
}

/// The points that a viewer can tell apart: where more than two fall on one pixel column, its first, lowest, highest and
/// last one stay. They look the same and keep the file small.
fn thin(points: &[Point], x: &Axis) -> Vec<Point> {
    let mut thinned = Vec::new();
    for column in points.chunk_by(|a, b| x.pixel(a.x).floor() == x.pixel(b.x).floor()) {
        let by_height = |a: &usize, b: &usize| column[*a].mean.total_cmp(&column[*b].mean);
        let lowest = (0..column.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..column.len()).max_by(by_height).unwrap_or(0);
        let kept = BTreeSet::from([0, lowest, highest, column.len() - 1]);
        thinned.extend(kept.into_iter().map(|index| column[index]));
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_column_keeps_its_extremes() {
        let axis = Axis::steps([0.0, 700.0].into_iter(), 7.0, (0.0, 7.0));
        let at = |x: f64, mean: f64| Point { x, mean, std: None, shown: true };
        let points = [
            at(0.0, 1.0),
            at(10.0, 5.0),
            at(20.0, 3.0),
            at(30.0, 2.0),
            at(40.0, 0.5),
            at(50.0, 2.0),
            at(150.0, 9.0),
        ];
        let kept: Vec<f64> = thin(&points, &axis).iter().map(|point| point.x).collect();
        assert_eq!(kept, [0.0, 10.0, 40.0, 50.0, 150.0]);
    }
}
