//! Gradients of single examples: those of batches of one, as rows and as norms, on both devices.

mod common;

use common::network::{Forward, Network, batch_norm, bias, filters, weight};
use common::{Random, devices};
use engine::ops::LayerNormParameters;
use engine::params::Init;
use engine::{
    Activation, Buffer, Clock, Device, Error, Graph, Loss, Memory, NetworkId, Parameters, Plan, Result,
    Tensor, Wanted, Workspace,
};

const EXAMPLES: usize = 7;
const CLASSES: usize = 4;

/// What a backward pass left.
struct Outcome {
    /// The buffers of the further inputs.
    inputs: Vec<Vec<f32>>,
    /// The gradient arena.
    arena: Vec<f32>,
    /// The labels of all launches.
    launches: Vec<String>,
}

/// Runs the examples `range` of a network in evaluation mode. `record` appends the backward pass, which may have further
/// inputs.
fn run(
    device: &Device,
    network: &Network,
    range: std::ops::Range<usize>,
    inputs: &[(&str, usize)],
    record: impl Fn(&mut Graph<'_>, Loss) -> Result<()>,
) -> Result<Outcome> {
    let words = |values: &[f32]| bytemuck::cast_slice::<f32, u32>(values).to_vec();
    let (parameters, [_, width]) = (&network.parameters, network.shape);
    let x = device.buffer_with("x", &words(&network.x[range.start * width..range.end * width]))?;
    let y = device.buffer_with("y", &network.labels[range.clone()])?;
    let arenas = engine::Network {
        parameters: device.buffer_with("parameters", &words(&network.values))?,
        statistics: device.buffer_with("statistics", &words(&network.statistics))?,
    };
    let gradients = device.buffer("gradients", parameters.words())?;
    let more = inputs.iter().map(|&(name, words)| device.buffer(name, words));
    let more: Vec<Buffer> = more.collect::<Result<_>>()?;

    let mut graph = Graph::evaluation(parameters);
    let images = graph.input("x", &[range.len(), width]);
    let labels = graph.input("y", &[range.len()]);
    let logits = (network.forward)(&mut graph, images)?;
    let loss = graph.cross_entropy(logits, labels)?;
    record(&mut graph, loss)?;
    let mut slices = vec![("x", x.slice(0, range.len() * width)), ("y", y.slice(0, range.len()))];
    slices.extend(inputs.iter().zip(&more).map(|(&(name, words), buffer)| (name, buffer.slice(0, words))));
    let memory = Memory { networks: &[(&arenas, Some(&gradients))], inputs: &slices };
    let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default())?;
    let launches = bound.launches.iter().map(|launch| launch.label.clone()).collect();
    device.compile(bound.launches)?.run(&Clock::default())?;
    let read = |(buffer, &(_, words)): (&Buffer, &(&str, usize))| device.read_f32(&buffer.slice(0, words));
    Ok(Outcome {
        inputs: more.iter().zip(inputs).map(read).collect::<Result<_>>()?,
        arena: device.read_f32(&gradients.slice(0, parameters.words()))?,
        launches,
    })
}

