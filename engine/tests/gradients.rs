//! The gradient rule of every operation, and of small networks, against central differences on the CPU device.
//!
//! Each check is a network that ends in the cross-entropy loss. Every single element of every parameter is moved by h
//! and h/2 in both directions; the two central differences are combined so that their error is of fourth order
//! (Richardson). Gradients with respect to activations are checked through the parameters of the layer before.

mod common;

use common::network::{Forward, Loaded, Network, batch_norm, bias, weight};
use engine::{Activation, Device, Graph, Parameters, Result, Tensor};

/// Step h of the differences: balances the rounding of an f32 loss (1e-7 / h) against the fourth-order error.
const STEP: f64 = 0.02;
/// Largest `norm(analytic - numeric)` relative to the norm of a tensor's gradient, or to a tenth of the norm of the
/// whole gradient where that is larger (the bias before a batch norm has no gradient but rounding).
const TOLERANCE: f64 = 1e-3;
/// An element straddles a kink of ReLU when its slopes over h and h/2 disagree by this share of the largest gradient.
const KINK: f64 = 5e-3;

/// Checks all gradients of a network.
fn check(what: &str, network: &Network) {
    let device = Device::cpu(1);
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

const ROWS: usize = 9;
const WIDTH: usize = 5;
const CLASSES: usize = 4;

/// An operation on `[ROWS, WIDTH]`.
type Op = Box<dyn Fn(&mut Graph<'_>, Tensor) -> Result<Tensor>>;

/// `op` between two linear layers: its input depends on parameters, its output `[ROWS, WIDTH]` goes to the loss.
fn around(seed: u32, register: impl FnOnce(&mut Parameters) -> Op) -> Network {
    let mut parameters = Parameters::new();
    let first = weight(&mut parameters, "first", [WIDTH, 3]);
    let op = register(&mut parameters);
    let (last, shift) =
        (weight(&mut parameters, "last", [CLASSES, WIDTH]), bias(&mut parameters, "last", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, first, None, Activation::None)?;
        let y = op(graph, x)?;
        graph.linear(y, last, Some(shift), Activation::None)
    });
    Network::new(parameters, [ROWS, 3], CLASSES, seed, forward)
}

#[test]
fn linear_with_and_without_bias_and_relu() {
    for (seed, with_bias) in [(1, false), (2, true)] {
        for activation in [Activation::None, Activation::Relu] {
            let network = around(seed, |parameters| {
                let w = weight(parameters, "op", [WIDTH, WIDTH]);
                let b = with_bias.then(|| bias(parameters, "op", WIDTH));
                Box::new(move |graph, x| graph.linear(x, w, b, activation))
            });
            check(&format!("linear, bias {with_bias}, {activation:?}"), &network);
        }
    }
}

#[test]
fn batch_norm_with_and_without_relu() {
    for relu in [false, true] {
        let network = around(3, |parameters| {
            let layer = batch_norm(parameters, "op", WIDTH);
            Box::new(move |graph, x| graph.batch_norm(x, &layer, relu))
        });
        check(&format!("batch_norm, relu {relu}"), &network);
    }
}

#[test]
fn batch_norm_over_several_axes() {
    let network = around(4, |parameters| {
        let layer = batch_norm(parameters, "op", WIDTH);
        Box::new(move |graph, x| {
            let x = graph.reshape(x, &[ROWS / 3, 3, 1, WIDTH])?;
            let y = graph.batch_norm(x, &layer, true)?;
            graph.reshape(y, &[ROWS, WIDTH])
        })
    });
    check("batch_norm [N, H, W, C]", &network);
}

#[test]
fn relu() {
    check("relu", &around(5, |_| Box::new(|graph, x| Ok(graph.relu(x)))));
}

#[test]
fn add_of_two_tensors_and_of_one_with_itself() {
    let network = around(6, |parameters| {
        let w = weight(parameters, "op", [WIDTH, WIDTH]);
        Box::new(move |graph, x| {
            let y = graph.linear(x, w, None, Activation::Relu)?;
            graph.add(x, y)
        })
    });
    check("add", &network);
    check("add(x, x)", &around(7, |_| Box::new(|graph, x| graph.add(x, x))));
}

#[test]
fn dropout_with_a_fixed_mask() {
    let network = around(8, |_| {
        Box::new(|graph, x| {
            let y = graph.dropout(x, 0.4)?;
            graph.dropout(y, 0.2)
        })
    });
    check("dropout", &network);
    // The mask must be there at all, or the check above shows nothing.
    let device = Device::cpu(1);
    let plain = around(8, |_| Box::new(|_, x| Ok(x)));
    let loss = |network: &Network| network.load(&device, false).unwrap().loss().unwrap();
    assert_ne!(loss(&network), loss(&plain));
}

#[test]
fn reshape() {
    let network = around(9, |parameters| {
        let w = weight(parameters, "op", [ROWS, ROWS]);
        Box::new(move |graph, x| {
            // Rows become columns of another matrix and come back: nothing of it may depend on the first shape.
            let x = graph.reshape(x, &[WIDTH, ROWS])?;
            let y = graph.linear(x, w, None, Activation::None)?;
            let y = graph.reshape(y, &[ROWS * WIDTH])?;
            graph.reshape(y, &[ROWS, WIDTH])
        })
    });
    check("reshape", &network);
}

#[test]
fn cross_entropy_of_many_and_of_two_classes_and_of_one_row() {
    for (rows, classes) in [(1, 3), (2, 2), (7, 33)] {
        let mut parameters = Parameters::new();
        let (w, b) = (weight(&mut parameters, "fc", [classes, 3]), bias(&mut parameters, "fc", classes));
        let forward: Forward = Box::new(move |graph, x| graph.linear(x, w, Some(b), Activation::None));
        let network = Network::new(parameters, [rows, 3], classes, 10, forward);
        check(&format!("cross_entropy [{rows}, {classes}]"), &network);
    }
}

#[test]
fn a_tensor_that_is_used_several_times_gets_the_sum() {
    let network = around(11, |parameters| {
        let (v, w) = (weight(parameters, "v", [WIDTH, WIDTH]), weight(parameters, "w", [WIDTH, WIDTH]));
        Box::new(move |graph, x| {
            let a = graph.linear(x, v, None, Activation::Relu)?;
            let b = graph.linear(x, w, None, Activation::None)?;
            let c = graph.add(a, x)?;
            let d = graph.add(b, a)?;
            graph.add(c, d)
        })
    });
    check("x used three times, a twice", &network);
}

#[test]
fn shared_parameters_get_the_sum_over_their_uses() {
    for uses in [2, 3] {
        let network = around(12, |parameters| {
            let w = weight(parameters, "op", [WIDTH, WIDTH]);
            let b = bias(parameters, "op", WIDTH);
            let layer = batch_norm(parameters, "norm", WIDTH);
            Box::new(move |graph, mut x| {
                for _ in 0..uses {
                    x = graph.linear(x, w, Some(b), Activation::None)?;
                    x = graph.batch_norm(x, &layer, true)?;
                }
                Ok(x)
            })
        });
        check(&format!("linear and batch_norm used {uses} times"), &network);
    }
}

#[test]
fn a_use_that_does_not_reach_the_loss_does_not_count() {
    let network = around(13, |parameters| {
        let w = weight(parameters, "op", [WIDTH, WIDTH]);
        Box::new(move |graph, x| {
            let used = graph.linear(x, w, None, Activation::None)?;
            let unused = graph.linear(used, w, None, Activation::None)?;
            graph.output("features", unused);
            Ok(used)
        })
    });
    check("a parameter with a second, unused use", &network);
}

#[test]
fn whole_networks() {
    for (seed, norm) in [(14, false), (15, true)] {
        let mut parameters = Parameters::new();
        let widths = [6, 8, 7];
        let mut layers = Vec::new();
        for (index, pair) in widths.windows(2).enumerate() {
            let w = weight(&mut parameters, &format!("fc{index}"), [pair[1], pair[0]]);
            let b = bias(&mut parameters, &format!("fc{index}"), pair[1]);
            let bn = norm.then(|| batch_norm(&mut parameters, &format!("bn{index}"), pair[1]));
            layers.push((w, b, bn));
        }
        let (w, b) = (weight(&mut parameters, "head", [CLASSES, 7]), bias(&mut parameters, "head", CLASSES));
        let forward: Forward = Box::new(move |graph, mut x| {
            for (w, b, bn) in &layers {
                let fused = if bn.is_some() { Activation::None } else { Activation::Relu };
                x = graph.linear(x, *w, Some(*b), fused)?;
                if let Some(bn) = bn {
                    x = graph.batch_norm(x, bn, true)?;
                }
                x = graph.dropout(x, 0.1)?;
            }
            graph.linear(x, w, Some(b), Activation::None)
        });
        let network = Network::new(parameters, [11, 6], CLASSES, seed, forward);
        check(&format!("an MLP, batch norm {norm}"), &network);
    }
}
