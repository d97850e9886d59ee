//! The gather on GPUs. Shapes and options are constants of the shader: division by a constant is a multiplication.

use super::{Gather, Source};
use crate::kernel::{Access, CLOCK_WGSL, Dispatch, GpuTraits, Kernel};
use crate::random;
use crate::template::expand;
use crate::windows::in_windows;

/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;
/// Threads of a workgroup on a software driver, each on its own strip.
const SOFTWARE_WORKGROUP: usize = 64;
/// Most quads of such a strip: enough to hide what finding the row costs.
const STRIP: usize = 128;

/// One launch, or one for each window of the images, which finds only the rows that lie in it.
pub(super) fn dispatches(kernel: &Gather, gpu: &GpuTraits) -> Vec<Dispatch> {
    let quads = kernel.image_words();
    let strips = quads.div_ceil(STRIP);
    let source = source(kernel, gpu.software, quads.div_ceil(strips), strips);
    let normalisation = kernel.normalisation();
    let (first_row, last_row) = match kernel.source {
        Source::Resident => (0, kernel.images_rows - 1),
        Source::Chunk { first_row } => (first_row, u32::MAX as usize),
        Source::Streamed => (0, kernel.batch - 1),
    };
    // A streamed batch is no longer than x, which is not cut either.
    let images = [(0, quads)];
    let cut = if kernel.source == Source::Streamed { &[][..] } else { &images };
    in_windows(kernel.images_rows, cut, gpu, |rows| {
        let mut immediates: Vec<u32> = [
            kernel.examples,
            kernel.batch,
            first_row + rows.start,
            rows.len(),
            last_row,
            random::shuffle_bits(kernel.examples as u32) as usize,
        ]
        .map(|v| v as u32)
        .to_vec();
        immediates.extend(normalisation.iter().flatten().map(|v| v.to_bits()));
        let workgroups = match gpu.software {
            true => (kernel.batch * strips).div_ceil(SOFTWARE_WORKGROUP),
            false => kernel.batch,
        };
        vec![Dispatch {
            label: format!("{} {}", kernel.name(), if gpu.software { "strips" } else { "rows" }).into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: vec![
                (0, Access::Read),
                (1, Access::Read),
                (2, Access::Read),
                (3, Access::ReadWrite),
                (4, Access::ReadWrite),
            ],
            immediates,
            clock: true,
            grid: [workgroups.min(GRID) as u32, 1, 1],
            windows: Vec::new(),
        }]
    })
}

/// The text of the shader; `strip` and `strips` are used by software drivers only.
fn source(kernel: &Gather, software: bool, strip: usize, strips: usize) -> String {
    let main = if software { include_str!("strips.wgsl") } else { include_str!("rows.wgsl") };
    let vectors = kernel.values().is_multiple_of(4);
    let element = if vectors { "vec4<f32>" } else { "f32" };
    let crop = kernel.augment.is_some();
    let (padding, flip) = kernel.augment.map_or((0, false), |augment| (augment.padding, augment.flip));
    let text = expand(
        &[include_str!("gather.wgsl"), main].concat(),
        &[
            ("ELEMENT", &element),
            ("VECTORS", &vectors),
            ("HEIGHT", &kernel.height),
            ("WIDTH", &kernel.width),
            ("CHANNELS", &kernel.channels),
            ("SHUFFLE", &kernel.shuffle),
            ("STREAMED", &(kernel.source == Source::Streamed)),
            ("CROP", &crop),
            ("PADDING", &padding),
            ("FLIP", &flip),
            ("STRIPS", &strips),
            ("STRIP", &strip),
        ],
    );
    [CLOCK_WGSL, &random::wgsl(), &text].concat()
}
