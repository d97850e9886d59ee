//! A built-in data set in colour: textured shapes among clutter, drawn from a seed, for convolutional networks without a
//! download.
//!
//! An image shows one large shape of ten (`shapes.rs`), mapped by a random rotation, shear, scale and translation, before a
//! textured background with smaller pieces of clutter: shapes cut by bands, so that none of them is one of the ten. A stroke
//! may cross it all. Textures and colours of shape, background and clutter come from the same distributions and are
//! independent of the class; only the outline tells it. A slope of light, a tint and noise lie over everything.
//! [`Difficulty`] holds every range.
//!
//! As with [`crate::strokes`], image i is a function of (seed, side, train or test, i) alone, and only `+ - * /`, square
//! roots, rounding down and comparisons of `f32` are used, so that a seed gives the same bytes on every platform.

mod shapes;
mod texture;

use crate::random::{Purpose, Random};
use crate::{DataSet, Error, Images, LoadOptions, Name, drawing};
use texture::{Colour, Texture};

/// Heights and widths of an image that can be asked for, the usual one first.
pub const SIDES: [usize; 2] = [32, 16];
/// Number of classes.
pub const CLASSES: usize = shapes::SHAPES.len();
/// Points at which a pixel's cover is looked at, in each direction.
const SAMPLES: usize = 3;

/// The ranges all random choices are drawn from; lengths are shares of the image's side, colours lie in \[0, 1\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difficulty {
    /// Largest rotation to either side, as the tangent of half the angle (0.1 is 11.4 degrees).
    pub rotation: f32,
    /// Largest shear to either side.
    pub shear: f32,
    /// Half the height of a shape's box, smallest and largest.
    pub size: (f32, f32),
    /// Width of a shape's box as a share of its height, smallest and largest.
    pub aspect: (f32, f32),
    /// Largest displacement of the shape's centre in each direction.
    pub translation: f32,
    /// Least distance between the mean colours of shape and background, as a root mean square over the channels.
    pub contrast: f32,
    /// Largest distance of a texture's two colours from their mean, in each channel.
    pub texture: f32,
    /// Largest number of pieces of clutter.
    pub clutter: u32,
    /// Half the height of a piece of clutter, smallest and largest.
    pub clutter_size: (f32, f32),
    /// Probability that a stroke crosses the image.
    pub stroke: f32,
    /// Half the width of that stroke, smallest and largest.
    pub stroke_width: (f32, f32),
    /// Largest change of brightness by the slope of light, from the centre to an edge.
    pub light: f32,
    /// Largest change of each pixel's channels by noise.
    pub noise: f32,
}

impl Difficulty {
    /// The difficulty of the set called `scenes`.
    pub const STANDARD: Difficulty = Difficulty {
        rotation: 0.12,
        shear: 0.12,
        size: (0.28, 0.42),
        aspect: (0.85, 1.15),
        translation: 0.06,
        contrast: 0.28,
        texture: 0.1,
        clutter: 2,
        clutter_size: (0.06, 0.12),
        stroke: 0.25,
        stroke_width: (0.015, 0.04),
        light: 0.2,
        noise: 0.04,
    };
}

/// Draws the training and the test set; mean and standard deviation of each channel are those of the training pixels.
pub(crate) fn load(options: &LoadOptions) -> Result<DataSet, Error> {
    let side = options.check(Name::Scenes, &SIDES)?;
    let half = |purpose, name, count| {
        draw(purpose, name, count, options.seed, &Difficulty::STANDARD, side, options.threads)
    };
    let train = half(Purpose::ScenesTrain, "scenes train", options.train);
    let test = half(Purpose::ScenesTest, "scenes test", options.test);
    let (mean, std) = drawing::mean_std(&train.pixels, 3);
    Ok(DataSet::new(train, test, &mean, &std))
}

/// Draws `count` images of `side` rows and columns on up to `threads` threads, the calling one included. `purpose` tells
/// training from test images.
pub fn draw(
    purpose: Purpose,
    name: &str,
    count: usize,
    seed: u64,
    difficulty: &Difficulty,
    side: usize,
    threads: usize,
) -> Images {
    let size = [side, 3, CLASSES];
    drawing::draw(
        name,
        size,
        count,
        (seed, purpose),
        threads,
        || Canvas::new(side),
        |random, canvas, image| draw_image(random, difficulty, canvas, image),
    )
}

/// Draws one image into `[side, side, 3]` bytes and returns its class.
fn draw_image(random: &mut Random, difficulty: &Difficulty, canvas: &mut Canvas, image: &mut [u8]) -> u32 {
    let class = random.below(CLASSES as u32);
    let behind = texture::colour(random);
    canvas.fill(&Texture::new(random, behind, difficulty.texture));

    for _ in 0..random.below(difficulty.clutter + 1) {
        let centre = [0; 2].map(|_| random.unit());
        let place = Placement::new(random, difficulty, centre, difficulty.clutter_size);
        let colour = texture::colour(random);
        let texture = Texture::new(random, colour, difficulty.texture);
        let shape = shapes::SHAPES[random.below(CLASSES as u32) as usize];
        let (from, width) = (random.between(-0.5, 0.1), random.between(0.3, 0.6));
        canvas.paint(&place, &texture, |u, v| shape(u, v) && !(from..from + width).contains(&u));
    }

    let mut colour = texture::colour(random);
    while texture::distance(colour, behind) < difficulty.contrast {
        colour = texture::colour(random);
    }
    let reach = difficulty.translation;
    let centre = [0; 2].map(|_| 0.5 + random.between(-reach, reach));
    let place = Placement::new(random, difficulty, centre, difficulty.size);
    canvas.paint(&place, &Texture::new(random, colour, difficulty.texture), shapes::SHAPES[class as usize]);

    if random.unit() < difficulty.stroke {
        let centre = [0; 2].map(|_| random.between(0.1, 0.9));
        let width = random.between(difficulty.stroke_width.0, difficulty.stroke_width.1);
        // Half the turn: any direction.
        let place = Placement::turned(centre, random.between(-1.0, 1.0), [1.5, width]);
        let colour = texture::colour(random);
        canvas.paint(&place, &Texture::new(random, colour, difficulty.texture), |_, _| true);
    }
    canvas.finish(random, difficulty, image);
    class
}

