//! The figure of learning curves.

use super::axis::Axis;
use super::canvas::{Canvas, DrawError, Font, GREY, INK, PALE, Stroke, draw_svg, wrap};
use super::curves::{Point, curve};
use super::group::Group;
use super::table::final_accuracy;
use std::collections::{BTreeMap, BTreeSet};

/// The plotting area: left, right and top edge and the least height.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 776.0;
const TOP: f64 = 56.0;
const LEAST_HEIGHT: f64 = 440.0;
const BELOW: f64 = 64.0;
/// The legend: left edge of its lines and of its text, and how much of that fits.
const LEGEND: f64 = 796.0;
const LEGEND_TEXT: f64 = 836.0;
const LEGEND_CHARACTERS: usize = 44;
const LEGEND_SIZE: f64 = 12.0;
const LEGEND_LEADING: f64 = 15.0;
const LEGEND_GAP: f64 = 7.0;
const WIDTH: f64 = 1150.0;
const OPACITY_OF_BANDS: f64 = 0.16;

/// Labels that name only what differs among the groups, and the title that names what they share.
pub(crate) fn labels(groups: &[&Group]) -> (Vec<String>, String) {
    let shared = |part: fn(&Group) -> &String| {
        let mut parts = groups.iter().map(|group| part(group));
        let first = parts.next();
        parts.all(|part| Some(part) == first)
    };
    let parts: [fn(&Group) -> &String; 3] = [|g| &g.experiment, |g| &g.model, |g| &g.method];
    let mut in_title = parts.map(shared);
    // The method is what a reader looks for, so it is repeated in the legend wherever nothing else would be
    // there.
    in_title[2] &= groups.iter().all(|group| !group.settings.is_empty());
    let pick = |group: &Group, titled: bool| {
        let chosen = parts.iter().zip(in_title).filter(|(_, in_title)| *in_title == titled);
        chosen.map(|(part, _)| part(group).clone()).collect::<Vec<_>>()
    };
    let label = |group: &&Group| {
        let mut parts = pick(group, false);
        parts.extend(group.settings.iter().cloned());
        parts.join(", ")
    };
    let title = groups.first().map(|group| pick(group, true).join(", ")).unwrap_or_default();
    (groups.iter().map(label).collect(), title)
}

/// The final figure in words, as under each label of a legend.
pub(crate) fn final_text(group: &Group) -> String {
    if group.finished.is_empty() {
        return "unfinished".to_string();
    }
    match final_accuracy(group) {
        Some(summary) if summary.n > 1 => format!("{} % (n = {})", summary.show(2), summary.n),
        Some(summary) => format!("{:.2} % (n = 1)", summary.mean),
        None => "no final accuracy".to_string(),
    }
}

