//! The launches on a GPU: each pass is a product of matrices, of which one is read in place from an image.
//!
//! | pass | M | N | K | A | B |
//! |---|---|---|---|---|---|
//! | forward | pixels of y | O | taps * C | patches of x | weight |
//! | backward_data | pixels of dx | C | taps * O | patches of dy | weight, transposed within each tap |
//! | backward_weight | taps * C | O | pixels of y | patches of x, transposed | dy |
//!
//! A patch is what a pixel sees through the filter. With a stride s, the pixels of dx fall into s * s phases, those with
//! the same remainders of their coordinates: the pixels of a phase are reached by the same taps, at neighbouring pixels
//! of dy, so that each phase is a product by itself without a term in vain.
//!
//! [`Product`] chooses tiles and splits K. Images that are too large to bind at once are done in windows; for the gradient
//! of the weight each window adds planes of partial sums.
//!
//! Source of the product without a matrix of patches in memory: Chetlur et al., *cuDNN: Efficient Primitives for Deep
//! Learning*, arXiv:1410.0759, 2014.

use super::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use crate::kernel::{Dispatch, GpuTraits};
use crate::matmul::Activation;
use crate::matmul::product::{Product, ROW_BY_ROW, matrix};
use crate::template::expand;
use crate::windows::{in_windows, windows};
use std::fmt::Display;
use std::ops::Range;

/// The words of `struct Geometry` in `geometry.wgsl` that every pass has.
struct Geometry {
    /// Height, width and channels of the image that A is read from.
    image: [usize; 3],
    /// Rows and columns of pixels per image.
    grid: [usize; 2],
    step: usize,
    tap_step: i32,
    /// Where tap (0, 0) of pixel (0, 0) reads.
    origin: [i32; 2],
    taps_x: usize,
    first_plane: usize,
}

impl Geometry {
    /// Of x, as forward and backward_weight read it.
    fn of_x(conv: &Conv2d, first_plane: usize) -> Self {
        Self {
            image: [conv.height, conv.width, conv.in_channels],
            grid: [conv.out_height(), conv.out_width()],
            step: conv.stride,
            tap_step: 1,
            origin: [-(conv.padding as i32); 2],
            taps_x: conv.kernel,
            first_plane,
        }
    }

    fn words(&self) -> Vec<u32> {
        let Self { image: [height, width, channels], grid: [rows, columns], .. } = *self;
        let sizes = [height, width, channels, columns, rows * columns, self.step].map(|size| size as u32);
        let inverses =
            [channels, self.taps_x, columns, rows * columns].map(|size| (1.0 / size as f32).to_bits());
        let [origin_y, origin_x] = self.origin.map(|word| word as u32);
        let mut words = sizes.to_vec();
        words.extend([self.tap_step as u32, origin_y, origin_x, self.taps_x as u32]);
        words.extend(inverses);
        words.push(self.first_plane as u32);
        words
    }
}

/// `geometry.wgsl` and the shader behind it.
fn patches(shader: &str, channels: usize, options: &[(&str, &dyn Display)], guard: bool) -> String {
    let all: [(&str, &dyn Display); 2] = [("VEC4", &channels.is_multiple_of(4)), ("GUARD", &guard)];
    // The value of an option that is named comes before this.
    let off: [(&str, &dyn Display); 1] = [("BACKWARD_DATA", &false)];
    let values = [&off, options, &all].concat();
    expand(include_str!("../geometry.wgsl"), &values) + &expand(shader, &values)
}

fn image_x(conv: &Conv2d) -> usize {
    conv.height * conv.width * conv.in_channels
}

fn image_y(conv: &Conv2d) -> usize {
    conv.out_height() * conv.out_width() * conv.out_channels
}

/// The same convolution of some of the images.
fn of_images(conv: &Conv2d, images: &Range<usize>) -> Conv2d {
    Conv2d { batch: images.len(), ..*conv }
}

fn forward_product(conv: &Conv2d, bias: bool) -> Product {
    let &Conv2d { in_channels, out_channels, .. } = conv;
    let operands = move |guard| {
        let a = patches(include_str!("../patches.wgsl"), in_channels, &[], guard);
        a + &matrix('b', false, out_channels, guard)
    };
    Product {
        name: "conv2d/forward",
        batch: 1,
        m: conv.batch * conv.out_height() * conv.out_width(),
        n: out_channels,
        k: conv.kernel * conv.kernel * in_channels,
        bias,
        activation: Activation::None,
        operands: Box::new(operands),
        geometry: Geometry::of_x(conv, 0).words(),
        row: ROW_BY_ROW,
        may_split: true,
    }
}

/// Index and words per image of the buffers that have images.
fn forward_buffers(kernel: &Conv2dForward) -> [(usize, usize); 2] {
    [(0, image_x(&kernel.conv)), (2 + usize::from(kernel.bias), image_y(&kernel.conv))]
}

