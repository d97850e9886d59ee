//! The planner: sharing memory must change nothing but the memory.
//!
//! Tensors that wrongly share a block overwrite each other, so random networks are run under plans with different
//! liveness: with and without gradients, and with every tensor kept readable, which leaves nothing to share in the
//! forward pass. All must agree bit for bit, and the gradients must be those of the loss.

mod common;

use common::Random;
use common::network::{Forward, Network, batch_norm, bias, weight};
use engine::{
    Activation, Device, Error, Graph, Memory, NetworkId, Parameters, Plan, Tensor, Wanted, Workspace,
};

const CLASSES: usize = 5;

/// One step of a random network. Operands are indices of earlier results.
#[derive(Clone, Debug)]
enum Op {
    Linear(usize, usize, Activation),
    BatchNorm(usize, usize),
    Relu(usize),
    Dropout(usize),
    Add(usize, usize),
}

/// A random network of `length` operations, whose results may be used again much later. With `keep`, all results are
/// outputs called `t0`, `t1`, ...
fn random_network(seed: u32, length: usize, keep: bool) -> Network {
    let mut random = Random(seed << 12);
    let mut parameters = Parameters::new();
    let rows = random.range(2, 40);
    let mut widths = vec![random.range(1, 50)];
    let (mut ops, mut weights, mut norms) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..length {
        let last = widths.len() - 1;
        // Mostly the last result, sometimes any earlier one.
        let x = if random.next() < 0.7 { last } else { random.range(0, last + 1) };
        let same: Vec<usize> = (0..last).filter(|&i| widths[i] == widths[x]).collect();
        let op = match random.range(0, 8) {
            0 => Op::Relu(x),
            1 => Op::Dropout(x),
            2 => {
                norms.push(batch_norm(&mut parameters, &format!("bn{index}"), widths[x]));
                Op::BatchNorm(x, norms.len() - 1)
            }
            3..=5 if !same.is_empty() => Op::Add(x, same[random.range(0, same.len())]),
            choice => {
                // Few different widths, so that sums are possible.
                let outputs = [7, 16, 33, 200][random.range(0, 4)];
                let shape = [outputs, widths[x]];
                weights.push((
                    weight(&mut parameters, &format!("fc{index}"), shape),
                    bias(&mut parameters, &format!("fc{index}"), outputs),
                ));
                widths.push(outputs);
                let activation = if choice % 2 == 0 { Activation::Relu } else { Activation::None };
                ops.push(Op::Linear(x, weights.len() - 1, activation));
                continue;
            }
        };
        widths.push(widths[x]);
        ops.push(op);
    }
    let head = weight(&mut parameters, "head", [CLASSES, widths[widths.len() - 1]]);
    let inputs = widths[0];
    let forward: Forward = Box::new(move |graph, x| {
        let mut results = vec![x];
        for (index, op) in ops.iter().enumerate() {
            let result = match *op {
                Op::Linear(x, w, activation) => {
                    graph.linear(results[x], weights[w].0, Some(weights[w].1), activation)?
                }
                Op::BatchNorm(x, norm) => graph.batch_norm(results[x], &norms[norm], index % 2 == 0, None)?,
                Op::Relu(x) => graph.relu(results[x]),
                Op::Dropout(x) => graph.dropout(results[x], 0.2)?,
                Op::Add(a, b) => graph.add(results[a], results[b])?,
            };
            if keep {
                graph.output(&format!("t{index}"), result);
            }
            results.push(result);
        }
        graph.linear(results[results.len() - 1], head, None, Activation::None)
    });
    Network::new(parameters, [rows, inputs], CLASSES, seed, forward)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn plans_with_different_liveness_give_the_same_bits() {
    let device = Device::cpu(1).unwrap();
    let mut shared = 0;
    for seed in 1..60 {
        let length = 3 + seed as usize % 30;
        let (plain, kept) = (random_network(seed, length, false), random_network(seed, length, true));
        let unshared = kept.load(&device, false).unwrap();
        let unshared_loss = unshared.loss().unwrap();
        assert!(unshared_loss.is_finite(), "seed {seed}");
        let forward = plain.load(&device, false).unwrap();
        let backward = plain.load(&device, true).unwrap();
        let backward_kept = kept.load(&device, true).unwrap();
        for loaded in [&forward, &backward, &backward_kept] {
            assert_eq!(loaded.loss().unwrap(), unshared_loss, "seed {seed}");
            assert_eq!(
                bits(&loaded.output("logits").unwrap()),
                bits(&unshared.output("logits").unwrap()),
                "seed {seed}"
            );
            assert!(loaded.bytes <= loaded.unshared_bytes);
        }
        // What is kept is still there after a backward pass that reuses all other memory.
        for index in 0..length {
            let name = format!("t{index}");
            let (after, before) = (backward_kept.output(&name).unwrap(), unshared.output(&name).unwrap());
            assert_eq!(bits(&after), bits(&before), "seed {seed}, {name}");
        }
        let arena = |loaded: &common::network::Loaded| {
            bits(&device.read_f32(&loaded.gradients.slice(0, plain.parameters.words())).unwrap())
        };
        assert_eq!(arena(&backward), arena(&backward_kept), "seed {seed}");
        shared += usize::from(backward.bytes < backward.unshared_bytes);
    }
    assert!(shared > 50, "only {shared} of 59 networks share any memory");
}

#[test]
fn gradients_of_random_networks_are_those_of_the_loss() {
    let device = Device::cpu(1).unwrap();
    let (mut checked, mut smooth) = (0, 0);
    for seed in 100..140 {
        let network = random_network(seed, 4 + seed as usize % 12, false);
        let gradients = network.gradients(&device).unwrap();
        let length = gradients.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let loaded = network.load(&device, false).unwrap();
        // The slope along the gradient is its length.
        let slope = |h: f64| {
            let loss = |h: f64| {
                let moved = network.values.iter().zip(&gradients);
                let moved: Vec<u32> = moved
                    .map(|(&v, &g)| ((f64::from(v) + h * f64::from(g) / length) as f32).to_bits())
                    .collect();
                device.write(&loaded.values, 0, &moved).unwrap();
                loaded.loss().unwrap()
            };
            (loss(h) - loss(-h)) / (2.0 * h)
        };
        let (wide, narrow) = (slope(4e-3), slope(2e-3));
        checked += 1;
        // Deep random networks bend sharply and have kinks: judged where two step sizes agree.
        if (wide / narrow - 1.0).abs() < 0.02 {
            smooth += 1;
            let error = (narrow / length - 1.0).abs();
            assert!(error < 0.03, "seed {seed}: slope {narrow:.4}, gradient of length {length:.4}");
        }
    }
    assert!(smooth * 3 >= checked * 2, "only {smooth} of {checked} networks could be judged");
}

#[test]
fn a_deep_chain_needs_the_memory_of_its_widest_step_alone() {
    let mut parameters = Parameters::new();
    let weights: Vec<_> =
        (0..30).map(|index| weight(&mut parameters, &format!("fc{index}"), [64, 64])).collect();
    let mut graph = Graph::evaluation(&parameters);
    let mut x: Tensor = graph.input("x", &[10, 64]);
    for &w in &weights {
        x = graph.linear(x, w, None, Activation::Relu).unwrap();
    }
    graph.output("y", x);
    let plan = Plan::new(&graph);
    assert_eq!(plan.unshared_bytes(), 30 * 640 * 4);
    assert_eq!(plan.bytes(), 2 * 640 * 4, "one block that is read, one that is written");
}

#[test]
fn batch_norm_keeps_what_its_gradient_reads_and_overwrites_the_gradient() {
    let (layers, size) = (6, 40 * 64);
    let mut parameters = Parameters::new();
    let units: Vec<_> = (0..layers)
        .map(|k| {
            let w = weight(&mut parameters, &format!("fc{k}"), [64, 64]);
            (w, batch_norm(&mut parameters, &format!("bn{k}"), 64))
        })
        .collect();
    let head = weight(&mut parameters, "head", [CLASSES, 64]);
    let bytes = |relu: bool| {
        let mut graph = Graph::training(&parameters);
        let mut x: Tensor = graph.input("x", &[40, 64]);
        for (w, norm) in &units {
            x = graph.linear(x, *w, None, Activation::None).unwrap();
            x = graph.batch_norm(x, norm, relu, None).unwrap();
            if !relu {
                x = graph.relu(x);
            }
        }
        let logits = graph.linear(x, head, None, Activation::None).unwrap();
        let labels = graph.input("y", &[40]);
        let loss = graph.cross_entropy(logits, labels).unwrap();
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).unwrap();
        Plan::new(&graph).bytes() as usize
    };
    // What the linear layers and the rectifiers gave, one gradient, and what is much smaller.
    let small = layers * 2 * 64 + 4 * 40 * 8;
    let fused = bytes(true);
    assert!(fused <= ((2 * layers + 1) * size + small) * 4, "{fused} bytes");
    // The rectifier's own gradient is not in place; what batch norm gave is read by nobody after the rectifier.
    let apart = bytes(false);
    assert!(apart <= ((2 * layers + 2) * size + small) * 4, "{apart} bytes");
}