/// Test accuracy in percent against training steps: the mean of each group, a band of one standard deviation
/// to both sides, and the boundaries between phases. The y axis fits the evaluations of trained networks:
/// those at step 0 or at the very start of a phase, of a fresh or just reset network, may lie below it and
/// are cut off.
pub(crate) fn curves_svg(groups: &[&Group]) -> Result<String, DrawError> {
    let (labels, shared) = labels(groups);
    let curves: Vec<Vec<Point>> = groups.iter().map(|group| curve(group.drawn())).collect();
    let boundaries: BTreeSet<u64> =
        groups.iter().flat_map(|group| group.drawn()).flat_map(|run| run.phase_boundaries()).collect();
    let banded = curves.iter().flatten().any(|point| point.accuracy.std.is_some());

    let entries: Vec<Vec<String>> = labels.iter().map(|label| wrap(label, LEGEND_CHARACTERS)).collect();
    let lines: usize = entries.iter().map(|lines| lines.len() + 1).sum();
    let legend = lines as f64 * LEGEND_LEADING + (entries.len() + 3) as f64 * (LEGEND_GAP + 2.0) + 40.0;
    let title = match shared.as_str() {
        "" => "Test accuracy".to_string(),
        _ => format!("Test accuracy: {shared}"),
    };
    let title = wrap(&title, 110);
    let top = TOP + (title.len() - 1) as f64 * 20.0;
    let bottom = top + legend.max(LEAST_HEIGHT);

    let trained = |point: &&Point| !point.untrained;
    let mut fitted: Vec<&Point> = curves.iter().flatten().filter(trained).collect();
    if fitted.is_empty() {
        fitted = curves.iter().flatten().collect();
    }
    let limits = fitted.iter().flat_map(|point| <[f64; 2]>::from(point.accuracy.interval()));
    let y = Axis::percent(limits, 10.0, (bottom, top));
    let x = Axis::steps(curves.iter().flatten().map(|point| point.step as f64), 7.0, (LEFT, RIGHT));

    draw_svg((WIDTH, bottom + BELOW), |canvas| {
        for (index, line) in title.iter().enumerate() {
            let font = Font { bold: true, ..Font::left(16.0, INK) };
            canvas.text(line, (LEFT, 28.0 + index as f64 * 20.0), font)?;
        }
        frame(canvas, &x, &y, (top, bottom))?;
        for &step in &boundaries {
            let x = x.pixel(step as f64);
            canvas.line(&[(x, top), (x, bottom)], BOUNDARY)?;
        }
        for (index, points) in curves.iter().enumerate() {
            let side = |value: fn(&Point) -> f64| trace(points, value, &x, &y);
            if points.iter().any(|point| point.accuracy.std.is_some()) {
                let mut outline = side(|point| point.accuracy.interval().1);
                outline.extend(side(|point| point.accuracy.interval().0).into_iter().rev());
                let inside = outline.into_iter().map(|(x, y)| (x, y.clamp(top, bottom))).collect::<Vec<_>>();
                canvas.area(&inside, Stroke::of_curve(index).color, OPACITY_OF_BANDS)?;
            }
        }
        // Above all bands, so that no band hides a line.
        for (index, points) in curves.iter().enumerate() {
            for piece in pieces(&trace(points, |point| point.accuracy.mean, &x, &y), (top, bottom)) {
                canvas.line(&piece, Stroke::of_curve(index))?;
            }
        }
        let mut y = top + LEGEND_LEADING / 2.0;
        for (index, (group, lines)) in groups.iter().zip(&entries).enumerate() {
            canvas.line(&[(LEGEND, y), (LEGEND_TEXT - 8.0, y)], Stroke::of_curve(index))?;
            for line in lines {
                canvas.text(line, (LEGEND_TEXT, y), Font::left(LEGEND_SIZE, INK))?;
                y += LEGEND_LEADING;
            }
            canvas.text(&final_text(group), (LEGEND_TEXT, y), Font::left(LEGEND_SIZE, GREY))?;
            y += LEGEND_LEADING + LEGEND_GAP;
        }
        let note = Font::left(LEGEND_SIZE, GREY);
        y += LEGEND_GAP;
        if banded {
            let (above, below) = (y - 5.0, y + 5.0);
            let right = LEGEND_TEXT - 8.0;
            canvas.area(&[(LEGEND, above), (right, above), (right, below), (LEGEND, below)], GREY, 0.3)?;
            canvas.text("mean ± std over seeds", (LEGEND_TEXT, y), note)?;
            y += LEGEND_LEADING + LEGEND_GAP;
        }
        if !boundaries.is_empty() {
            let middle = (LEGEND + LEGEND_TEXT - 8.0) / 2.0;
            canvas.line(&[(middle, y - 8.0), (middle, y + 8.0)], BOUNDARY)?;
            canvas.text("end of a phase", (LEGEND_TEXT, y), note)?;
        }
        Ok(())
    })
}

const BOUNDARY: Stroke = Stroke { color: GREY, width: 1.0, dash: Some((3.0, 3.0)) };

