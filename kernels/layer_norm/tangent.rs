//! How layer normalisation and its gradients move when x and the parameters move along a direction.
//!
//! A prime is a derivative along the direction, `u = xhat`, and means are taken over the row:
//!
//! ```text
//! u' = inverse (x' - mean(x') - u mean(u x'))        inverse' = -inverse² mean(u x')
//! y' = weight u' + weight' u + bias'
//!
//! g = weight dy        g' = weight dy' + weight' dy        r = inverse' / inverse
//! dx' = inverse (g' + r g - mean(g' + r g) - u (mean((g' + r g) u) + mean(g u')) - u' mean(g u))
//! product = dy' u + dy u'        dweight' = Σ_rows product        dbias' = Σ_rows dy'
//! ```
//!
//! The sums over rows are [`ColumnSum`](crate::reduce::ColumnSum)'s. A residual before the normalisation is for others.

use crate::size::words;
use crate::threads::Parts;
use crate::{Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel, rows};

/// y' of layer normalisation. Buffers: `x`, `x_tangent`, `weight`, `weight_tangent`, `bias_tangent` (read), `y_tangent`
/// (written).
#[derive(Clone, Copy, Debug)]
pub struct LayerNormTangent {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// The last axis.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// dx' and the product of which dweight' is the sum. Buffers: `x`, `x_tangent`, `weight`, `weight_tangent`, `dy`,
/// `dy_tangent` (read), `dx_tangent`, `product` (written).
#[derive(Clone, Copy, Debug)]
pub struct LayerNormGradientTangent {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// The last axis.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl Kernel for LayerNormTangent {
    fn name(&self) -> &'static str {
        "layer_norm/tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.width)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.width]);
        vec![
            Binding::read("x", all),
            Binding::read("x_tangent", all),
            Binding::read("weight", self.width),
            Binding::read("weight_tangent", self.width),
            Binding::read("bias_tangent", self.width),
            Binding::write("y_tangent", all),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.width) as u64;
        // Mean and variance: 4, sums: 4, u': 6, y': 4.
        Cost { flops: 18 * all, bytes: 4 * (3 * all + 3 * self.width as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let source = [include_str!("normal.wgsl"), include_str!("tangent.wgsl")].concat();
        let numbers = [self.eps, 1.0 / self.width as f32];
        rows::launches(self.name(), &source, [self.rows, self.width], &self.bindings(), numbers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, x_tangent, weight, weight_tangent, bias_tangent, y_tangent], _) = args.split();
        let (x, x_tangent) = (x.f32(), x_tangent.f32());
        let (weight, weight_tangent, bias_tangent) = (weight.f32(), weight_tangent.f32(), bias_tangent.f32());
        let y_tangent = Parts::new(y_tangent.f32_mut());
        cpu.over_rows(self.rows, self.width, |part| {
            for row in part {
                let all = row * self.width..(row + 1) * self.width;
                let (x, moved) = (&x[all.clone()], &x_tangent[all.clone()]);
                let normal = Normal::of(x, moved, self.eps);
                // SAFETY: every row belongs to one task.
                let to = unsafe { y_tangent.part(all) };
                for (c, to) in to.iter_mut().enumerate() {
                    let (u, u_moved) = normal.at(x[c], moved[c]);
                    *to = (f64::from(weight[c]) * u_moved + f64::from(weight_tangent[c]) * u) as f32
                        + bias_tangent[c];
                }
            }
        });
    }
}

impl Kernel for LayerNormGradientTangent {
    fn name(&self) -> &'static str {
        "layer_norm/gradient_tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.width)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.width]);
        vec![
            Binding::read("x", all),
            Binding::read("x_tangent", all),
            Binding::read("weight", self.width),
            Binding::read("weight_tangent", self.width),
            Binding::read("dy", all),
            Binding::read("dy_tangent", all),
            Binding::write("dx_tangent", all),
            Binding::write("product", all),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.width) as u64;
        // Mean and variance: 4, sums: 4, u': 6, g and g': 4, sums: 9, dx': 9, product: 3.
        Cost { flops: 39 * all, bytes: 4 * (6 * all + 2 * self.width as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let source = [include_str!("normal.wgsl"), include_str!("gradient_tangent.wgsl")].concat();
        let numbers = [self.eps, 1.0 / self.width as f32];
        rows::launches(self.name(), &source, [self.rows, self.width], &self.bindings(), numbers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, x_tangent, weight, weight_tangent, dy, dy_tangent, dx_tangent, product], _) = args.split();
        let [x, x_tangent, dy, dy_tangent] = [&*x, x_tangent, dy, dy_tangent].map(|arg| arg.f32());
        let (weight, weight_tangent) = (weight.f32(), weight_tangent.f32());
        let (dx_tangent, product) = (Parts::new(dx_tangent.f32_mut()), Parts::new(product.f32_mut()));
        cpu.over_rows(self.rows, self.width, |part| {
            for row in part {
                let all = row * self.width..(row + 1) * self.width;
                // SAFETY: every row belongs to one task.
                let (to, product) = unsafe { (dx_tangent.part(all.clone()), product.part(all.clone())) };
                let [x, moved, dy, dy_moved] =
                    [x, x_tangent, dy, dy_tangent].map(|values| &values[all.clone()]);
                let normal = Normal::of(x, moved, self.eps);
                // g and g' + r g.
                let slopes = |c: usize| {
                    let (weight, dy) = (f64::from(weight[c]), f64::from(dy[c]));
                    let turned = f64::from(weight_tangent[c]) - normal.inverse * normal.mean_product * weight;
                    (weight * dy, weight * f64::from(dy_moved[c]) + turned * dy)
                };
                // Means of g u, g u', g' + r g, (g' + r g) u.
                let mut means = [0.0; 4];
                for c in 0..self.width {
                    let ((u, u_moved), (g, turned)) = (normal.at(x[c], moved[c]), slopes(c));
                    let terms = [g * u, g * u_moved, turned, turned * u];
                    means.iter_mut().zip(terms).for_each(|(mean, term)| *mean += term / self.width as f64);
                }
                let [along, along_moved, mean, turned_along] = means;
                for c in 0..self.width {
                    let ((u, u_moved), (_, turned)) = (normal.at(x[c], moved[c]), slopes(c));
                    let dx = turned - mean - u * (turned_along + along_moved) - u_moved * along;
                    to[c] = (normal.inverse * dx) as f32;
                    product[c] = (f64::from(dy_moved[c]) * u + f64::from(dy[c]) * u_moved) as f32;
                }
            }
        });
    }
}

/// What makes u and u' of a row.
struct Normal {
    mean: f64,
    inverse: f64,
    /// mean(x')
    mean_tangent: f64,
    /// mean(u x')
    mean_product: f64,
}

impl Normal {
    fn of(x: &[f32], x_tangent: &[f32], eps: f32) -> Self {
        let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / x.len() as f64;
        let mean = mean_of(&mut x.iter().map(|&x| f64::from(x)));
        let var = mean_of(&mut x.iter().map(|&x| (f64::from(x) - mean).powi(2)));
        let inverse = 1.0 / (var + f64::from(eps)).sqrt();
        let mean_tangent = mean_of(&mut x_tangent.iter().map(|&moved| f64::from(moved)));
        let products = x.iter().zip(x_tangent).map(|(&x, &moved)| (f64::from(x) - mean) * f64::from(moved));
        let mean_product = inverse * mean_of(&mut products.into_iter());
        Self { mean, inverse, mean_tangent, mean_product }
    }

    /// u and u' of an element.
    fn at(&self, x: f32, x_tangent: f32) -> (f64, f64) {
        let u = (f64::from(x) - self.mean) * self.inverse;
        (u, self.inverse * (f64::from(x_tangent) - self.mean_tangent - u * self.mean_product))
    }
}
