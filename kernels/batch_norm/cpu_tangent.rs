//! The tangents of batch normalisation on the CPU: a task takes the columns of one vector, with sums in f64.

use super::CHANNEL_WORDS;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Cpu};
use std::ops::Range;

/// Sums of a column each.
type Sums = [f64; LANES];

/// A `[rows, C]` array.
#[derive(Clone, Copy)]
struct Image<'a> {
    values: &'a [f32],
    channels: usize,
}

impl<'a> Image<'a> {
    fn row(self, row: usize, columns: &Range<usize>) -> &'a [f32] {
        &self.values[row * self.channels..][columns.clone()]
    }
}

/// Runs `work` on the columns of every vector.
fn over_columns(cpu: &Cpu, channels: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
    let task = |index: usize| work(index * LANES..((index + 1) * LANES).min(channels));
    cpu.threads.run(channels.div_ceil(LANES), &task);
}

/// The words of `channel` for one column: mean, inverse, weight, weight', mean(x'), mean(u x').
type Channel = [f32; CHANNEL_WORDS];

struct Forward<'a> {
    rows: usize,
    columns: Range<usize>,
    x: Image<'a>,
    x_tangent: Image<'a>,
    saved: &'a [f32],
    parameters: [&'a [f32]; 3],
    y_tangent: &'a Parts<'a, f32>,
    channel: &'a Parts<'a, f32>,
}

impl Vectorised for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, columns, x, x_tangent, saved, .. } = self;
        let channels = x.channels;
        let [weight, weight_tangent, bias_tangent] = self.parameters;
        let mut of = [Channel::default(); LANES];
        for (of, c) in of.iter_mut().zip(columns.clone()) {
            *of = [saved[c], saved[channels + c], weight[c], weight_tangent[c], 0.0, 0.0];
        }
        let (mut sum, mut product): (Sums, Sums) = Default::default();
        for row in 0..rows {
            let values = x.row(row, &columns).iter().zip(x_tangent.row(row, &columns));
            for (i, (&x, &moved)) in values.enumerate() {
                sum[i] += f64::from(moved);
                product[i] += f64::from(moved * (x - of[i][0]) * of[i][1]);
            }
        }
        for (i, c) in columns.clone().enumerate() {
            of[i][4] = (sum[i] / rows as f64) as f32;
            of[i][5] = (product[i] / rows as f64) as f32;
            for (word, &value) in of[i].iter().enumerate() {
                // SAFETY: every column belongs to one task.
                unsafe { self.channel.part(word * channels + c..word * channels + c + 1)[0] = value };
            }
        }
        for row in 0..rows {
            let at = row * channels;
            // SAFETY: every column belongs to one task.
            let to = unsafe { self.y_tangent.part(at + columns.start..at + columns.end) };
            let values = x.row(row, &columns).iter().zip(x_tangent.row(row, &columns));
            for (i, ((&x, &moved), to)) in values.zip(to).enumerate() {
                let [mean, inverse, weight, weight_tangent, mean_tangent, mean_product] = of[i];
                let u = (x - mean) * inverse;
                let moved = inverse * (moved - mean_tangent - u * mean_product);
                *to = weight * moved + weight_tangent * u + bias_tangent[columns.start + i];
            }
        }
    }
}

pub(super) fn tangent(cpu: &Cpu, rows: usize, channels: usize, args: &mut Args) {
    let ([x, x_tangent, saved, weight, weight_tangent, bias_tangent, y_tangent, channel], _) = args.split();
    let image = |values| Image { values, channels };
    let (x, x_tangent, saved) = (image(x.f32()), image(x_tangent.f32()), saved.f32());
    let parameters = [weight.f32(), weight_tangent.f32(), bias_tangent.f32()];
    let (y_tangent, channel) = (&Parts::new(y_tangent.f32_mut()), &Parts::new(channel.f32_mut()));
    over_columns(cpu, channels, &|columns| {
        cpu.isa.run(Forward { rows, columns, x, x_tangent, saved, parameters, y_tangent, channel });
    });
}