fn squared(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

/// Rows equal the gradients of batches of one, their mean is the gradient of the batch, and the norms are those of the
/// rows; neither touches the gradient arena. Returns the labels of the launches that made the norms.
fn check(what: &str, network: &Network) -> Vec<String> {
    let words = network.parameters.words();
    let mut launches = Vec::new();
    for device in devices() {
        let gradients = |graph: &mut Graph<'_>, loss: Loss| {
            graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).map(drop)
        };
        let inputs = [("rows", EXAMPLES * words)];
        let of_rows = run(&device, network, 0..EXAMPLES, &inputs, |graph, loss| {
            let rows = graph.input("rows", &[EXAMPLES, words]);
            graph.backward(&[loss.gradient()], &[Wanted::Rows(NetworkId::FIRST, rows)]).map(drop)
        })
        .unwrap();
        assert!(of_rows.arena.iter().all(|&value| value == 0.0), "{what}: the arena is nobody's");
        let inputs = [("norms", EXAMPLES)];
        let of_norms = run(&device, network, 0..EXAMPLES, &inputs, |graph, loss| {
            let norms = graph.input("norms", &[EXAMPLES]);
            graph.backward(&[loss.gradient()], &[Wanted::SquaredNorms(NetworkId::FIRST, norms)]).map(drop)
        })
        .unwrap();
        let (rows, norms) = (&of_rows.inputs[0], &of_norms.inputs[0]);
        let mut sum = vec![0.0f64; words];
        for (example, (row, &norm)) in rows.chunks_exact(words).zip(norms).enumerate() {
            let alone = run(&device, network, example..example + 1, &[], gradients).unwrap().arena;
            let length = squared(&alone).sqrt();
            assert!(length > 0.05, "{what}: a gradient of norm {length:.1e} proves nothing");
            let off = distance(row, &alone) / length;
            assert!(off < 1e-6, "{what}: example {example} is off by {off:.1e}");
            let off = (f64::from(norm) / squared(row) - 1.0).abs();
            assert!(off < 1e-6, "{what}: the norm of example {example} is off by {off:.1e}");
            sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let mean: Vec<f32> = sum.into_iter().map(|sum| (sum / EXAMPLES as f64) as f32).collect();
        let all = run(&device, network, 0..EXAMPLES, &[], gradients).unwrap().arena;
        let off = distance(&mean, &all) / squared(&all).sqrt();
        assert!(off < 2e-6, "{what}: the mean is off by {off:.1e}");
        launches = of_norms.launches;
    }
    launches
}

fn layer_norm(parameters: &mut Parameters, name: &str, width: usize) -> LayerNormParameters {
    let mut add = |word: &str, first: f32| {
        parameters.add(format!("backbone.{name}.{word}"), &[width], Init::Constant(first))
    };
    LayerNormParameters { weight: add("weight", 1.0), bias: add("bias", 0.0), eps: 1e-5 }
}

/// A network of random statistics too, so that evaluation mode is not the identity.
fn network(parameters: Parameters, width: usize, seed: u32, forward: Forward) -> Network {
    let mut network = Network::new(parameters, [EXAMPLES, width], CLASSES, seed, forward);
    let mut random = Random(seed << 8);
    network.statistics.iter_mut().for_each(|value| *value += 0.6 * random.next());
    network
}

fn mlp() -> Network {
    let mut parameters = Parameters::new();
    let first = weight(&mut parameters, "fc1", [11, 6]);
    let shift = bias(&mut parameters, "fc1", 11);
    let norm = layer_norm(&mut parameters, "norm", 11);
    let second = weight(&mut parameters, "fc2", [8, 11]);
    let (last, end) = (weight(&mut parameters, "fc", [CLASSES, 8]), bias(&mut parameters, "fc", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, first, Some(shift), Activation::None)?;
        let x = graph.layer_norm(x, &norm)?;
        let x = graph.relu(x);
        let x = graph.linear(x, second, None, Activation::Relu)?;
        graph.linear(x, last, Some(end), Activation::None)
    });
    network(parameters, 6, 1, forward)
}

#[test]
fn an_mlp_with_layer_norm() {
    let norms = check("an MLP", &mlp());
    // The weights' rows are never made: there is one position per example.
    let made = norms.iter().filter(|label| label.starts_with("norms of")).collect::<Vec<_>>();
    assert!(
        made.iter().all(|label| !label.contains("fc1.weight") && !label.contains("fc2.weight")),
        "{made:?}"
    );
}

#[test]
fn a_convolutional_network() {
    let mut parameters = Parameters::new();
    let first = filters(&mut parameters, "conv1", [5, 3, 3]);
    let shift = bias(&mut parameters, "conv1", 5);
    let second = filters(&mut parameters, "conv2", [6, 5, 3]);
    let (last, end) = (weight(&mut parameters, "fc", [CLASSES, 6 * 4]), bias(&mut parameters, "fc", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let rows = graph.shape(x)[0];
        let x = graph.reshape(x, &[rows, 8, 8, 3])?;
        let x = graph.conv2d(x, first, Some(shift), 1, 1)?;
        let x = graph.relu(x);
        let x = graph.max_pool(x, 2, 2, 0)?;
        let x = graph.conv2d(x, second, None, 2, 1)?;
        let x = graph.relu(x);
        let x = graph.reshape(x, &[rows, 6 * 4])?;
        graph.linear(x, last, Some(end), Activation::None)
    });
    check("a CNN", &network(parameters, 8 * 8 * 3, 2, forward));
}

