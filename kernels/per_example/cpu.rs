//! Rows of gradients on the CPU: a row is a task.

use super::Scatter;
use crate::simd::{Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Cpu};

pub(super) fn scatter(kernel: &Scatter, cpu: &Cpu, args: &mut Args) {
    let ([g, rows], _) = args.split();
    let &Scatter { columns, words, offset, scale, .. } = kernel;
    let (g, rows) = (g.f32(), Parts::new(rows.f32_mut()));
    cpu.over_rows(kernel.rows, columns, |part| {
        for n in part {
            let start = n * words + offset;
            // SAFETY: every row belongs to one task.
            let to = unsafe { rows.part(start..start + columns) };
            to.iter_mut().zip(&g[n * columns..(n + 1) * columns]).for_each(|(to, from)| *to = scale * from);
        }
    });
}

/// Floats whose squares are summed in single precision before double precision takes over.
const CHUNK: usize = 4096;

/// Sum of squares.
struct Squares<'a>(&'a [f32]);

impl Vectorised for Squares<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(0.0); 4];
        let (vectors, tail) = self.0.as_chunks::<16>();
        for (i, v) in vectors.iter().enumerate() {
            let v = s.load(v);
            sums[i % 4] = s.fma(v, v, sums[i % 4]);
        }
        let v = s.load_partial(tail);
        sums[0] = s.fma(v, v, sums[0]);
        s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
    }
}

/// `norms[n] (+)= scale² Π_m Σ_c m[n, c]²` over the matrices m, each with its columns.
pub(super) fn norms<const N: usize>(
    cpu: &Cpu,
    (scale, add): (f32, bool),
    matrices: [(&[f32], usize); N],
    norms: &mut [f32],
) {
    let square =
        |row: &[f32]| row.chunks(CHUNK).map(|chunk| f64::from(cpu.isa.run(Squares(chunk)))).sum::<f64>();
    let columns = matrices.iter().map(|&(_, columns)| columns).sum();
    let (rows, norms) = (norms.len(), Parts::new(norms));
    cpu.over_rows(rows, columns, |part| {
        // SAFETY: every row belongs to one task.
        let norms = unsafe { norms.part(part.clone()) };
        for (norm, n) in norms.iter_mut().zip(part) {
            let of = |&(matrix, columns): &(&[f32], usize)| square(&matrix[n * columns..(n + 1) * columns]);
            let value = f64::from(scale * scale) * matrices.iter().map(of).product::<f64>();
            *norm = if add { *norm + value as f32 } else { value as f32 };
        }
    });
}
