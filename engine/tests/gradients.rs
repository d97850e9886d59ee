//! The gradient rule of every operation, and of small networks, against central differences on the CPU device.
//!
//! Gradients with respect to activations are checked through the parameters of the layer before.

mod common;

use common::differences::check;
use common::network::{Forward, Network, batch_norm, bias, weight};
use engine::{Activation, Device, Graph, Parameters, Result, Tensor};

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
            Box::new(move |graph, x| graph.batch_norm(x, &layer, relu, None))
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
            let y = graph.batch_norm(x, &layer, true, None)?;
            graph.reshape(y, &[ROWS, WIDTH])
        })
    });
    check("batch_norm [N, H, W, C]", &network);
}

#[test]
fn batch_norm_with_a_residual() {
    for relu in [false, true] {
        let network = around(16, |parameters| {
            let (layer, w) = (batch_norm(parameters, "op", WIDTH), weight(parameters, "w", [WIDTH, WIDTH]));
            Box::new(move |graph, x| {
                let residual = graph.linear(x, w, None, Activation::None)?;
                graph.batch_norm(x, &layer, relu, Some(residual))
            })
        });
        check(&format!("batch_norm with a residual, relu {relu}"), &network);
        let network = around(17, |parameters| {
            let layer = batch_norm(parameters, "op", WIDTH);
            Box::new(move |graph, x| graph.batch_norm(x, &layer, relu, Some(x)))
        });
        check(&format!("batch_norm whose input is the residual, relu {relu}"), &network);
    }
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
    let device = Device::cpu(1).unwrap();
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

/// Launches that copy a gradient.
fn copies(network: &Network) -> usize {
    let loaded = network.load(&Device::cpu(1).unwrap(), true).unwrap();
    loaded.launches.iter().filter(|launch| launch.label == "copy of a gradient").count()
}

#[test]
fn a_gradient_that_two_tensors_share_is_copied_before_it_is_overwritten() {
    // The addition hands one gradient to both of its inputs, and batch norm works in place.
    let both = around(18, |parameters| {
        let (first, second) = (batch_norm(parameters, "bn1", WIDTH), batch_norm(parameters, "bn2", WIDTH));
        Box::new(move |graph, x| {
            let a = graph.batch_norm(x, &first, true, None)?;
            let b = graph.batch_norm(x, &second, false, None)?;
            graph.add(a, b)
        })
    });
    check("add of two batch norms", &both);
    assert_eq!(copies(&both), 1, "the first to come copies, the second has it for itself");

    let skip = around(19, |parameters| {
        let layer = batch_norm(parameters, "bn", WIDTH);
        Box::new(move |graph, x| {
            let y = graph.batch_norm(x, &layer, true, None)?;
            graph.add(y, x)
        })
    });
    check("add of a batch norm and its input", &skip);
    assert_eq!(copies(&skip), 1);

    // A residual's gradient is that of the sum: the shortcut's batch norm may overwrite it, nobody else has it.
    let block = around(20, |parameters| {
        let (main, shortcut) = (batch_norm(parameters, "bn1", WIDTH), batch_norm(parameters, "bn2", WIDTH));
        let w = weight(parameters, "w", [WIDTH, WIDTH]);
        Box::new(move |graph, x| {
            let short = graph.batch_norm(x, &shortcut, false, None)?;
            let z = graph.linear(x, w, None, Activation::Relu)?;
            graph.batch_norm(z, &main, true, Some(short))
        })
    });
    check("a residual block with a shortcut", &block);
    assert_eq!(copies(&block), 0);

    // Without a ReLU the residual's gradient and that of y are the same numbers.
    let chain = around(21, |parameters| {
        let (first, second) = (batch_norm(parameters, "bn1", WIDTH), batch_norm(parameters, "bn2", WIDTH));
        Box::new(move |graph, x| {
            let a = graph.batch_norm(x, &first, false, None)?;
            let b = graph.batch_norm(a, &second, false, Some(a))?;
            graph.add(a, b)
        })
    });
    check("a chain of residuals", &chain);
}

#[test]
fn the_gradient_of_the_logits_stays_as_it_is() {
    let mut parameters = Parameters::new();
    let w = weight(&mut parameters, "fc", [CLASSES, 3]);
    let layer = batch_norm(&mut parameters, "bn", CLASSES);
    let forward: Forward = Box::new(move |graph, x| {
        let z = graph.linear(x, w, None, Activation::None)?;
        graph.batch_norm(z, &layer, false, None)
    });
    let network = Network::new(parameters, [ROWS, 3], CLASSES, 22, forward);
    check("batch_norm before the loss", &network);
    assert_eq!(copies(&network), 1);
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
                    x = graph.batch_norm(x, &layer, true, None)?;
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
                    x = graph.batch_norm(x, bn, true, None)?;
                }
                x = graph.dropout(x, 0.1)?;
            }
            graph.linear(x, w, Some(b), Activation::None)
        });
        let network = Network::new(parameters, [11, 6], CLASSES, seed, forward);
        check(&format!("an MLP, batch norm {norm}"), &network);
    }
}
