//! The softmax of rows and its derivatives on the CPU: rows as tasks, sums in f64.

use super::{Softmax, SoftmaxGradientTangent, SoftmaxTangent};
use crate::math::exp_not_positive;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Cpu};

/// Some rows of a softmax.
struct Rows<'a> {
    columns: usize,
    scale: f32,
    x: &'a [f32],
    p: &'a mut [f32],
}

impl Vectorised for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (x, p) in self.x.chunks_exact(self.columns).zip(self.p.chunks_exact_mut(self.columns)) {
            // A NaN is the largest: then every value of the row is one.
            let largest = x.iter().fold(x[0], |most, &x| if x <= most { most } else { x });
            let mut sum = 0.0;
            for (x, p) in x.chunks(LANES).zip(p.chunks_mut(LANES)) {
                let differences = s.sub(s.load_partial(x), s.splat(largest));
                s.store_partial(p, exp_not_positive(s, s.mul(differences, s.splat(self.scale))));
                sum += p.iter().map(|&p| f64::from(p)).sum::<f64>();
            }
            p.iter_mut().for_each(|p| *p /= sum as f32);
        }
    }
}

pub(super) fn softmax(kernel: &Softmax, cpu: &Cpu, args: &mut Args) {
    let ([x, p], _) = args.split();
    let &Softmax { rows, columns, scale } = kernel;
    let (x, p) = (x.f32(), Parts::new(p.f32_mut()));
    cpu.over_rows(rows, columns, |part| {
        let all = part.start * columns..part.end * columns;
        // SAFETY: every row belongs to one task.
        let p = unsafe { p.part(all.clone()) };
        cpu.isa.run(Rows { columns, scale, x: &x[all], p });
    });
}

/// `Σ a b`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

pub(super) fn tangent(kernel: &SoftmaxTangent, cpu: &Cpu, args: &mut Args) {
    let ([p, a, y], _) = args.split();
    let &SoftmaxTangent { rows, columns, scale, shift } = kernel;
    let (p, a, y) = (p.f32(), a.f32(), Parts::new(y.f32_mut()));
    cpu.over_rows(rows, columns, |part| {
        for row in part {
            let all = row * columns..(row + 1) * columns;
            // SAFETY: every row belongs to one task.
            let y = unsafe { y.part(all.clone()) };
            let (p, a) = (&p[all.clone()], &a[all]);
            let mean = dot(p, a) as f32;
            for ((&p, &a), y) in p.iter().zip(a).zip(y) {
                *y = scale * p * (a - mean) + shift * a;
            }
        }
    });
}

pub(super) fn gradient_tangent(kernel: &SoftmaxGradientTangent, cpu: &Cpu, args: &mut Args) {
    let ([p, p_tangent, a, a_tangent, y], _) = args.split();
    let &SoftmaxGradientTangent { rows, columns, scale } = kernel;
    let (p, p_tangent, a, a_tangent) = (p.f32(), p_tangent.f32(), a.f32(), a_tangent.f32());
    let y = Parts::new(y.f32_mut());
    cpu.over_rows(rows, columns, |part| {
        for row in part {
            let all = row * columns..(row + 1) * columns;
            // SAFETY: every row belongs to one task.
            let y = unsafe { y.part(all.clone()) };
            let [p, p_tangent, a, a_tangent] =
                [p, p_tangent, a, a_tangent].map(|values| &values[all.clone()]);
            let mean = dot(p, a) as f32;
            let mean_tangent = (dot(p_tangent, a) + dot(p, a_tangent)) as f32;
            for (k, y) in y.iter_mut().enumerate() {
                *y = scale * (p_tangent[k] * (a[k] - mean) + p[k] * (a_tangent[k] - mean_tangent));
            }
        }
    });
}