struct Gradients<'a> {
    rows: usize,
    columns: Range<usize>,
    x: Image<'a>,
    x_tangent: Image<'a>,
    channel: &'a [f32],
    dy: Image<'a>,
    dy_tangent: Image<'a>,
    dx_tangent: &'a Parts<'a, f32>,
    dweight_tangent: &'a Parts<'a, f32>,
    dbias_tangent: &'a Parts<'a, f32>,
}

impl Vectorised for Gradients<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, columns, x, x_tangent, dy, dy_tangent, .. } = self;
        let channels = x.channels;
        let mut of = [Channel::default(); LANES];
        for (of, c) in of.iter_mut().zip(columns.clone()) {
            *of = std::array::from_fn(|word| self.channel[word * channels + c]);
        }
        // u and its tangent in column i.
        let normal = |i: usize, x: f32, moved: f32| {
            let [mean, inverse, _, _, mean_tangent, mean_product] = of[i];
            let u = (x - mean) * inverse;
            (u, inverse * (moved - mean_tangent - u * mean_product))
        };
        // Σ dy, Σ dy u, Σ dy', Σ dy' u, Σ dy u'.
        let mut sums: [Sums; 5] = Default::default();
        for row in 0..rows {
            let [x, moved, dy, dy_moved] =
                [x, x_tangent, dy, dy_tangent].map(|image| image.row(row, &columns));
            for i in 0..columns.len() {
                let (u, u_moved) = normal(i, x[i], moved[i]);
                let terms = [dy[i], dy[i] * u, dy_moved[i], dy_moved[i] * u, dy[i] * u_moved];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum[i] += f64::from(term);
                }
            }
        }
        // What is subtracted: a constant, and factors of u and of its tangent; and the factor of dy.
        let mut subtracted = [[0.0; 4]; LANES];
        for (i, c) in columns.clone().enumerate() {
            let [_, inverse, weight, weight_tangent, _, mean_product] = of[i];
            let mean = |sum: usize| (sums[sum][i] / rows as f64) as f32;
            let turn = weight_tangent - inverse * mean_product * weight;
            subtracted[i] = [
                weight * mean(2) + turn * mean(0),
                weight * (mean(3) + mean(4)) + turn * mean(1),
                weight * mean(1),
                turn,
            ];
            // SAFETY: every column belongs to one task.
            unsafe {
                self.dweight_tangent.part(c..c + 1)[0] = (sums[3][i] + sums[4][i]) as f32;
                self.dbias_tangent.part(c..c + 1)[0] = sums[2][i] as f32;
            }
        }
        for row in 0..rows {
            let [x, moved, dy, dy_moved] =
                [x, x_tangent, dy, dy_tangent].map(|image| image.row(row, &columns));
            let at = row * channels;
            // SAFETY: every column belongs to one task.
            let to = unsafe { self.dx_tangent.part(at + columns.start..at + columns.end) };
            for (i, to) in to.iter_mut().enumerate() {
                let (u, u_moved) = normal(i, x[i], moved[i]);
                let [constant, along, along_moved, turn] = subtracted[i];
                let slope = of[i][2] * dy_moved[i] + turn * dy[i];
                *to = of[i][1] * (slope - constant - u * along - u_moved * along_moved);
            }
        }
    }
}

pub(super) fn gradient_tangent(cpu: &Cpu, rows: usize, channels: usize, args: &mut Args) {
    let ([x, x_tangent, channel, dy, dy_tangent, dx_tangent, dweight_tangent, dbias_tangent], _) =
        args.split();
    let image = |values| Image { values, channels };
    let (x, x_tangent, channel) = (image(x.f32()), image(x_tangent.f32()), channel.f32());
    let (dy, dy_tangent) = (image(dy.f32()), image(dy_tangent.f32()));
    let dx_tangent = &Parts::new(dx_tangent.f32_mut());
    let dweight_tangent = &Parts::new(dweight_tangent.f32_mut());
    let dbias_tangent = &Parts::new(dbias_tangent.f32_mut());
    over_columns(cpu, channels, &|columns| {
        let all = Gradients {
            rows,
            columns,
            x,
            x_tangent,
            channel,
            dy,
            dy_tangent,
            dx_tangent,
            dweight_tangent,
            dbias_tangent,
        };
        cpu.isa.run(all);
    });
}