pub(super) fn forward(kernel: &Conv2dForward, gpu: &GpuTraits) -> Vec<Dispatch> {
    in_windows(kernel.conv.batch, &forward_buffers(kernel), gpu, |images| {
        forward_product(&of_images(&kernel.conv, &images), kernel.bias).dispatches(gpu)
    })
}

pub(super) fn forward_scratch(kernel: &Conv2dForward, gpu: &GpuTraits) -> usize {
    let of = |images| forward_product(&of_images(&kernel.conv, &images), kernel.bias).scratch(gpu);
    windows(kernel.conv.batch, &forward_buffers(kernel), gpu).into_iter().map(of).max().unwrap_or(0)
}

/// Along one axis, the pixels of dx at `phase`, `phase + stride`, ...
struct Phase {
    phase: usize,
    pixels: usize,
    /// The first tap that reaches them; every `stride`-th from there on does.
    first_tap: usize,
    taps: usize,
    /// The pixel of dy from which the first tap reaches the first pixel.
    origin: i32,
}

fn phases(conv: &Conv2d, length: usize) -> impl Iterator<Item = Phase> {
    let &Conv2d { kernel, stride, padding, .. } = conv;
    (0..stride.min(length)).map(move |phase| {
        let first_tap = (phase + padding) % stride;
        Phase {
            phase,
            pixels: (length - phase).div_ceil(stride),
            first_tap,
            taps: kernel.saturating_sub(first_tap).div_ceil(stride),
            origin: ((phase + padding) / stride) as i32,
        }
    })
}

fn backward_data_products(conv: &Conv2d) -> Vec<Product> {
    let rows = phases(conv, conv.height);
    rows.flat_map(|y| phases(conv, conv.width).map(move |x| backward_data_product(conv, &y, &x))).collect()
}

fn backward_data_product(conv: &Conv2d, y: &Phase, x: &Phase) -> Product {
    let &Conv2d { batch, height, width, in_channels, out_channels, kernel, stride, .. } = conv;
    let operands = move |guard| {
        let values: &[(&str, &dyn Display)] =
            &[("WEIGHT_VEC4", &out_channels.is_multiple_of(4)), ("GUARD", &guard)];
        let a = patches(include_str!("../patches.wgsl"), out_channels, &[("BACKWARD_DATA", &true)], guard);
        a + &expand(include_str!("../backward_data.wgsl"), values)
    };
    let geometry = Geometry {
        image: [conv.out_height(), conv.out_width(), out_channels],
        grid: [y.pixels, x.pixels],
        step: 1,
        tap_step: -1,
        origin: [y.origin, x.origin],
        // Without a tap there is no term: any number will do to divide by.
        taps_x: x.taps.max(1),
        first_plane: 0,
    };
    let mut words = geometry.words();
    let taps = [y.first_tap * kernel + x.first_tap, stride * kernel, stride];
    let places = [stride, height, width, y.phase, x.phase];
    words.extend(taps.into_iter().chain(places).map(|word| word as u32));
    Product {
        name: "conv2d/backward_data",
        batch: 1,
        m: batch * y.pixels * x.pixels,
        n: in_channels,
        k: y.taps * x.taps * out_channels,
        bias: false,
        activation: Activation::None,
        operands: Box::new(operands),
        geometry: words,
        row: if stride == 1 { ROW_BY_ROW } else { "pixel_of_dx(row)" },
        may_split: stride == 1,
    }
}

fn backward_data_buffers(conv: &Conv2d) -> [(usize, usize); 2] {
    [(0, image_y(conv)), (2, image_x(conv))]
}

pub(super) fn backward_data(kernel: &Conv2dBackwardData, gpu: &GpuTraits) -> Vec<Dispatch> {
    in_windows(kernel.conv.batch, &backward_data_buffers(&kernel.conv), gpu, |images| {
        let products = backward_data_products(&of_images(&kernel.conv, &images));
        products.iter().flat_map(|product| product.dispatches(gpu)).collect()
    })
}

pub(super) fn backward_data_scratch(kernel: &Conv2dBackwardData, gpu: &GpuTraits) -> usize {
    let of = |images| backward_data_products(&of_images(&kernel.conv, &images));
    let windows = windows(kernel.conv.batch, &backward_data_buffers(&kernel.conv), gpu);
    windows.into_iter().flat_map(of).map(|product| product.scratch(gpu)).max().unwrap_or(0)
}

/// The gradients of `groups` groups of images. Those of several groups are a batch of products, none of which is cut into
/// windows.
fn backward_weight_product(conv: &Conv2d, groups: usize, first_plane: usize) -> Product {
    let &Conv2d { in_channels, out_channels, .. } = conv;
    let operands = move |guard| {
        let a = patches(
            include_str!("../backward_weight.wgsl"),
            in_channels,
            &[("GROUPS", &(groups > 1))],
            guard,
        );
        a + &matrix('b', false, out_channels, guard)
    };
    Product {
        name: "conv2d/backward_weight",
        batch: groups,
        m: conv.kernel * conv.kernel * in_channels,
        n: out_channels,
        k: conv.batch / groups * conv.out_height() * conv.out_width(),
        bias: false,
        activation: Activation::None,
        operands: Box::new(operands),
        geometry: Geometry::of_x(conv, first_plane).words(),
        row: "(imm.geometry.first_plane + plane) * imm.m + row",
        may_split: true,
    }
}

