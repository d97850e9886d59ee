//! A matrix of cosines as a picture: blue for -1, white for 0, red for 1.

use super::svg::{Color, Font, Stroke, Svg};
use std::collections::BTreeMap;

/// Pixels of the matrix.
const SIDE: f64 = 512.0;
const LEFT: f64 = 40.0;
/// Pixels of a picture, its scale and edges included.
const WIDTH: f64 = LEFT + SIDE + 90.0;
/// A picture has at most so many cells on a side; of a larger matrix a cell is the mean of several elements.
const MOST_CELLS: usize = 256;
/// Steps from 0 to 1 and to -1 in which colours are told apart.
const STEPS: f64 = 20.0;

/// The ends and the middle of a scale for people with any colour vision (RdBu of ColorBrewer).
const ENDS: [[f64; 3]; 3] = [[33.0, 102.0, 172.0], [247.0, 247.0, 247.0], [178.0, 24.0, 43.0]];

/// The cosines between n things in groups, such as the gradients of examples in clusters.
#[derive(Clone, Copy, Debug)]
pub struct CosineMatrix<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// Below it.
    pub caption: &'a str,
    /// `[n, n]`, sorted by group.
    pub cosines: &'a [f64],
    /// Sizes of the groups, from the first row on; lines between them are drawn beside the matrix.
    pub groups: &'a [usize],
}

/// A cosine as one of the steps of the scale.
fn step(cosine: f64) -> i32 {
    (cosine.clamp(-1.0, 1.0) * STEPS).round() as i32
}

fn color(step: i32) -> Color {
    let share = f64::from(step) / STEPS;
    let end = if share < 0.0 { ENDS[0] } else { ENDS[2] };
    let mix = |c: usize| (ENDS[1][c] + (end[c] - ENDS[1][c]) * share.abs()).round() as u8;
    Color::Fixed([mix(0), mix(1), mix(2)])
}

impl CosineMatrix<'_> {
    /// The picture as a file.
    pub fn svg(&self) -> String {
        self.draw().file(&format!("{}: {}", self.title, self.caption))
    }

    fn n(&self) -> usize {
        self.cosines.len().isqrt()
    }

    /// The colour of each cell, row by row, and cells on a side.
    fn cells(&self) -> (Vec<i32>, usize) {
        let n = self.n();
        let each = n.div_ceil(MOST_CELLS).max(1);
        let side = n.div_ceil(each);
        let range = |cell: usize| cell * each..((cell + 1) * each).min(n);
        let cell = |at: usize| {
            let (rows, columns) = (range(at / side), range(at % side));
            let count = (rows.len() * columns.len()) as f64;
            let sum: f64 = rows.map(|row| self.cosines[row * n..][columns.clone()].iter().sum::<f64>()).sum();
            step(sum / count)
        };
        ((0..side * side).map(cell).collect(), side)
    }

    fn draw(&self) -> Svg {
        side_by_side(std::slice::from_ref(self))
    }

    /// Draws it where `left` is the left edge of the matrix and `top` the upper one.
    fn paint(&self, svg: &mut Svg, (left, top): (f64, f64)) {
        let (cells, side) = self.cells();
        // Runs of one colour within a row, by colour: far fewer elements than cells.
        let mut runs: BTreeMap<i32, Vec<[f64; 3]>> = BTreeMap::new();
        let size = SIDE / side.max(1) as f64;
        for (y, row) in cells.chunks(side.max(1)).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                let (start, end) = (left + x as f64 * size, left + (x + run.len()) as f64 * size);
                runs.entry(run[0]).or_default().push([start, end, top + (y as f64 + 0.5) * size]);
                x += run.len();
            }
        }
        for (step, runs) in runs {
            svg.level_lines(&runs, Stroke::solid(color(step), size));
        }
        let edge = Stroke::solid(Color::Ink, 1.0);
        let (right, bottom) = (left + SIDE, top + SIDE);
        svg.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], edge);
        let mut at = 0;
        for group in self.groups {
            at += group;
            let y = top + SIDE * at as f64 / self.n().max(1) as f64;
            svg.line(&[(left - 10.0, y), (left - 2.0, y)], edge);
        }
        const PARTS: i32 = STEPS as i32;
        for part in -PARTS..PARTS {
            let y = |part: i32| top + SIDE / 2.0 - SIDE / 2.0 * f64::from(part) / STEPS;
            let ends = ((right + 20.0, y(part + 1)), (right + 34.0, y(part)));
            svg.rectangle(ends.0, ends.1, color(if part < 0 { part } else { part + 1 }), 1.0);
        }
        for value in [-1.0, 0.0, 1.0] {
            let y = top + SIDE / 2.0 * (1.0 - value);
            svg.text(&format!("{value}"), (right + 40.0, y), Font::left(12.0, Color::Ink));
        }
        svg.text(self.caption, (left, bottom + 24.0), Font::left(12.0, Color::Muted));
    }
}

/// Matrices beside each other.
pub(crate) fn side_by_side(matrices: &[CosineMatrix<'_>]) -> Svg {
    let width = WIDTH * matrices.len() as f64;
    let titled = matrices.iter().map(|matrix| Svg::new(WIDTH, 0.0).title(matrix.title, LEFT));
    let top = titled.fold(0.0, f64::max) + 10.0;
    let mut svg = Svg::new(width, top + SIDE + 50.0);
    for (index, matrix) in matrices.iter().enumerate() {
        let left = LEFT + WIDTH * index as f64;
        svg.title(matrix.title, left);
        matrix.paint(&mut svg, (left, top));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_run_from_blue_over_white_to_red() {
        assert_eq!([-1.5, -1.0, 0.0, 0.024, 1.0].map(step), [-20, -20, 0, 0, 20]);
        assert_eq!(color(-20), Color::Fixed([33, 102, 172]));
        assert_eq!(color(0), Color::Fixed([247; 3]));
        assert_eq!(color(20), Color::Fixed([178, 24, 43]));
    }

    #[test]
    fn a_large_matrix_is_drawn_as_means_and_a_small_one_as_it_is() {
        let of = |n: usize| -> Vec<f64> {
            (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect()
        };
        let matrix = of(3);
        let small = CosineMatrix { title: "t", caption: "c", cosines: &matrix, groups: &[2, 1] };
        assert_eq!(small.cells(), (vec![20, 0, 0, 0, 20, 0, 0, 0, 20], 3));
        let matrix = of(600);
        let large = CosineMatrix { title: "t", caption: "c", cosines: &matrix, groups: &[600] };
        let (cells, side) = large.cells();
        // Three elements of nine are 1 on the diagonal, and none beside it.
        assert_eq!((side, cells[0], cells[1], cells[201 * 199]), (200, 7, 0, 7));
        let text = small.svg();
        assert!(text.contains("aria-label=\"t: c\"") && text.contains("#b2182b"), "{text}");
        assert!(CosineMatrix { cosines: &[], groups: &[], ..small }.svg().ends_with("</svg>\n"));
    }
}
