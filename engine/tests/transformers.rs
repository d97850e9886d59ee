//! The gradient rules of layer norm, GELU, attention and tokens against central differences, dropout with a fixed mask
//! included.

mod common;

use common::differences::check;
use common::network::{Forward, Network, bias, weight};
use engine::layers::LayerNorm;
use engine::params::Init;
use engine::{Activation, Device, Graph, Parameters, Result, Tensor};

const ROWS: usize = 12;
const CLASSES: usize = 4;

/// An operation on `[ROWS, width]`, and the shape it leaves.
type Op = Box<dyn Fn(&mut Graph<'_>, Tensor) -> Result<Tensor>>;

/// `op` between two linear layers of `width` inputs and `outputs`; `rows` reach the loss.
fn around(
    seed: u32,
    [width, outputs]: [usize; 2],
    rows: usize,
    register: impl FnOnce(&mut Parameters) -> Op,
) -> Network {
    let mut parameters = Parameters::new();
    let first = weight(&mut parameters, "first", [width, 3]);
    let op = register(&mut parameters);
    let (last, shift) =
        (weight(&mut parameters, "last", [CLASSES, outputs]), bias(&mut parameters, "last", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, first, None, Activation::None)?;
        let y = op(graph, x)?;
        graph.linear(y, last, Some(shift), Activation::None)
    });
    let mut network = Network::new(parameters, [ROWS, 3], CLASSES, seed, forward);
    network.labels.truncate(rows);
    network
}

#[test]
fn layer_norm() {
    for width in [5, 8] {
        let network = around(1, [width, width], ROWS, |parameters| {
            let layer = LayerNorm::new(parameters, "backbone.op", width);
            Box::new(move |graph, x| layer.forward(graph, x))
        });
        check(&format!("layer_norm of {width}"), &network);
    }
}

#[test]
fn layer_norm_of_a_residual_sum() {
    for rate in [0.0, 0.3] {
        for stream in [false, true] {
            let network = around(2, [6, 6], ROWS, |parameters| {
                let w = weight(parameters, "branch", [6, 6]);
                let layer = LayerNorm::new(parameters, "backbone.op", 6);
                Box::new(move |graph, x| {
                    let branch = graph.linear(x, w, None, Activation::None)?;
                    let (sum, y) = layer.add_forward(graph, x, branch, rate)?;
                    // The stream itself goes on, or ends here.
                    if stream { graph.add(sum, y) } else { Ok(y) }
                })
            });
            check(&format!("residual layer_norm, dropout {rate}, stream {stream}"), &network);
        }
    }
}

#[test]
fn gelu_with_and_without_dropout() {
    for rate in [0.0, 0.4] {
        check(
            &format!("gelu, dropout {rate}"),
            &around(3, [7, 7], ROWS, |_| Box::new(move |graph, x| graph.gelu(x, rate))),
        );
    }
}

#[test]
fn attention_of_several_sequences_and_heads() {
    for (tokens, heads, head_size) in [(4, 2, 3), (6, 1, 5), (1, 2, 2)] {
        for rate in [0.0, 0.3] {
            let width = heads * head_size;
            let network = around(4, [3 * width, width], ROWS, |_| {
                Box::new(move |graph, x| graph.attention(x, tokens, heads, rate))
            });
            check(
                &format!("attention, {heads} heads of {head_size}, {tokens} tokens, dropout {rate}"),
                &network,
            );
        }
    }
}

#[test]
fn class_token_positions_and_selection() {
    let network = around(5, [6, 6], 4, |parameters| {
        let mut add = |name: &str, shape: &[usize]| {
            parameters.add(format!("backbone.{name}"), shape, Init::Normal { deviation: 1.0 })
        };
        let (cls, positions) = (add("cls", &[6]), add("positions", &[4, 6]));
        let w = weight(parameters, "mix", [6, 24]);
        Box::new(move |graph, x| {
            let x = graph.reshape(x, &[4, 3, 6])?;
            let x = graph.embed(x, cls, positions)?;
            // All tokens reach the loss, the first one twice.
            let all = graph.reshape(x, &[4, 24])?;
            let all = graph.linear(all, w, None, Activation::None)?;
            let rows = graph.reshape(x, &[16, 6])?;
            let first = graph.select_first(rows, 4)?;
            graph.add(all, first)
        })
    });
    check("embed and select_first", &network);
}

#[test]
fn a_small_transformer_with_dropout() {
    let (width, heads, tokens, rate) = (4, 2, 3, 0.2);
    let network = around(6, [width, width], ROWS / tokens, |parameters| {
        let norm = |parameters: &mut Parameters, name: &str| {
            LayerNorm::new(parameters, &format!("backbone.{name}"), width)
        };
        let (norm1, norm2, norm3) =
            (norm(parameters, "norm1"), norm(parameters, "norm2"), norm(parameters, "norm3"));
        let qkv = weight(parameters, "qkv", [3 * width, width]);
        let (proj, shift) = (weight(parameters, "proj", [width, width]), bias(parameters, "proj", width));
        let (fc1, fc2) = (weight(parameters, "fc1", [8, width]), weight(parameters, "fc2", [width, 8]));
        Box::new(move |graph, x| {
            let y = norm1.forward(graph, x)?;
            let qkv = graph.linear(y, qkv, None, Activation::None)?;
            let o = graph.attention(qkv, tokens, heads, rate)?;
            let (o, x) = (graph.select_first(o, tokens)?, graph.select_first(x, tokens)?);
            let branch = graph.linear(o, proj, Some(shift), Activation::None)?;
            let (x, y) = norm2.add_forward(graph, x, branch, rate)?;
            let hidden = graph.linear(y, fc1, None, Activation::None)?;
            let hidden = graph.gelu(hidden, rate)?;
            let branch = graph.linear(hidden, fc2, None, Activation::None)?;
            let (_, y) = norm3.add_forward(graph, x, branch, rate)?;
            Ok(y)
        })
    });
    check("a transformer block", &network);
}

#[test]
fn fused_dropout_keeps_its_rate_and_the_expectation() {
    // Attention over equal keys and values of one returns the sum of the mask over the row: on average one.
    let (tokens, rate) = (40, 0.25);
    let parameters = Parameters::new();
    let device = Device::cpu(2).unwrap();
    let mut graph = Graph::training(&parameters);
    let x = graph.input("x", &[10 * tokens, 3 * 4]);
    let o = graph.attention(x, tokens, 1, rate).unwrap();
    graph.output("o", o);
    let plan = engine::Plan::new(&graph);
    let ones = device.buffer_with("x", &vec![1f32.to_bits(); 10 * tokens * 12]).unwrap();
    let empty = device.buffer("none", 64).unwrap();
    let none = engine::Network { parameters: empty.clone(), statistics: empty };
    let memory =
        engine::Memory { networks: &[(&none, None)], inputs: &[("x", ones.slice(0, 10 * tokens * 12))] };
    let bound = plan.bind(&device, &memory, &mut engine::Workspace::default()).unwrap();
    device.compile(bound.launches).unwrap().run(&engine::Clock::default()).unwrap();
    let o = device.read_f32(&bound.outputs["o"]).unwrap();
    // Every row is the number of kept weights, of 40, divided by 30.
    let kept: Vec<f64> = o.chunks(4).map(|row| f64::from(row[0]) * 30.0).collect();
    assert!(kept.iter().all(|n| (n - n.round()).abs() < 1e-3));
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    assert!((mean - 30.0).abs() < 0.5, "{mean} of 40 kept on average");
    assert!(kept.iter().any(|&n| n < 29.0) && kept.iter().any(|&n| n > 31.0));
}
