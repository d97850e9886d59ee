//! The launches: a thread moves one element, four neighbours where rows are whole vectors.

use super::{Embed, EmbedBackward, Patches, Positions, Select};
use crate::kernel::{Access, Dispatch, GpuTraits};
use crate::template::expand;
use crate::windows::in_windows;
use Access::{Read, ReadWrite};

/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid; shaders stride over the rest.
const GRID: usize = 65_535;

/// Floats of an element, and the shader for it.
fn source(text: &str, width: usize) -> (usize, String) {
    let vector = if width.is_multiple_of(4) { 4 } else { 1 };
    let element = if vector == 4 { "vec4<f32>" } else { "f32" };
    (vector, expand(text, &[("ELEMENT", &element)]))
}

fn dispatch(
    label: &'static str,
    source: &str,
    bindings: &[(usize, Access)],
    immediates: &[usize],
    threads: usize,
) -> Dispatch {
    Dispatch {
        label: label.into(),
        source: source.to_string().into(),
        constants: Vec::new(),
        bindings: bindings.to_vec(),
        windows: Vec::new(),
        immediates: immediates.iter().map(|&word| word as u32).collect(),
        clock: false,
        grid: [threads.div_ceil(WORKGROUP).clamp(1, GRID) as u32, 1, 1],
    }
}

pub(super) fn patches(kernel: &Patches, gpu: &GpuTraits) -> Vec<Dispatch> {
    let Patches { batch, height, width, channels, patch } = *kernel;
    let image = height * width * channels;
    let run = patch * channels;
    let (vector, source) = source(include_str!("patches.wgsl"), run);
    in_windows(batch, &[(0, image), (1, image)], gpu, |images| {
        let elements = images.len() * image / vector;
        let immediates = [elements, run / vector, patch, width / patch];
        vec![dispatch("tokens/patches", &source, &[(0, Read), (1, ReadWrite)], &immediates, elements)]
    })
}

pub(super) fn embed(kernel: &Embed, gpu: &GpuTraits) -> Vec<Dispatch> {
    let Embed { batch, tokens, width } = *kernel;
    let (vector, source) = source(include_str!("embed.wgsl"), width);
    let buffers = [(0, tokens * width), (3, (tokens + 1) * width)];
    in_windows(batch, &buffers, gpu, |range| {
        let elements = range.len() * (tokens + 1) * width / vector;
        let bindings = [(0, Read), (1, Read), (2, Read), (3, ReadWrite)];
        let immediates = [elements, tokens + 1, width / vector];
        vec![dispatch("tokens/embed", &source, &bindings, &immediates, elements)]
    })
}

pub(super) fn embed_backward(kernel: &EmbedBackward, gpu: &GpuTraits) -> Vec<Dispatch> {
    let EmbedBackward { embed: Embed { batch, tokens, width }, groups } = *kernel;
    let (vector, source) = source(include_str!("embed_backward.wgsl"), width);
    let sequence = (tokens + 1) * width;
    // Sequences that are never cut apart; of a single group, later windows add to the sums of the earlier ones.
    let each = if groups > 1 { batch / groups } else { 1 };
    let mut buffers = vec![(0, each * sequence), (1, each * tokens * width)];
    if groups > 1 {
        buffers.extend([(2, width), (3, sequence)]);
    }
    in_windows(batch / each, &buffers, gpu, |range| {
        let (count, in_group) = if groups > 1 { (range.len(), each) } else { (1, range.len()) };
        let bindings = [(0, Read), (1, ReadWrite), (2, ReadWrite), (3, ReadWrite)];
        let add = usize::from(groups == 1 && range.start > 0);
        let immediates = [in_group, tokens + 1, width / vector, add, count];
        let elements = sequence / vector;
        let mut dispatch = dispatch("tokens/embed_backward", &source, &bindings, &immediates, elements);
        dispatch.grid[1] = count.min(GRID) as u32;
        vec![dispatch]
    })
}

pub(super) fn positions(kernel: &Positions, gpu: &GpuTraits) -> Vec<Dispatch> {
    let Positions { batch, sequence } = *kernel;
    let (vector, source) = source(include_str!("positions.wgsl"), sequence);
    in_windows(batch, &[(0, sequence), (2, sequence)], gpu, |range| {
        let elements = range.len() * sequence / vector;
        let bindings = [(0, Read), (1, Read), (2, ReadWrite)];
        vec![dispatch("tokens/positions", &source, &bindings, &[elements, sequence / vector], elements)]
    })
}

pub(super) fn select(kernel: &Select, gpu: &GpuTraits) -> Vec<Dispatch> {
    let Select { batch, tokens, width } = *kernel;
    let (vector, source) = source(include_str!("select.wgsl"), width);
    in_windows(batch, &[(0, tokens * width), (1, width)], gpu, |range| {
        let elements = range.len() * width / vector;
        let immediates = [elements, tokens, width / vector];
        vec![dispatch("tokens/select", &source, &[(0, Read), (1, ReadWrite)], &immediates, elements)]
    })
}

pub(super) fn select_backward(kernel: &Select, gpu: &GpuTraits) -> Vec<Dispatch> {
    let Select { batch, tokens, width } = *kernel;
    let (vector, source) = source(include_str!("select_backward.wgsl"), width);
    in_windows(batch, &[(0, width), (1, tokens * width)], gpu, |range| {
        let elements = range.len() * tokens * width / vector;
        let immediates = [elements, tokens, width / vector];
        let bindings = [(0, Read), (1, ReadWrite)];
        vec![dispatch("tokens/select_backward", &source, &bindings, &immediates, elements)]
    })
}
