//! The gradients of a network against central differences on the CPU device.
//!
//! Each check is a network that ends in the cross-entropy loss. Every single element of every parameter is moved by h
//! and h/2 in both directions; the two central differences are combined so that their error is of fourth order
//! (Richardson).

use super::network::{Loaded, Network};
use engine::Device;

/// Step h of the differences: balances the rounding of an f32 loss (1e-7 / h) against the fourth-order error.
const STEP: f64 = 0.02;
/// Largest `norm(analytic - numeric)` relative to the norm of a tensor's gradient, or to a tenth of the norm of the
/// whole gradient where that is larger (the bias before a batch norm has no gradient but rounding).
const TOLERANCE: f64 = 1e-3;
/// An element straddles a kink of ReLU when its slopes over h and h/2 disagree by this share of the largest gradient.
const KINK: f64 = 5e-3;

/// Checks all gradients of a network.
pub fn check(what: &str, network: &Network) {
    let device = Device::cpu(1).unwrap();
    let analytic = network.gradients(&device).unwrap();
    let whole = norm(analytic.iter().map(|&g| f64::from(g)));
    assert!(whole > 0.05, "{what}: a gradient of norm {whole:.1e} proves nothing");
    let loaded = network.load(&device, false).unwrap();
    let here = loaded.loss().unwrap();
    let mut failures = Vec::new();
    for segment in network.parameters.trained() {
        let largest = analytic[segment.range()].iter().fold(0.1 * whole, |m, &g| m.max(f64::from(g.abs())));
        let (mut error, mut length) = (Vec::new(), Vec::new());
        for index in segment.range() {
            let (wide, narrow) =
                (slopes(&loaded, index, STEP, here), slopes(&loaded, index, STEP / 2.0, here));
            // Where the loss is smooth, both slopes agree and the bend is proportional to h; a kink within h breaks
            // one or the other, wherever it lies.
            let broken = (wide.mean - narrow.mean).abs().max((wide.bend - 2.0 * narrow.bend).abs());
            if broken <= KINK * largest {
                let numeric = (4.0 * narrow.mean - wide.mean) / 3.0;
                error.push(f64::from(analytic[index]) - numeric);
                length.push(numeric);
            }
        }
        let smooth = error.len();
        let relative = norm(error) / norm(length).max(0.1 * whole);
        if smooth * 2 < segment.len || relative.is_nan() || relative > TOLERANCE {
            failures.push(format!(
                "{}: off by {relative:.1e} over {smooth} of {} elements",
                segment.name, segment.len
            ));
        }
    }
    assert!(failures.is_empty(), "{what}:\n  {}", failures.join("\n  "));
}

/// Slopes of the loss in one element over a distance h to either side.
struct Slopes {
    /// The central difference.
    mean: f64,
    /// Right minus left.
    bend: f64,
}

fn slopes(loaded: &Loaded, index: usize, h: f64, here: f64) -> Slopes {
    let at = |value: f32| loaded.device.write(&loaded.values, index, &[value.to_bits()]).unwrap();
    let value = loaded.device.read_f32(&loaded.values.all()).unwrap()[index];
    let slope = |h: f64| {
        let moved = (f64::from(value) + h) as f32;
        at(moved);
        (loaded.loss().unwrap() - here) / (f64::from(moved) - f64::from(value))
    };
    let (right, left) = (slope(h), slope(-h));
    at(value);
    Slopes { mean: 0.5 * (right + left), bend: right - left }
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|value| value * value).sum::<f64>().sqrt()
}