#[test]
fn residual_blocks_with_batch_norm_in_evaluation_mode() {
    let mut parameters = Parameters::new();
    let conv = |parameters: &mut Parameters, name: &str, channels, kernel| {
        let w = filters(parameters, name, [channels, if name == "a" { 2 } else { 6 }, kernel]);
        (w, batch_norm(parameters, &format!("bn{name}"), channels))
    };
    let [a, b, c, short] = [("a", 3), ("b", 3), ("c", 3), ("short", 1)]
        .map(|(name, kernel)| conv(&mut parameters, name, 6, kernel));
    let (last, end) = (weight(&mut parameters, "fc", [CLASSES, 6]), bias(&mut parameters, "fc", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let rows = graph.shape(x)[0];
        let x = graph.reshape(x, &[rows, 6, 6, 2])?;
        let z = graph.conv2d(x, a.0, None, 1, 1)?;
        let x = graph.batch_norm(z, &a.1, true, None)?;
        let z = graph.conv2d(x, b.0, None, 1, 1)?;
        let x = graph.batch_norm(z, &b.1, true, Some(x))?;
        let z = graph.conv2d(x, short.0, None, 2, 0)?;
        let skip = graph.batch_norm(z, &short.1, false, None)?;
        let z = graph.conv2d(x, c.0, None, 2, 1)?;
        let x = graph.batch_norm(z, &c.1, false, Some(skip))?;
        let x = graph.global_average_pool(x)?;
        graph.linear(x, last, Some(end), Activation::None)
    });
    check("residual blocks", &network(parameters, 6 * 6 * 2, 3, forward));
}

#[test]
fn a_transformer() {
    let (tokens, width) = (5, 8);
    let mut parameters = Parameters::new();
    let project = weight(&mut parameters, "proj", [width, 12]);
    let cls = parameters.add("backbone.cls".into(), &[width], Init::Normal { deviation: 1.0 });
    let positions =
        parameters.add("backbone.positions".into(), &[tokens, width], Init::Normal { deviation: 1.0 });
    let (norm, norm2) = (layer_norm(&mut parameters, "n1", width), layer_norm(&mut parameters, "n2", width));
    let qkv = weight(&mut parameters, "qkv", [3 * width, width]);
    let (fc, shift) = (weight(&mut parameters, "mlp", [width, width]), bias(&mut parameters, "mlp", width));
    let (last, end) = (weight(&mut parameters, "fc", [CLASSES, width]), bias(&mut parameters, "fc", CLASSES));
    let forward: Forward = Box::new(move |graph, x| {
        let rows = graph.shape(x)[0];
        let x = graph.reshape(x, &[rows, 4, 4, 3])?;
        let x = graph.patches(x, 2)?;
        let x = graph.reshape(x, &[rows * (tokens - 1), 12])?;
        let x = graph.linear(x, project, None, Activation::None)?;
        let x = graph.reshape(x, &[rows, tokens - 1, width])?;
        let x = graph.embed(x, cls, positions)?;
        let x = graph.reshape(x, &[rows * tokens, width])?;
        let y = graph.layer_norm(x, &norm)?;
        let y = graph.linear(y, qkv, None, Activation::None)?;
        let y = graph.attention(y, tokens, 2, 0.0)?;
        let (sum, y) = graph.add_layer_norm(x, y, 0.0, &norm2)?;
        let y = graph.linear(y, fc, Some(shift), Activation::None)?;
        let x = graph.add(sum, y)?;
        let x = graph.select_first(x, tokens)?;
        graph.linear(x, last, Some(end), Activation::None)
    });
    check("a transformer", &network(parameters, 4 * 4 * 3, 4, forward));
}

#[test]
fn a_parameter_that_is_used_twice_gets_the_sum() {
    let mut parameters = Parameters::new();
    let (w, b) = (weight(&mut parameters, "fc", [6, 6]), bias(&mut parameters, "fc", 6));
    let last = weight(&mut parameters, "last", [CLASSES, 6]);
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, w, Some(b), Activation::Relu)?;
        let x = graph.linear(x, w, Some(b), Activation::None)?;
        graph.linear(x, last, None, Activation::None)
    });
    let norms = check("shared weights", &network(parameters, 6, 5, forward));
    // The norm of a sum is not the sum of the norms: the rows are made.
    assert!(norms.iter().any(|label| label == "norms of backbone.fc.weight"), "{norms:?}");
}

