//! Textures: patterns of two colours over the whole image, whose side is 1.

use crate::random::Random;

/// Red, green and blue in \[0, 1\].
pub(super) type Colour = [f32; 3];

/// Cells of the lattice of a cloudy texture, in each direction.
const CELLS: usize = 6;

/// Any colour, uniformly, but neither black nor white.
pub(super) fn colour(random: &mut Random) -> Colour {
    [0; 3].map(|_| random.between(0.12, 0.88))
}

/// Root mean square distance of two colours over the channels.
pub(super) fn distance(a: Colour, b: Colour) -> f32 {
    let square = |c: usize| (a[c] - b[c]) * (a[c] - b[c]);
    ((square(0) + square(1) + square(2)) / 3.0).sqrt()
}

/// `share` of `b` and the rest of `a`.
pub(super) fn blend(a: Colour, b: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * share)
}

/// A pattern of two colours.
pub(super) struct Texture {
    colours: [Colour; 2],
    pattern: Pattern,
}

enum Pattern {
    /// Bands across a direction, sharp or smooth: periods along x and y, phase, sharpness.
    Stripes { frequency: [f32; 2], phase: f32, sharpness: f32 },
    /// Squares in turn: two stripes multiplied.
    Checks { frequency: [f32; 2], phase: [f32; 2] },
    /// Dots on a lattice.
    Dots { frequency: f32, phase: [f32; 2], square: f32 },
    /// Random values on a lattice with smooth passages.
    Clouds { values: Box<[[f32; CELLS + 1]; CELLS + 1]> },
    /// A slope from one side to the other.
    Slope { direction: [f32; 2] },
}

impl Texture {
    /// A random pattern whose colours differ from `mean` by up to `spread` in each channel, to opposite sides.
    pub(super) fn new(random: &mut Random, mean: Colour, spread: f32) -> Self {
        let difference = [0; 3].map(|_| random.between(-spread, spread));
        let colours = [1.0, -1.0].map(|sign| [0, 1, 2].map(|c| mean[c] + sign * difference[c]));
        let mut both = |low, high| [0; 2].map(|_| random.between(low, high));
        let (frequency, phase) = (both(-7.0, 7.0), both(0.0, 1.0));
        let pattern = match random.below(5) {
            0 => Pattern::Stripes { frequency, phase: phase[0], sharpness: random.between(1.0, 4.0) },
            1 => {
                let frequency = [0; 2].map(|_| random.between(1.5, 5.0));
                Pattern::Checks { frequency, phase }
            }
            2 => {
                let (frequency, square) = (random.between(3.0, 8.0), random.between(0.04, 0.12));
                Pattern::Dots { frequency, phase, square }
            }
            3 => Pattern::Clouds {
                values: Box::new(std::array::from_fn(|_| std::array::from_fn(|_| random.unit()))),
            },
            _ => Pattern::Slope { direction: [0; 2].map(|_| random.between(-0.8, 0.8)) },
        };
        Self { colours, pattern }
    }

    /// The colour at a point.
    pub(super) fn at(&self, x: f32, y: f32) -> Colour {
        let share = match &self.pattern {
            Pattern::Stripes { frequency, phase, sharpness } => {
                let wave = wave(frequency[0] * x + frequency[1] * y + phase);
                ((wave - 0.5) * sharpness + 0.5).clamp(0.0, 1.0)
            }
            Pattern::Checks { frequency, phase } => {
                let [a, b] =
                    [frequency[0] * x + phase[0], frequency[1] * y + phase[1]].map(|t| wave(t) > 0.5);
                f32::from(u8::from(a != b))
            }
            Pattern::Dots { frequency, phase, square } => {
                let [a, b] =
                    [x * frequency + phase[0], y * frequency + phase[1]].map(|t| t - t.floor() - 0.5);
                f32::from(u8::from(a * a + b * b < *square))
            }
            Pattern::Clouds { values } => clouds(values, x, y),
            Pattern::Slope { direction } => {
                (0.5 + direction[0] * (x - 0.5) + direction[1] * (y - 0.5)).clamp(0.0, 1.0)
            }
        };
        blend(self.colours[0], self.colours[1], share)
    }
}

/// Up from 0 to 1 and down again, with period 1.
fn wave(t: f32) -> f32 {
    let t = t - t.floor();
    if t < 0.5 { 2.0 * t } else { 2.0 - 2.0 * t }
}

fn clouds(values: &[[f32; CELLS + 1]; CELLS + 1], x: f32, y: f32) -> f32 {
    let [(column, x), (row, y)] = [x, y].map(|t| {
        let t = t * CELLS as f32;
        let cell = (t as usize).min(CELLS - 1);
        let t = t - cell as f32;
        (cell, t * t * (3.0 - 2.0 * t))
    });
    let along = |row: usize| values[row][column] + (values[row][column + 1] - values[row][column]) * x;
    along(row) + (along(row + 1) - along(row)) * y
}
