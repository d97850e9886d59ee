//! Final accuracies of methods as bars.

use super::axis::Axis;
use super::svg::{Color, Font, Stroke, Svg, text_width, wrap};

/// The plotting area.
const LEFT: f64 = 290.0;
const RIGHT: f64 = 850.0;
const WIDTH: f64 = 1150.0;
/// Characters of a label that fit left of the plotting area.
const LABEL_CHARACTERS: usize = 40;
const LEADING: f64 = 15.0;
const LEAST_ROW: f64 = 34.0;
const REFERENCE: Stroke = Stroke { color: Color::Muted, width: 1.2, dash: Some((5.0, 4.0)) };

/// One bar; everything in percent.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// Which of [`Bars::families`] it belongs to.
    pub(crate) family: usize,
    pub(crate) mean: f64,
    /// The whisker to both sides.
    pub(crate) std: Option<f64>,
    /// A dot each.
    pub(crate) seeds: Vec<f64>,
    pub(crate) published: Option<f64>,
}

/// Bars from top to bottom.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
    /// Names and colours for the legend.
    pub(crate) families: Vec<(&'static str, Color)>,
    /// Whether the published numbers have marks, and the axis has room for them.
    pub(crate) marks: bool,
    /// Dashed lines over all bars, with their names.
    pub(crate) references: Vec<(f64, String)>,
}

impl Bars {
    pub(crate) fn draw(&self) -> Svg {
        let labels: Vec<Vec<String>> =
            self.bars.iter().map(|bar| wrap(&bar.label, LABEL_CHARACTERS)).collect();
        let row = |lines: &Vec<String>| (lines.len() as f64 * LEADING + 12.0).max(LEAST_ROW);
        let titled = Svg::new(WIDTH, 0.0).title(&self.title, 20.0);
        let top = titled + 14.0 + 16.0 * self.references.len() as f64;
        let bottom = top + labels.iter().map(row).sum::<f64>();

        let ends = self
            .bars
            .iter()
            .flat_map(|bar| [bar.mean - bar.std.unwrap_or(0.0), bar.mean + bar.std.unwrap_or(0.0)]);
        let published = self.bars.iter().filter_map(|bar| bar.published.filter(|_| self.marks));
        let values: Vec<f64> =
            ends.chain(published).chain(self.bars.iter().flat_map(|bar| bar.seeds.clone())).collect();
        // A little more to the left, so that the shortest bar has a length.
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let values = values.into_iter().chain([low - (high - low) * 0.15 - 0.05]);
        let x = Axis::percent(values, 8.0, (LEFT, RIGHT));

        let mut svg = Svg::new(WIDTH, bottom + 88.0);
        svg.title(&self.title, 20.0);
        for (value, label) in &x.ticks {
            let at = x.pixel(*value);
            svg.line(&[(at, top), (at, bottom)], Stroke::solid(Color::Grid, 1.0));
            svg.line(&[(at, bottom), (at, bottom + 5.0)], Stroke::solid(Color::Ink, 1.0));
            svg.text(label, (at, bottom + 16.0), Font::center(12.0, Color::Ink));
        }
        let mut above = top;
        for (bar, lines) in self.bars.iter().zip(&labels) {
            let height = row(lines);
            self.row(&mut svg, &x, bar, lines, above + height / 2.0);
            above += height;
        }
        for (index, (value, name)) in self.references.iter().enumerate() {
            let at = x.pixel(*value);
            let height = top - 8.0 - 16.0 * index as f64;
            svg.line(&[(at, height), (at, bottom)], REFERENCE);
            // To the side where there is room.
            if at + text_width(name, 12.0) > RIGHT {
                svg.text(name, (at - 5.0, height), Font::right(12.0, Color::Muted));
            } else {
                svg.text(name, (at + 5.0, height), Font::left(12.0, Color::Muted));
            }
        }
        svg.line(&[(LEFT, top), (LEFT, bottom), (RIGHT, bottom)], Stroke::solid(Color::Ink, 1.0));
        let title = match x.low {
            low if low > 0.0 => {
                format!("test accuracy [%]; the axis begins at {}", (low * 1e6).round() / 1e6)
            }
            _ => "test accuracy [%]".to_string(),
        };
        svg.text(&title, ((LEFT + RIGHT) / 2.0, bottom + 38.0), Font::center(13.0, Color::Ink));
        self.legend(&mut svg, bottom + 66.0);
        svg
    }

