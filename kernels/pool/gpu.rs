//! Pooling on GPUs: one thread per four channels of a written pixel, over windows of images where buffers are long.

use super::Pool2d;
use crate::kernel::{Access, Dispatch, GpuTraits};
use crate::template::expand;
use crate::windows::in_windows;

/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;

/// What a pass is made of.
struct Pass<'a> {
    label: &'static str,
    source: &'static str,
    /// Buffers in the order of the shader: what it reads as vectors, what it writes, argmax.
    bindings: &'a [(usize, Access)],
    /// Buffers with their words per image.
    images: &'a [(usize, usize)],
    /// Rows and columns of the image that is written.
    written: [usize; 2],
}

fn launches(pass: &Pass<'_>, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let vectors = pool.channels.is_multiple_of(4);
    let element = if vectors { "vec4<f32>" } else { "f32" };
    let text = [include_str!("quads.wgsl"), pass.source].concat();
    let source = expand(
        &text,
        &[
            ("ELEMENT", &element),
            ("VECTORS", &vectors),
            ("KERNEL", &pool.kernel),
            ("STRIDE", &pool.stride),
            ("PADDING", &pool.padding),
        ],
    );
    in_windows(pool.batch, pass.images, gpu, |images| {
        let pixels = images.len() * pass.written[0] * pass.written[1];
        vec![Dispatch {
            label: pass.label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: pass.bindings.to_vec(),
            windows: Vec::new(),
            immediates: [
                images.len(),
                pool.height,
                pool.width,
                pool.out_height(),
                pool.out_width(),
                pool.channels,
            ]
            .map(|v| v as u32)
            .to_vec(),
            clock: false,
            grid: [(pixels * pool.quads()).div_ceil(WORKGROUP).min(GRID) as u32, 1, 1],
        }]
    })
}

/// Words per image of x, y and argmax.
fn words(pool: &Pool2d) -> [usize; 3] {
    [pool.x_len(), pool.y_len(), pool.argmax_words()].map(|words| words / pool.batch)
}

pub(super) fn max_forward(label: &'static str, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let [x, y, argmax] = words(pool);
    let pass = Pass {
        label,
        source: include_str!("max_forward.wgsl"),
        bindings: &[(0, Access::Read), (1, Access::ReadWrite), (2, Access::ReadWrite)],
        images: &[(0, x), (1, y), (2, argmax)],
        written: [pool.out_height(), pool.out_width()],
    };
    launches(&pass, pool, gpu)
}

pub(super) fn max_backward(label: &'static str, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let [x, y, argmax] = words(pool);
    let pass = Pass {
        label,
        source: include_str!("max_backward.wgsl"),
        bindings: &[(0, Access::Read), (2, Access::ReadWrite), (1, Access::Read)],
        images: &[(0, y), (1, argmax), (2, x)],
        written: [pool.height, pool.width],
    };
    launches(&pass, pool, gpu)
}

pub(super) fn max_tangent(label: &'static str, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let [x, y, argmax] = words(pool);
    let pass = Pass {
        label,
        source: include_str!("max_tangent.wgsl"),
        bindings: &[(0, Access::Read), (2, Access::ReadWrite), (1, Access::Read)],
        images: &[(0, x), (1, argmax), (2, y)],
        written: [pool.out_height(), pool.out_width()],
    };
    launches(&pass, pool, gpu)
}

pub(super) fn average_forward(label: &'static str, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let [x, y, _] = words(pool);
    let pass = Pass {
        label,
        source: include_str!("average_forward.wgsl"),
        bindings: &[(0, Access::Read), (1, Access::ReadWrite)],
        images: &[(0, x), (1, y)],
        written: [pool.out_height(), pool.out_width()],
    };
    launches(&pass, pool, gpu)
}

pub(super) fn average_backward(label: &'static str, pool: &Pool2d, gpu: &GpuTraits) -> Vec<Dispatch> {
    let [x, y, _] = words(pool);
    let pass = Pass {
        label,
        source: include_str!("average_backward.wgsl"),
        bindings: &[(0, Access::Read), (1, Access::ReadWrite)],
        images: &[(0, y), (1, x)],
        written: [pool.height, pool.width],
    };
    launches(&pass, pool, gpu)
}