#[test]
fn what_is_large_is_placed_first() {
    // Sizes 1, 2, 4 and 8, each made of the one before: blocks that grow would end with 8 and 4 and what was left behind.
    let mut parameters = Parameters::new();
    let widths = [64, 128, 256, 512];
    let weights: Vec<_> = widths
        .windows(2)
        .map(|pair| weight(&mut parameters, &format!("fc{}", pair[0]), [pair[1], pair[0]]))
        .collect();
    let mut graph = Graph::evaluation(&parameters);
    let mut x: Tensor = graph.input("x", &[10, 64]);
    for &w in &weights {
        x = graph.linear(x, w, None, Activation::None).unwrap();
    }
    graph.output("y", x);
    assert_eq!(Plan::new(&graph).bytes(), 10 * (512 + 256) * 4);
}

#[test]
fn programs_share_a_workspace() {
    let device = Device::cpu(1).unwrap();
    let (large, small) = (random_network(7, 20, false), random_network(8, 20, false));
    let alone = [&large, &small].map(|network| {
        let loaded = network.load(&device, true).unwrap();
        (loaded.loss().unwrap(), bits(&loaded.output("logits").unwrap()))
    });
    let mut workspace = Workspace::default();
    let first = large.load_into(&device, true, &mut workspace).unwrap();
    // The same network again needs no further activations.
    let before = device.allocated_bytes();
    let own_workspace = large.load(&device, true).unwrap();
    let with = device.allocated_bytes() - before;
    let before = device.allocated_bytes();
    let same_workspace = large.load_into(&device, true, &mut workspace).unwrap();
    let without = device.allocated_bytes() - before;
    assert_eq!(with - without, first.bytes);
    // Another network grows the blocks where it must; both still compute what they computed alone, in turn.
    let second = small.load_into(&device, true, &mut workspace).unwrap();
    for _ in 0..3 {
        for (loaded, index) in [(&first, 0), (&second, 1), (&same_workspace, 0), (&own_workspace, 0)] {
            let (loss, logits) = &alone[index];
            assert_eq!(loaded.loss().unwrap(), *loss);
            assert_eq!(bits(&loaded.output("logits").unwrap()), *logits);
        }
    }
}

