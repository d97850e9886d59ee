//! What a kernel declares: its buffers, its cost, its GPU launches, and the same maths on the CPU.

use crate::cpu::Cpu;
use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;

/// How a kernel uses one of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Every word is written, none is read before: the old contents do not matter.
    Write,
    /// Updated in place.
    ReadWrite,
}

/// Words to which every buffer and every slice of an arena is padded: 256 bytes, the alignment of GPU bindings.
pub const ALIGNMENT: usize = 64;

/// One buffer argument of a kernel.
///
/// On a GPU every buffer starts at a multiple of [`ALIGNMENT`] words and is padded to the next one, so that a shader may
/// bind it as `array<vec4<f32>>`. A shader may read the padding, but its result depends on none of it (there may be a
/// NaN), and it changes none of it: behind a gradient lies the padding of the gradient arena, which the global norm sums
/// up. On the CPU a buffer is exactly `words` long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name used in formulas, in the shader and in `ht inspect`.
    pub name: &'static str,
    /// Read, written, or both.
    pub access: Access,
    /// Length in 32-bit words. A bound buffer has at least this many.
    pub words: usize,
    /// Whether the words are integers or bits and not floats: any of them is a valid value.
    pub integers: bool,
}

impl Binding {
    /// A buffer of `words` words that is only read.
    pub fn read(name: &'static str, words: usize) -> Self {
        Self { name, access: Access::Read, words, integers: false }
    }
    /// A buffer whose first `words` words are all written and not read.
    pub fn write(name: &'static str, words: usize) -> Self {
        Self { name, access: Access::Write, words, integers: false }
    }
    /// A buffer of `words` words updated in place.
    pub fn read_write(name: &'static str, words: usize) -> Self {
        Self { name, access: Access::ReadWrite, words, integers: false }
    }
    /// The same buffer, of integers or bits.
    #[must_use]
    pub fn integers(self) -> Self {
        Self { integers: true, ..self }
    }
}

/// What one run of a kernel costs: arithmetic, and the bytes that must cross memory at least once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations (a fused multiply-add counts two).
    pub flops: u64,
    /// Bytes read and written, each buffer once per pass over it.
    pub bytes: u64,
}

/// What may change from step to step. The host computes it in f64 and hands it to every launch: on the GPU it rides
/// in the immediates, so a step uploads nothing. Its layout is `struct Clock` in `clock.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Clock {
    /// Seed of the run, the key of every random stream.
    pub seed: u32,
    /// Training steps taken so far in the whole run: the counter of per-step randomness (dropout).
    pub step: u32,
    /// Epochs begun so far in the whole run: the counter of the shuffle.
    pub epoch: u32,
    /// Position of the batch's first example in the epoch's shuffled order.
    pub cursor: u32,
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// `1 - beta1^t`, with t counted from 1 in the current phase.
    pub bias_correction1: f32,
    /// `sqrt(1 - beta2^t)`.
    pub bias_correction2_sqrt: f32,
    /// Row of the metrics ring that this step writes.
    pub slot: u32,
    /// Transitions appended to the replay so far in the whole run, fewer than 2^32.
    pub appended: u32,
}

/// Number of 32-bit words in a [`Clock`].
pub const CLOCK_WORDS: usize = size_of::<Clock>() / 4;

/// WGSL text of `struct Clock`, put before every shader whose dispatch asks for the clock.
pub const CLOCK_WGSL: &str = include_str!("clock.wgsl");

/// The properties of a GPU that a kernel may choose its tiles by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuTraits {
    /// A software driver (lavapipe, WARP): it vectorises along x only, and shared memory and barriers cost it dearly.
    pub software: bool,
    /// Bytes of workgroup memory a workgroup may use; kernels keep below 32 KiB anyway.
    pub workgroup_memory: u32,
    /// About how many workgroups of 256 threads run at once; decides tile sizes and split-K.
    pub concurrent_workgroups: u32,
    /// Words of the longest range of a buffer that a launch may bind; a longer buffer is bound in
    /// [windows](crate::windows).
    pub largest_binding: usize,
}

/// The index that stands for the kernel's scratch buffer in [`Dispatch::bindings`].
pub const SCRATCH: usize = usize::MAX;

/// One launch of one shader.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// What is launched, such as `matmul/tiled 64x64x16`.
    pub label: Cow<'static, str>,
    /// The WGSL text that really runs; its entry point is `main`.
    pub source: Cow<'static, str>,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// The kernel's buffers in the shader's order of `@binding(0)`, `@binding(1)`, ...: an index into
    /// [`Kernel::bindings`], or [`SCRATCH`], and whether the shader declares it `read` or `read_write`. Behind the words
    /// that a [`Binding`] declares lies padding, which the shader leaves as it is.
    pub bindings: Vec<(usize, Access)>,
    /// The words that are bound of a buffer (an index into [`Kernel::bindings`], or [`SCRATCH`]) that is not bound whole.
    /// The first is a multiple of [`ALIGNMENT`], and so is the number of words, or the window ends with the buffer.
    pub windows: Vec<(usize, Range<usize>)>,
    /// The words of `var<immediate>`, without the clock.
    pub immediates: Vec<u32>,
    /// Append the [`Clock`] to the immediates.
    pub clock: bool,
    /// Workgroups in x, y, z; each at most 65,535.
    pub grid: [u32; 3],
}