#[test]
fn what_cannot_be_had_is_said() {
    let network = mlp();
    let (device, words) = (Device::cpu(1).unwrap(), network.parameters.words());
    let message = |record: &dyn Fn(&mut Graph<'_>, Loss) -> Result<()>| match run(
        &device,
        &network,
        0..EXAMPLES,
        &[("rows", EXAMPLES * words)],
        record,
    )
    .err()
    {
        Some(error @ Error::Shape { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let rows = |graph: &mut Graph<'_>, loss: Loss, shape: &[usize]| {
        let rows = graph.input("rows", shape);
        graph.backward(&[loss.gradient()], &[Wanted::Rows(NetworkId::FIRST, rows)]).map(drop)
    };
    let narrow = message(&|graph, loss| rows(graph, loss, &[EXAMPLES, words - 64]));
    assert!(narrow.contains(&format!("an input [N, {words}], not into [7, {}]", words - 64)), "{narrow}");
    let few = message(&|graph, loss| rows(graph, loss, &[EXAMPLES - 1, words]));
    assert!(few.contains("gradients of 6 examples are wanted of a loss of 7"), "{few}");
    let twice = message(&|graph, loss| {
        let rows = graph.input("rows", &[EXAMPLES, words]);
        let wanted = [Wanted::Rows(NetworkId::FIRST, rows)];
        graph.backward(&[loss.gradient()], &wanted)?;
        graph.backward(&[loss.gradient()], &wanted).map(drop)
    });
    assert!(twice.contains("one tensor takes the gradients of one network"), "{twice}");
    let both = message(&|graph, loss| {
        let rows = graph.input("rows", &[EXAMPLES, words]);
        let wanted = [Wanted::Rows(NetworkId::FIRST, rows), Wanted::Network(NetworkId::FIRST)];
        graph.backward(&[loss.gradient()], &wanted).map(drop)
    });
    assert!(both.contains("call it twice"), "{both}");
    let activation = message(&|graph, loss| {
        let wanted = [Wanted::SquaredNorms(NetworkId::FIRST, loss.row_loss)];
        graph.backward(&[loss.gradient()], &wanted).map(drop)
    });
    assert!(activation.contains("go into an input [N], not into [7]"), "{activation}");
}

/// Records a layer on `[8, 4]` in training mode, and wants the gradients of its 8 examples.
fn in_training(layer: impl Fn(&mut Parameters) -> Forward) -> Result<Vec<Tensor>> {
    let mut parameters = Parameters::new();
    let layer = layer(&mut parameters);
    let mut graph = Graph::training(&parameters);
    let (x, y) = (graph.input("x", &[8, 4]), graph.input("y", &[8]));
    let logits = layer(&mut graph, x)?;
    let loss = graph.cross_entropy(logits, y)?;
    let norms = graph.input("norms", &[8]);
    graph.backward(&[loss.gradient()], &[Wanted::SquaredNorms(NetworkId::FIRST, norms)])
}

#[test]
fn batch_norm_in_training_mode_ties_examples_together() {
    let error = in_training(|parameters| {
        let (w, norm) = (weight(parameters, "fc", [4, 4]), batch_norm(parameters, "bn", 4));
        Box::new(move |graph, x| {
            let x = graph.linear(x, w, None, Activation::None)?;
            graph.batch_norm(x, &norm, false, None)
        })
    });
    let message = error.unwrap_err().to_string();
    assert!(message.contains("bn") && message.contains("evaluation mode"), "{message}");
}

#[test]
fn rows_that_are_no_whole_examples_are_refused() {
    let error = in_training(|parameters| {
        let w = weight(parameters, "fc", [8, 8]);
        Box::new(move |graph, x| {
            let x = graph.reshape(x, &[4, 8])?;
            let x = graph.linear(x, w, None, Activation::None)?;
            graph.reshape(x, &[8, 4])
        })
    });
    let message = error.unwrap_err().to_string();
    assert!(message.contains("4 rows at backbone.fc.weight are not 8 examples"), "{message}");
}