/// Where a shape lies: the map from the image, whose side is 1, to the shape's box from -1 to 1.
struct Placement {
    centre: [f32; 2],
    inverse: [[f32; 2]; 2],
    /// Half the height and width that the box takes up in the image.
    reach: [f32; 2],
}

impl Placement {
    fn new(random: &mut Random, difficulty: &Difficulty, centre: [f32; 2], size: (f32, f32)) -> Self {
        let height = random.between(size.0, size.1);
        let width = height * random.between(difficulty.aspect.0, difficulty.aspect.1);
        let shear = random.between(-difficulty.shear, difficulty.shear);
        let turn = random.between(-difficulty.rotation, difficulty.rotation);
        Self::sheared(centre, turn, shear, [width, height])
    }

    fn turned(centre: [f32; 2], turn: f32, half: [f32; 2]) -> Self {
        Self::sheared(centre, turn, 0.0, half)
    }

    /// `turn` is the tangent of half the angle; `half` are half the width and height of the box.
    fn sheared(centre: [f32; 2], turn: f32, shear: f32, [width, height]: [f32; 2]) -> Self {
        let (cos, sin) = ((1.0 - turn * turn) / (1.0 + turn * turn), 2.0 * turn / (1.0 + turn * turn));
        // Rotation * shear * scale, columns first.
        let (a, b) = (cos * width, (cos * shear - sin) * height);
        let (c, d) = (sin * width, (sin * shear + cos) * height);
        let determinant = a * d - b * c;
        let inverse = [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
        let absolute = |x: f32| x.max(-x);
        Self { centre, inverse, reach: [absolute(a) + absolute(b), absolute(c) + absolute(d)] }
    }

    /// The point of the box that lies at `(x, y)` of the image.
    fn to_box(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        let row = |i: usize| self.inverse[i][0] * x + self.inverse[i][1] * y;
        (row(0), row(1))
    }
}

/// An image on its way, channels in \[0, 1\].
struct Canvas {
    side: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    fn new(side: usize) -> Self {
        Self { side, pixels: vec![[0.0; 3]; side * side] }
    }

    fn fill(&mut self, texture: &Texture) {
        let step = 1.0 / self.side as f32;
        for (index, pixel) in self.pixels.iter_mut().enumerate() {
            let [x, y] = [index % self.side, index / self.side].map(|i| (i as f32 + 0.5) * step);
            *pixel = texture.at(x, y);
        }
    }

    /// Covers what lies inside of a shape, by the share of each pixel that does.
    fn paint(&mut self, place: &Placement, texture: &Texture, inside: impl Fn(f32, f32) -> bool) {
        let (side, step) = (self.side, 1.0 / self.side as f32);
        // The pixels that the box may reach; the casts saturate at 0.
        let [columns, rows] = [0, 1].map(|i| {
            let low = (place.centre[i] - place.reach[i]) * side as f32;
            let high = (place.centre[i] + place.reach[i]) * side as f32 + 1.0;
            (low as usize).min(side)..(high as usize).min(side)
        });
        let sample =
            |pixel: usize, index: usize| (pixel as f32 + (index as f32 + 0.5) / SAMPLES as f32) * step;
        for row in rows {
            for column in columns.clone() {
                let mut hits = 0;
                for index in 0..SAMPLES * SAMPLES {
                    let (x, y) = (sample(column, index % SAMPLES), sample(row, index / SAMPLES));
                    let (u, v) = place.to_box(x, y);
                    let within = (-1.0..=1.0).contains(&u) && (-1.0..=1.0).contains(&v);
                    hits += u32::from(within && inside(u, v));
                }
                if hits > 0 {
                    let cover = hits as f32 / (SAMPLES * SAMPLES) as f32;
                    let colour = texture.at((column as f32 + 0.5) * step, (row as f32 + 0.5) * step);
                    let pixel = &mut self.pixels[row * side + column];
                    *pixel = texture::blend(*pixel, colour, cover);
                }
            }
        }
    }

    /// Light, tint, noise, bytes.
    fn finish(&self, random: &mut Random, difficulty: &Difficulty, image: &mut [u8]) {
        let slope = [0; 2].map(|_| random.between(-difficulty.light, difficulty.light));
        let tint = [0; 3].map(|_| random.between(1.0 - 0.5 * difficulty.light, 1.0 + 0.5 * difficulty.light));
        let step = 2.0 / self.side as f32;
        for (index, (pixel, bytes)) in self.pixels.iter().zip(image.chunks_mut(3)).enumerate() {
            let [x, y] = [index % self.side, index / self.side].map(|i| (i as f32 + 0.5) * step - 1.0);
            let light = 1.0 + slope[0] * x + slope[1] * y;
            for channel in 0..3 {
                let noise = random.between(-difficulty.noise, difficulty.noise);
                let value = pixel[channel] * light * tint[channel] + noise;
                // The cast saturates at 0 and 255.
                bytes[channel] = (value * 255.0 + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests;