/// A kernel with its shapes fixed: what it reads and writes, what it costs, and how either device runs it.
pub trait Kernel: Debug + Send + Sync {
    /// `family/pass`, such as `batch_norm/forward`.
    fn name(&self) -> &'static str;

    /// Shapes and options in short, such as `256x512x784 nt +bias`.
    fn shape(&self) -> String;

    /// The buffers, in the order in which both devices receive them.
    fn bindings(&self) -> Vec<Binding>;

    /// Arithmetic and memory traffic of one run.
    fn cost(&self) -> Cost;

    /// The launches that do the work on a GPU, in order.
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch>;

    /// Words of scratch memory that [`Kernel::dispatches`] binds as [`SCRATCH`].
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        0
    }

    /// Words of scratch memory that [`Kernel::run`] finds in the scratch of [`Args::split`].
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        0
    }

    /// The same maths on the CPU. Allocates nothing. [`crate::run()`] is this behind a check.
    ///
    /// # Safety
    /// Kernels take pointers into their buffers. So `args` holds exactly the buffers of [`Kernel::bindings`], each as long
    /// as its binding says and [`Arg::Write`] if it is not only read, and [`Kernel::cpu_scratch`] words of scratch memory.
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args);
}

/// The most buffers a kernel may have: what WebGPU guarantees per shader stage.
pub const MAX_BINDINGS: usize = 8;

/// One buffer as a CPU kernel receives it.
#[derive(Debug)]
pub enum Arg<'a> {
    /// A buffer declared [`Access::Read`].
    Read(&'a [u32]),
    /// A buffer declared [`Access::Write`] or [`Access::ReadWrite`].
    Write(&'a mut [u32]),
}

impl Arg<'_> {
    /// The words as floats.
    pub fn f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.u32())
    }
    /// The words as unsigned integers.
    pub fn u32(&self) -> &[u32] {
        match self {
            Arg::Read(words) => words,
            Arg::Write(words) => words,
        }
    }
    /// The words as bytes, in memory order.
    pub fn u8(&self) -> &[u8] {
        bytemuck::cast_slice(self.u32())
    }
    /// The words as floats, to be written.
    ///
    /// # Panics
    /// If the kernel declared this buffer as read only: a bug in the kernel.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.u32_mut())
    }
    /// The words, to be written.
    ///
    /// # Panics
    /// If the kernel declared this buffer as read only: a bug in the kernel.
    pub fn u32_mut(&mut self) -> &mut [u32] {
        match self {
            Arg::Read(_) => panic!("a kernel writes a buffer that it declared as read only"),
            Arg::Write(words) => words,
        }
    }
}

/// The buffers of one CPU run and scratch memory. Whether they are those that a kernel declares is for [`crate::run()`] to
/// check.
#[derive(Debug)]
pub struct Args<'a> {
    slots: [Arg<'a>; MAX_BINDINGS],
    len: usize,
    scratch: &'a mut [u32],
}

impl<'a> Args<'a> {
    /// Arguments in the order of [`Kernel::bindings`].
    ///
    /// # Panics
    /// If there are more than [`MAX_BINDINGS`].
    pub fn new(buffers: impl IntoIterator<Item = Arg<'a>>, scratch: &'a mut [u32]) -> Self {
        let mut slots = std::array::from_fn(|_| Arg::Read(&[]));
        let mut len = 0;
        for buffer in buffers {
            slots[len] = buffer;
            len += 1;
        }
        Self { slots, len, scratch }
    }

    /// The buffers one by one, and the scratch memory, so that several can be written at once:
    /// `let ([x, y], scratch) = args.split();`
    ///
    /// # Panics
    /// If the kernel has another number of buffers: a bug in the kernel.
    pub fn split<const N: usize>(&mut self) -> ([&mut Arg<'a>; N], &mut [u32]) {
        assert_eq!(self.len, N, "a kernel takes another number of buffers than it declared");
        let mut slots = self.slots.iter_mut();
        (std::array::from_fn(|_| slots.next().expect("N is at most MAX_BINDINGS")), self.scratch)
    }

    /// The same one after the other, for kernels whose options decide how many there are.
    pub fn each(&mut self) -> (std::slice::IterMut<'_, Arg<'a>>, &mut [u32]) {
        (self.slots[..self.len].iter_mut(), self.scratch)
    }
}
