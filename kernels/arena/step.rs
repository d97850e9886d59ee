//! An optimiser's step on the CPU: chunks of fixed size, vectors of sixteen parameters, and what fades to 0.

use super::CHUNK;
use crate::Cpu;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;

/// Magnitude below which a first moment is stored as 0.
pub const FADED: f32 = 1e-30;
/// Below which a second moment is stored as 0: its root is far below any eps.
pub const FADED_SQUARE: f32 = 1e-37;

/// `value`, or 0 where its magnitude is below the limit. Subtracted, not selected: a NaN stays.
#[inline(always)]
pub(super) fn faded<S: Simd>(s: S, value: S::V, magnitude: S::V, limit: f32) -> S::V {
    s.sub(value, s.keep_positive(value, s.sub(s.splat(limit), magnitude)))
}

/// The formula of an optimiser for sixteen parameters.
pub(super) trait Rule<const N: usize>: Copy + Sync {
    /// The new parameters and states from the old ones and the gradients. Must be `#[inline(always)]`.
    fn vector<S: Simd>(self, s: S, old: [S::V; N], gradient: S::V) -> [S::V; N];
}

struct Chunk<'a, R, const N: usize> {
    arenas: [&'a mut [f32]; N],
    gradients: &'a [f32],
    rule: R,
}

impl<R: Rule<N>, const N: usize> Vectorised for Chunk<'_, R, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (gradients, gradients_tail) = self.gradients.as_chunks::<LANES>();
        let mut arenas = self.arenas.map(|arena| arena.as_chunks_mut::<LANES>());
        let whole = arenas.each_mut().map(|(whole, _)| &mut whole[..gradients.len()]);
        for (i, gradient) in gradients.iter().enumerate() {
            let old = std::array::from_fn(|arena| s.load(&whole[arena][i]));
            let new = self.rule.vector(s, old, s.load(gradient));
            for arena in 0..N {
                s.store(&mut whole[arena][i], new[arena]);
            }
        }
        if !gradients_tail.is_empty() {
            let old = arenas.each_ref().map(|(_, tail)| s.load_partial(tail));
            let new = self.rule.vector(s, old, s.load_partial(gradients_tail));
            for ((_, tail), new) in arenas.iter_mut().zip(new) {
                s.store_partial(tail, new);
            }
        }
    }
}

/// One step over arenas that are as long as the gradients: the parameters and the optimiser's states.
pub(super) fn step<R: Rule<N>, const N: usize>(
    cpu: &Cpu,
    arenas: [&mut [f32]; N],
    gradients: &[f32],
    rule: R,
) {
    let len = gradients.len();
    let arenas = arenas.map(Parts::new);
    cpu.threads.run(len.div_ceil(CHUNK), &|index| {
        let range = index * CHUNK..((index + 1) * CHUNK).min(len);
        // SAFETY: every index runs once, and the ranges of different indices do not overlap.
        let arenas = arenas.each_ref().map(|arena| unsafe { arena.part(range.clone()) });
        cpu.isa.run(Chunk { arenas, gradients: &gradients[range], rule });
    });
}