    fn row(&self, svg: &mut Svg, x: &Axis, bar: &Bar, label: &[String], middle: f64) {
        let color = self.families[bar.family].1;
        for (line, text) in label.iter().enumerate() {
            let y = middle + (line as f64 - (label.len() - 1) as f64 / 2.0) * LEADING;
            svg.text(text, (LEFT - 12.0, y), Font::right(12.0, Color::Ink));
        }
        svg.rectangle((LEFT, middle - 10.0), (x.pixel(bar.mean), middle + 10.0), color, 0.55);
        for (index, &value) in bar.seeds.iter().enumerate() {
            // Three heights, so that equal seeds stay apart.
            let y = middle + (index % 3) as f64 * 5.0 - 5.0;
            svg.dot((x.pixel(value), y), 2.6, Color::Ink, 0.5);
        }
        if let Some(std) = bar.std {
            let ends = [bar.mean - std, bar.mean + std].map(|end| x.pixel(end.clamp(0.0, 100.0)));
            svg.line(&[(ends[0], middle), (ends[1], middle)], Stroke::solid(Color::Ink, 1.4));
            for end in ends {
                svg.line(&[(end, middle - 5.0), (end, middle + 5.0)], Stroke::solid(Color::Ink, 1.4));
            }
        }
        let spread = bar.std.map(|std| format!(" ± {std:.2}")).unwrap_or_default();
        let text = format!("{:.2}{spread} (n = {})", bar.mean, bar.seeds.len());
        svg.text(&text, (RIGHT + 12.0, middle), Font::left(12.0, Color::Ink));
        if let Some(published) = bar.published {
            if self.marks {
                svg.diamond((x.pixel(published), middle), 5.0, Color::Ink);
            }
            svg.text(
                &format!("paper {published:.1}"),
                (RIGHT + 160.0, middle),
                Font::left(12.0, Color::Muted),
            );
        }
    }

    fn legend(&self, svg: &mut Svg, y: f64) {
        let font = Font::left(12.0, Color::Muted);
        let mut x = 20.0;
        for (index, (name, color)) in self.families.iter().enumerate() {
            if self.bars.iter().any(|bar| bar.family == index) {
                svg.rectangle((x, y - 6.0), (x + 14.0, y + 6.0), *color, 0.55);
                svg.text(name, (x + 20.0, y), font);
                x += 44.0 + text_width(name, 12.0);
            }
        }
        if self.bars.iter().any(|bar| bar.seeds.len() > 1) {
            svg.dot((x + 5.0, y), 2.6, Color::Ink, 0.5);
            svg.text("one seed", (x + 14.0, y), font);
            x += 90.0;
            svg.line(&[(x, y), (x + 18.0, y)], Stroke::solid(Color::Ink, 1.4));
            svg.line(&[(x, y - 5.0), (x, y + 5.0)], Stroke::solid(Color::Ink, 1.4));
            svg.line(&[(x + 18.0, y - 5.0), (x + 18.0, y + 5.0)], Stroke::solid(Color::Ink, 1.4));
            let text = "± sample std over seeds";
            svg.text(text, (x + 24.0, y), font);
            x += 48.0 + text_width(text, 12.0);
        }
        if self.marks && self.bars.iter().any(|bar| bar.published.is_some()) {
            svg.diamond((x + 5.0, y), 5.0, Color::Ink);
            svg.text("paper", (x + 16.0, y), font);
        }
    }
}
