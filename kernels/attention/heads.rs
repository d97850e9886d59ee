//! Queries, keys and values of all heads as matrices of one head each, and back.

use super::Attention;
use crate::size::words;
use crate::template::expand;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Takes `[N, T, parts, H, d]` apart into `parts` tensors `[N, H, T, d]`: qkv with three, O with one. Buffers: `joined`
/// (read), `first`, `second`, `third` (written), as many as there are parts.
#[derive(Clone, Copy, Debug)]
pub struct SplitHeads {
    /// The sizes.
    pub attention: Attention,
    /// 1 or 3.
    pub parts: usize,
}

/// Puts `parts` tensors `[N, H, T, d]` together as `[N, T, parts, H, d]`. Buffers: `first`, `second`, `third` (read), as
/// many as there are parts, `joined` (written).
#[derive(Clone, Copy, Debug)]
pub struct MergeHeads {
    /// The sizes.
    pub attention: Attention,
    /// 1 or 3.
    pub parts: usize,
}

const NAMES: [&str; 3] = ["first", "second", "third"];
/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;

fn shape(attention: &Attention, parts: usize) -> String {
    format!("{} in {parts}", attention.shape())
}

/// Everything is read once and written once.
fn cost(attention: &Attention, parts: usize) -> Cost {
    Cost { flops: 0, bytes: 8 * (parts * attention.len()) as u64 }
}

/// `joined` is the number of its buffer; the parts are the others, in order.
fn dispatches(
    label: &'static str,
    attention: &Attention,
    parts: usize,
    merge: bool,
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let Attention { batch, tokens, heads, head_size, .. } = *attention;
    let words = attention.len() / batch;
    let (joined, first) = if merge { (parts, 0) } else { (0, 1) };
    let source = expand(include_str!("heads.wgsl"), &[("PARTS", &parts), ("MERGE", &merge)]);
    let [from, to] =
        if merge { [Access::ReadWrite, Access::Read] } else { [Access::Read, Access::ReadWrite] };
    let mut buffers = vec![(joined, parts * words)];
    buffers.extend((first..first + parts).map(|part| (part, words)));
    let mut bindings = vec![(joined, from)];
    bindings.extend((first..first + parts).map(|part| (part, to)));
    in_windows(batch, &buffers, gpu, |images| {
        let len = images.len() * words;
        vec![Dispatch {
            label: label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: bindings.clone(),
            windows: Vec::new(),
            immediates: [len, tokens, heads, head_size].map(|v| v as u32).to_vec(),
            clock: false,
            grid: [len.div_ceil(WORKGROUP).min(GRID) as u32, 1, 1],
        }]
    })
}

impl Kernel for SplitHeads {
    fn name(&self) -> &'static str {
        "attention/split_heads"
    }
    fn shape(&self) -> String {
        shape(&self.attention, self.parts)
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = self.attention.len();
        let parts = NAMES[..self.parts].iter().map(|name| Binding::write(name, len));
        std::iter::once(Binding::read("joined", words([self.parts, len]))).chain(parts).collect()
    }
    fn cost(&self) -> Cost {
        cost(&self.attention, self.parts)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        dispatches(self.name(), &self.attention, self.parts, false, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let Attention { tokens, heads, head_size, .. } = self.attention;
        let (mut args, _) = args.each();
        let joined = args.next().expect("as many buffers as declared").f32();
        for (part, to) in args.enumerate() {
            cpu.threads.chunks_mut(to.f32_mut(), tokens * head_size, &|head, to| {
                let (n, h) = (head / heads, head % heads);
                for (t, to) in to.chunks_exact_mut(head_size).enumerate() {
                    let at = ((n * tokens + t) * self.parts + part) * heads + h;
                    to.copy_from_slice(&joined[at * head_size..][..head_size]);
                }
            });
        }
    }
}

impl Kernel for MergeHeads {
    fn name(&self) -> &'static str {
        "attention/merge_heads"
    }
    fn shape(&self) -> String {
        shape(&self.attention, self.parts)
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = self.attention.len();
        let parts = NAMES[..self.parts].iter().map(|name| Binding::read(name, len));
        parts.chain([Binding::write("joined", words([self.parts, len]))]).collect()
    }
    fn cost(&self) -> Cost {
        cost(&self.attention, self.parts)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        dispatches(self.name(), &self.attention, self.parts, true, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let Attention { tokens, heads, head_size, .. } = self.attention;
        let (args, _) = args.each();
        let [parts @ .., joined] = args.into_slice() else { unreachable!("there is a joined buffer") };
        let parts = &*parts;
        cpu.threads.chunks_mut(joined.f32_mut(), self.parts * heads * head_size, &|token, to| {
            let (n, t) = (token / tokens, token % tokens);
            for (index, to) in to.chunks_exact_mut(head_size).enumerate() {
                let (part, h) = (index / heads, index % heads);
                let at = (n * heads + h) * tokens + t;
                to.copy_from_slice(&parts[part].f32()[at * head_size..][..head_size]);
            }
        });
    }
}