/// Index and words of the buffers that are cut into windows: per image, or of several groups per group.
fn backward_weight_buffers(kernel: &Conv2dBackwardWeight) -> Vec<(usize, usize)> {
    let Conv2dBackwardWeight { conv, groups, .. } = kernel;
    let each = if *groups > 1 { conv.batch / groups } else { 1 };
    let mut buffers = vec![(0, each * image_x(conv)), (1, each * image_y(conv))];
    buffers.extend((*groups > 1).then(|| (2, conv.weight_len())));
    buffers
}

/// The products of the groups in a window.
fn of_groups(kernel: &Conv2dBackwardWeight, range: &Range<usize>) -> Product {
    let each = kernel.conv.batch / kernel.groups;
    let conv = of_images(&kernel.conv, &(range.start * each..range.end * each));
    backward_weight_product(&conv, range.len(), 0)
}

/// The windows of images, each with the planes that it writes. `planes` is how many fit into scratch memory.
fn backward_weight_planes(kernel: &Conv2dBackwardWeight, gpu: &GpuTraits) -> (Vec<usize>, usize) {
    let conv = &kernel.conv;
    let of = |images| backward_weight_product(&of_images(conv, &images), 1, 0).planes(gpu);
    let windows = windows(conv.batch, &backward_weight_buffers(kernel), gpu).into_iter().map(of).collect();
    (windows, (gpu.largest_binding / conv.weight_len()).max(1))
}

pub(super) fn backward_weight(kernel: &Conv2dBackwardWeight, gpu: &GpuTraits) -> Vec<Dispatch> {
    let (conv, buffers) = (&kernel.conv, backward_weight_buffers(kernel));
    if kernel.groups > 1 {
        return in_windows(kernel.groups, &buffers, gpu, |range| of_groups(kernel, &range).dispatches(gpu));
    }
    let (planes, most) = backward_weight_planes(kernel, gpu);
    if planes == [1] {
        return backward_weight_product(conv, 1, 0).dispatches(gpu);
    }
    let whole = backward_weight_product(conv, 1, 0);
    // Planes in scratch memory, and whether dweight holds those before.
    let (mut waiting, mut begun) = (0, false);
    let mut dispatches = in_windows(conv.batch, &buffers, gpu, |images| {
        let mut dispatches = Vec::new();
        let of = of_images(conv, &images);
        let planes = backward_weight_product(&of, 1, 0).planes(gpu);
        if waiting + planes > most {
            dispatches.push(whole.combine(waiting, begun));
            (waiting, begun) = (0, true);
        }
        dispatches.push(backward_weight_product(&of, 1, waiting).partial(gpu));
        waiting += planes;
        dispatches
    });
    dispatches.push(whole.combine(waiting, begun));
    dispatches
}

pub(super) fn backward_weight_scratch(kernel: &Conv2dBackwardWeight, gpu: &GpuTraits) -> usize {
    if kernel.groups > 1 {
        let windows = windows(kernel.groups, &backward_weight_buffers(kernel), gpu);
        return windows.iter().map(|range| of_groups(kernel, range).scratch(gpu)).max().unwrap_or(0);
    }
    let (planes, most) = backward_weight_planes(kernel, gpu);
    if planes == [1] { 0 } else { planes.iter().sum::<usize>().min(most) * kernel.conv.weight_len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_share_out_the_pixels_and_the_taps() {
        for (length, kernel, stride, padding) in
            [(9, 3, 1, 1), (8, 3, 2, 1), (7, 1, 2, 0), (1, 5, 3, 2), (20, 8, 4, 0), (6, 2, 5, 1)]
        {
            let conv = Conv2d {
                batch: 1,
                height: length,
                width: length,
                in_channels: 1,
                out_channels: 1,
                kernel,
                stride,
                padding,
            };
            let mut pixels = vec![0; length];
            for Phase { phase, pixels: count, first_tap, taps, origin } in phases(&conv, length) {
                (0..count).for_each(|pixel| pixels[phase + stride * pixel] += 1);
                for (tap, pixel) in (0..taps).flat_map(|tap| (0..count).map(move |pixel| (tap, pixel))) {
                    let (u, i) = (first_tap + stride * tap, pixel as i32 + origin - tap as i32);
                    assert!(u < kernel);
                    assert_eq!(
                        stride as i32 * i + u as i32 - padding as i32,
                        (phase + stride * pixel) as i32
                    );
                }
                let reaching =
                    (0..kernel).filter(|u| (phase + padding + stride * kernel - u).is_multiple_of(stride));
                assert_eq!(reaching.count(), taps);
            }
            assert_eq!(pixels, vec![1; length]);
        }
    }
}