/// Grid, frame, ticks and axis titles.
fn frame(canvas: &Canvas<'_>, x: &Axis, y: &Axis, (top, bottom): (f64, f64)) -> Result<(), DrawError> {
    for (value, label) in y.ticks() {
        let at = y.pixel(value);
        canvas.line(&[(LEFT, at), (RIGHT, at)], Stroke::solid(PALE, 1.0))?;
        canvas.text(&label, (LEFT - 8.0, at), Font::right(12.0, INK))?;
    }
    for (value, label) in x.ticks() {
        let at = x.pixel(value);
        canvas.line(&[(at, top), (at, bottom)], Stroke::solid(PALE, 1.0))?;
        canvas.line(&[(at, bottom), (at, bottom + 5.0)], Stroke::solid(INK, 1.0))?;
        canvas.text(&label, (at, bottom + 16.0), Font::center(12.0, INK))?;
    }
    canvas.line(&[(LEFT, top), (LEFT, bottom), (RIGHT, bottom)], Stroke::solid(INK, 1.0))?;
    canvas.text("training steps", ((LEFT + RIGHT) / 2.0, bottom + 42.0), Font::center(13.0, INK))?;
    let upwards = Font { upwards: true, ..Font::center(13.0, INK) };
    canvas.text("test accuracy [%]", (22.0, (top + bottom) / 2.0), upwards)
}

/// The pixels of a curve. Where more than two evaluations fall on one pixel column, its first, lowest,
/// highest and last one stay: they look the same and keep the file small.
fn trace(points: &[Point], value: fn(&Point) -> f64, x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let mut columns: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    for point in points {
        let pixel = (x.pixel(point.step as f64), y.pixel(value(point)));
        columns.entry(pixel.0.floor() as i64).or_default().push(pixel);
    }
    let mut trace = Vec::new();
    for column in columns.into_values() {
        let by_height = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
        let lowest = (0..column.len()).max_by(by_height).unwrap_or(0);
        let highest = (0..column.len()).min_by(by_height).unwrap_or(0);
        let kept = BTreeSet::from([0, lowest, highest, column.len() - 1]);
        trace.extend(kept.into_iter().map(|index| column[index]));
    }
    trace
}

/// The parts of a line between two heights, cut where it crosses them.
fn pieces(line: &[(f64, f64)], (top, bottom): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    // Curves end on the frame up to rounding.
    let inside = |(_, y): (f64, f64)| y >= top - 0.01 && y <= bottom + 0.01;
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    let mut previous: Option<(f64, f64)> = None;
    for &point in line {
        let mut crossings: Vec<(f64, f64)> = Vec::new();
        if let Some(from) = previous {
            for edge in [top, bottom] {
                let t = (edge - from.1) / (point.1 - from.1);
                if t > 0.0 && t < 1.0 {
                    crossings.push((from.0 + t * (point.0 - from.0), edge));
                }
            }
            // Along the way from the previous point.
            crossings.sort_by(|a, b| (a.1 - from.1).abs().total_cmp(&(b.1 - from.1).abs()));
        }
        let entered = previous.is_some_and(|from| !inside(from));
        let along = crossings.into_iter().chain(inside(point).then_some(point));
        let mut within = !entered;
        for point in along {
            if !within {
                pieces.push(Vec::new());
                within = true;
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(point);
            }
        }
        previous = Some(point);
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_frame() {
        let frame = (0.0, 10.0);
        let whole = [(0.0, 10.0), (1.0, 0.0), (2.0, 5.0)];
        assert_eq!(pieces(&whole, frame), [whole.to_vec()]);
        // From below the frame into it, out below again and back.
        let line = [(0.0, 20.0), (2.0, 0.0), (4.0, 20.0), (6.0, 0.0)];
        let expected = [vec![(1.0, 10.0), (2.0, 0.0), (3.0, 10.0)], vec![(5.0, 10.0), (6.0, 0.0)]];
        assert_eq!(pieces(&line, frame), expected);
        // Through the frame in one go, and never in it.
        assert_eq!(pieces(&[(0.0, 20.0), (3.0, -10.0)], frame), [vec![(1.0, 10.0), (2.0, 0.0)]]);
        assert!(pieces(&[(0.0, 20.0), (3.0, 11.0)], frame).is_empty());
        assert!(pieces(&[], frame).is_empty());
    }
}