#[test]
fn buffers_that_are_missing_or_too_small_are_named() {
    let device = Device::cpu(1).unwrap();
    let network = random_network(9, 5, false);
    let mut graph = Graph::training(&network.parameters);
    let x = graph.input("x", &network.shape);
    let y = graph.input("y", &[network.shape[0]]);
    let logits = (network.forward)(&mut graph, x).unwrap();
    let loss = graph.cross_entropy(logits, y).unwrap();
    graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).unwrap();
    let plan = Plan::new(&graph);
    let buffer = |words| device.buffer("test", words).unwrap();
    let arena = buffer(network.parameters.words());
    let statistics = buffer(network.parameters.statistics_words());
    let (images, labels) = (buffer(network.x.len()), buffer(network.shape[0] + 64));
    let whole = [("x", images.slice(0, network.x.len())), ("y", labels.slice(0, network.shape[0]))];
    let arenas = engine::Network { parameters: arena.clone(), statistics };
    let bind = |gradients, inputs| {
        let memory = Memory { networks: &[(&arenas, gradients)], inputs };
        plan.bind(&device, &memory, &mut Workspace::default()).map(|_| ())
    };
    bind(Some(&arena), &whole).unwrap();
    let unaligned = [whole[0].clone(), ("y", labels.slice(1, network.shape[0]))];
    let short = [("x", images.slice(0, network.x.len() - 1)), whole[1].clone()];
    for (outcome, words) in [
        (bind(None, &whole), "gradient arena"),
        (bind(Some(&arena), &whole[..1]), "input 'y'"),
        (bind(Some(&arena), &unaligned), "input 'y'"),
        (bind(Some(&arena), &short), "input 'x'"),
    ] {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, Error::Shape { .. }) && error.to_string().contains(words),
            "{words}: {error}"
        );
    }
}
