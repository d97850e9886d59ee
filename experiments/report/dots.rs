//! The figure of final accuracies.

use super::axis::Axis;
use super::canvas::{DrawError, Font, GREY, INK, PALE, Stroke, draw_svg, wrap};
use super::group::Group;
use super::plot::{final_text, labels};
use super::read::Run;
use super::table::final_accuracy;

/// The plotting area.
const LEFT: f64 = 350.0;
const RIGHT: f64 = 900.0;
const WIDTH: f64 = 1080.0;
/// Characters of a label that fit left of the plotting area.
const LABEL_CHARACTERS: usize = 46;
const LEADING: f64 = 15.0;
const LEAST_ROW: f64 = 32.0;

/// Final test accuracy in percent: a row for each group with a dot for each seed, a bar at the mean and a
/// whisker of one standard deviation to both sides.
pub(crate) fn final_svg(groups: &[&Group]) -> Result<String, DrawError> {
    let (labels, shared) = labels(groups);
    let labels: Vec<Vec<String>> = labels.iter().map(|label| wrap(label, LABEL_CHARACTERS)).collect();
    let row = |lines: &Vec<String>| (lines.len() as f64 * LEADING + 10.0).max(LEAST_ROW);
    let title = match shared.as_str() {
        "" => "Final test accuracy".to_string(),
        _ => format!("Final test accuracy: {shared}"),
    };
    let title = wrap(&title, 105);
    let top = 52.0 + (title.len() - 1) as f64 * 20.0;
    let bottom = top + labels.iter().map(row).sum::<f64>();

    let accuracy = |run: &Run| Some(run.result.as_ref()?.test_accuracy? * 100.0);
    let seeds = groups.iter().flat_map(|group| group.finished.iter().filter_map(accuracy));
    let spans = groups.iter().filter_map(|group| Some(<[f64; 2]>::from(final_accuracy(group)?.interval())));
    let x = Axis::percent(seeds.chain(spans.flatten()), 7.0, (LEFT + 8.0, RIGHT - 8.0));

    draw_svg((WIDTH, bottom + 84.0), |canvas| {
        for (index, line) in title.iter().enumerate() {
            let font = Font { bold: true, ..Font::left(16.0, INK) };
            canvas.text(line, (20.0, 28.0 + index as f64 * 20.0), font)?;
        }
        for (value, label) in x.ticks() {
            let at = x.pixel(value);
            canvas.line(&[(at, top), (at, bottom)], Stroke::solid(PALE, 1.0))?;
            canvas.line(&[(at, bottom), (at, bottom + 5.0)], Stroke::solid(INK, 1.0))?;
            canvas.text(&label, (at, bottom + 16.0), Font::center(12.0, INK))?;
        }
        let mut above = top;
        for (index, (group, lines)) in groups.iter().zip(&labels).enumerate() {
            let color = Stroke::of_curve(index).color;
            let height = row(lines);
            let middle = above + height / 2.0;
            for (line, text) in lines.iter().enumerate() {
                let y = middle + (line as f64 - (lines.len() - 1) as f64 / 2.0) * LEADING;
                canvas.text(text, (LEFT - 12.0, y), Font::right(12.0, INK))?;
            }
            canvas.text(&final_text(group), (RIGHT + 12.0, middle), Font::left(12.0, INK))?;
            if let Some(summary) = final_accuracy(group) {
                if summary.std.is_some() {
                    let (from, to) = summary.interval();
                    let (from, to) = (x.pixel(from.max(0.0)), x.pixel(to.min(100.0)));
                    canvas.line(&[(from, middle), (to, middle)], Stroke::solid(color, 1.5))?;
                    for end in [from, to] {
                        canvas
                            .line(&[(end, middle - 4.0), (end, middle + 4.0)], Stroke::solid(color, 1.5))?;
                    }
                }
                let mean = x.pixel(summary.mean);
                canvas.line(&[(mean, middle - 9.0), (mean, middle + 9.0)], Stroke::solid(color, 3.0))?;
            }
            for (index, run) in group.finished.iter().enumerate() {
                let Some(value) = accuracy(run) else { continue };
                // Three heights, so that equal seeds stay apart.
                let y = middle + (index % 3) as f64 * 5.0 - 5.0;
                canvas.dot((x.pixel(value), y), 3.5, color, 0.55)?;
            }
            above += height;
        }
        canvas.line(&[(LEFT, top), (LEFT, bottom), (RIGHT, bottom)], Stroke::solid(INK, 1.0))?;
        let center = (LEFT + RIGHT) / 2.0;
        canvas.text("test accuracy [%]", (center, bottom + 40.0), Font::center(13.0, INK))?;
        let key = "dot: one seed · bar: mean · whisker: ± std over seeds";
        canvas.text(key, (center, bottom + 64.0), Font::center(12.0, GREY))
    })
}
