//! Graphs of several networks: each loss moves what it is told to move and nothing else.

mod common;

use common::devices;
use engine::params::{Init, ParameterId};
use engine::{
    Activation, Buffer, Clock, Device, Error, Graph, Memory, Mode, Network, NetworkId, Parameters, Plan,
    Tensor, Wanted, Workspace,
};

const ROWS: usize = 5;
const WIDTH: usize = 4;
const CLASSES: usize = 3;

/// A network of two layers, `backbone` and `head`.
struct TwoLayers {
    parameters: Parameters,
    layers: [(ParameterId, ParameterId); 2],
}

impl TwoLayers {
    fn new() -> Self {
        let mut parameters = Parameters::new();
        let mut layer = |name: &str, [outputs, inputs]: [usize; 2]| {
            let init = Init::FanIn(inputs);
            let weight = parameters.add(format!("{name}.weight"), &[outputs, inputs], init);
            (weight, parameters.add(format!("{name}.bias"), &[outputs], init))
        };
        let layers = [layer("backbone.fc", [WIDTH, WIDTH]), layer("head.fc", [CLASSES, WIDTH])];
        Self { parameters, layers }
    }

    fn backbone(&self, graph: &mut Graph<'_>, x: Tensor) -> engine::Result<Tensor> {
        let (weight, bias) = self.layers[0];
        graph.linear(x, weight, Some(bias), Activation::Relu)
    }

    fn head(&self, graph: &mut Graph<'_>, features: Tensor) -> engine::Result<Tensor> {
        let (weight, bias) = self.layers[1];
        graph.linear(features, weight, Some(bias), Activation::None)
    }

    fn forward(&self, graph: &mut Graph<'_>, x: Tensor) -> engine::Result<Tensor> {
        let features = self.backbone(graph, x)?;
        self.head(graph, features)
    }
}

/// Two networks of one table on a device, the gradient arena of each, and what a graph made of them.
struct Run {
    device: Device,
    networks: [(Network, Buffer); 2],
    outputs: std::collections::HashMap<String, engine::Slice>,
    words: usize,
    launches: Vec<String>,
}

/// Every device of these tests, with the first values of both networks; the gradients begin as 7, which no launch writes
/// by chance.
fn run(
    parameters: &Parameters,
    record: impl Fn(&mut Graph<'_>, NetworkId, Tensor, Tensor) -> engine::Result<()>,
) -> Vec<Run> {
    devices().map(|device| run_on(device, parameters, &record).unwrap()).into()
}

fn run_on(
    device: Device,
    parameters: &Parameters,
    record: impl Fn(&mut Graph<'_>, NetworkId, Tensor, Tensor) -> engine::Result<()>,
) -> engine::Result<Run> {
    let words = parameters.words();
    let make = |seed| -> engine::Result<(Network, Buffer)> {
        let network = Network::new(&device, "test", parameters)?;
        network.write(&device, &parameters.initial_values(seed), &parameters.initial_statistics(seed))?;
        let gradients = device.buffer_with("gradients", &vec![7f32.to_bits(); words])?;
        Ok((network, gradients))
    };
    let networks = [make(1)?, make(2)?];
    let x: Vec<u32> = (0..ROWS * WIDTH).map(|i| ((i * 7 % 11) as f32 / 5.0 - 1.0).to_bits()).collect();
    let labels: Vec<u32> = (0..ROWS as u32).map(|row| row % CLASSES as u32).collect();
    let (x, labels) = (device.buffer_with("x", &x)?, device.buffer_with("y", &labels)?);

    let mut graph = Graph::training(parameters);
    let other = graph.network("other", parameters);
    let (images, y) = (graph.input("x", &[ROWS, WIDTH]), graph.input("y", &[ROWS]));
    record(&mut graph, other, images, y)?;
    let memory = Memory {
        networks: &[(&networks[0].0, Some(&networks[0].1)), (&networks[1].0, Some(&networks[1].1))],
        inputs: &[("x", x.slice(0, ROWS * WIDTH)), ("y", labels.slice(0, ROWS))],
    };
    let bound = Plan::new(&graph).bind(&device, &memory, &mut Workspace::default())?;
    let launches = bound.launches.iter().map(|launch| launch.label.clone()).collect();
    device.compile(bound.launches)?.run(&Clock::default())?;
    Ok(Run { device, networks, outputs: bound.outputs, words, launches })
}

impl Run {
    fn gradients(&self, network: usize) -> Vec<f32> {
        self.device.read_f32(&self.networks[network].1.slice(0, self.words)).unwrap()
    }

    fn output(&self, name: &str) -> Vec<f32> {
        self.device.read_f32(&self.outputs[name]).unwrap()
    }
}

/// Whether each named tensor of the table was written.
fn written(parameters: &Parameters, gradients: &[f32]) -> Vec<String> {
    let segments = parameters.trained().iter();
    let changed = segments.filter(|segment| gradients[segment.range()].iter().any(|&value| value != 7.0));
    changed.map(|segment| segment.name.clone()).collect()
}

#[test]
fn a_teacher_in_the_same_graph_is_a_constant() {
    let table = TwoLayers::new();
    for run in run(&table.parameters, |graph, teacher, x, y| {
        let taught = graph.with(teacher, Mode::Evaluation, |graph| table.forward(graph, x))?;
        assert!(graph.is_training(), "the scope before is back");
        let logits = table.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.distill(loss, taught, 0.5)?;
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).map(drop)
    }) {
        assert_eq!(written(&table.parameters, &run.gradients(0)).len(), 4);
        assert!(written(&table.parameters, &run.gradients(1)).is_empty());
        assert!(run.launches.iter().any(|label| label == "other: linear head.fc"), "{:?}", run.launches);
        assert!(!run.launches.iter().any(|label| label.starts_with("other: linear backward")));
    }
}

#[test]
fn one_loss_moves_both_networks_or_either() {
    // The other network's head on this one's features.
    let table = TwoLayers::new();
    let gradients = |wanted: fn(NetworkId) -> Vec<Wanted<'static>>| {
        let runs = run(&table.parameters, |graph, other, x, y| {
            let features = table.backbone(graph, x)?;
            let logits = graph.with(other, Mode::Training, |graph| table.head(graph, features))?;
            let loss = graph.cross_entropy(logits, y)?;
            graph.backward(&[loss.gradient()], &wanted(other)).map(drop)
        });
        runs.iter().map(|run| [0, 1].map(|network| run.gradients(network))).collect::<Vec<_>>()
    };
    let both = gradients(|other| vec![Wanted::Network(NetworkId::FIRST), Wanted::Network(other)]);
    let first = gradients(|_| vec![Wanted::Network(NetworkId::FIRST)]);
    let second = gradients(|other| vec![Wanted::Network(other)]);
    for ((both, first), second) in both.iter().zip(&first).zip(&second) {
        assert_eq!(written(&table.parameters, &both[0]), ["backbone.fc.weight", "backbone.fc.bias"]);
        assert_eq!(written(&table.parameters, &both[1]), ["head.fc.weight", "head.fc.bias"]);
        assert_eq!((&first[0], &second[1]), (&both[0], &both[1]), "bit for bit");
        assert_eq!(
            written(&table.parameters, &first[1]).len() + written(&table.parameters, &second[0]).len(),
            0
        );
    }
}

#[test]
fn a_group_alone_gets_its_gradient_and_nothing_is_computed_behind_it() {
    let table = TwoLayers::new();
    for run in run(&table.parameters, |graph, _, x, y| {
        let logits = table.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[loss.gradient()], &[Wanted::Group(NetworkId::FIRST, "head")]).map(drop)
    }) {
        assert_eq!(written(&table.parameters, &run.gradients(0)), ["head.fc.weight", "head.fc.bias"]);
        assert_eq!(run.launches.iter().filter(|label| label.contains("backward")).count(), 2);
    }
}

#[test]
fn what_is_detached_is_a_constant() {
    let table = TwoLayers::new();
    for run in run(&table.parameters, |graph, _, x, y| {
        let features = table.backbone(graph, x)?;
        let features = graph.detach(features);
        let features = graph.reshape(features, &[ROWS, WIDTH])?;
        let logits = table.head(graph, features)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).map(drop)
    }) {
        assert_eq!(written(&table.parameters, &run.gradients(0)), ["head.fc.weight", "head.fc.bias"]);
    }
}

#[test]
fn two_losses_of_one_network_are_summed() {
    let table = TwoLayers::new();
    let gradients = |losses: fn(engine::Loss, engine::Loss) -> Vec<(Tensor, Tensor)>| {
        let runs = run(&table.parameters, |graph, _, x, y| {
            let logits = table.forward(graph, x)?;
            let loss = graph.cross_entropy(logits, y)?;
            let again = graph.penalised_cross_entropy(logits, y, 0.3)?;
            graph.backward(&losses(loss, again), &[Wanted::Network(NetworkId::FIRST)]).map(drop)
        });
        runs.iter().map(|run| run.gradients(0)).collect::<Vec<_>>()
    };
    let sum = gradients(|a, b| vec![a.gradient(), b.gradient()]);
    let (a, b) = (gradients(|a, _| vec![a.gradient()]), gradients(|_, b| vec![b.gradient()]));
    for ((sum, a), b) in sum.iter().zip(&a).zip(&b) {
        for segment in table.parameters.trained() {
            for at in segment.range() {
                approx::assert_abs_diff_eq!(sum[at], a[at] + b[at], epsilon = 1e-6);
            }
        }
    }
}

#[test]
fn gradients_of_activations_and_inputs_are_returned_and_not_overwritten() {
    let table = TwoLayers::new();
    for run in run(&table.parameters, |graph, _, x, y| {
        let features = table.backbone(graph, x)?;
        let logits = table.head(graph, features)?;
        let loss = graph.cross_entropy(logits, y)?;
        let wanted = [Wanted::Tensor(x), Wanted::Tensor(features), Wanted::Tensor(logits)];
        for (name, gradient) in
            ["x", "features", "logits"].iter().zip(graph.backward(&[loss.gradient()], &wanted)?)
        {
            graph.output(name, gradient);
        }
        Ok(())
    }) {
        let values = run.device.read_f32(&run.networks[0].0.parameters.slice(0, run.words)).unwrap();
        let weight = |index: usize| &values[table.parameters.trained()[index].range()];
        // dfeatures = dlogits W2, dx = (dfeatures where the rectifier let through) W1.
        let (logits, features, x) = (run.output("logits"), run.output("features"), run.output("x"));
        for row in 0..ROWS {
            for i in 0..WIDTH {
                let sum: f32 =
                    (0..CLASSES).map(|o| logits[row * CLASSES + o] * weight(2)[o * WIDTH + i]).sum();
                approx::assert_abs_diff_eq!(features[row * WIDTH + i], sum, epsilon = 1e-6);
            }
        }
        assert!(x.iter().any(|&value| value != 0.0) && x.len() == ROWS * WIDTH);
        assert_eq!(
            written(&table.parameters, &run.gradients(0)).len(),
            0,
            "nobody asked for those of parameters"
        );
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    let table = TwoLayers::new();
    let device = || Device::cpu(1).unwrap();
    let all = [Wanted::Network(NetworkId::FIRST)];
    let message =
        |record: &dyn Fn(&mut Graph<'_>, NetworkId, Tensor, Tensor) -> engine::Result<()>| match run_on(
            device(),
            &table.parameters,
            record,
        )
        .err()
        {
            Some(error @ Error::Shape { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
    let twice = message(&|graph, _, x, y| {
        let logits = table.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[loss.gradient()], &all)?;
        graph.backward(&[loss.gradient()], &all).map(drop)
    });
    assert!(twice.contains("backbone.fc.weight is written already"), "{twice}");
    let no_rule = message(&|graph, _, x, y| {
        let logits = table.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[(loss.row_loss, y)], &all).map(drop)
    });
    assert!(no_rule.contains("cross_entropy: a gradient is wanted through it"), "{no_rule}");
    let unrelated = message(&|graph, other, x, y| {
        let logits = table.forward(graph, x)?;
        let unused = graph.with(other, Mode::Training, |graph| table.backbone(graph, x))?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[loss.gradient()], &[Wanted::Tensor(unused)]).map(drop)
    });
    assert!(unrelated.contains("does not depend on a wanted tensor of [5, 4]"), "{unrelated}");
    let shape = message(&|graph, _, x, y| {
        let logits = table.forward(graph, x)?;
        graph.backward(&[(logits, y)], &all).map(drop)
    });
    assert!(shape.contains("[5, 3] with a gradient of [5]"), "{shape}");
}

#[test]
fn parameters_that_begin_constant_and_are_not_wanted_stay_out() {
    // A layer norm whose scale and shift are frozen: its kernel writes their gradients all the same, but not into the arena.
    let mut parameters = Parameters::new();
    let frozen = engine::layers::LayerNorm::new(&mut parameters, "norm.first", WIDTH);
    let w = parameters.add("head.fc.weight".into(), &[CLASSES, WIDTH], Init::FanIn(WIDTH));
    for run in run(&parameters, |graph, _, x, y| {
        let x = frozen.forward(graph, x)?;
        let logits = graph.linear(x, w, None, Activation::None)?;
        let loss = graph.cross_entropy(logits, y)?;
        let wanted = [Wanted::Group(NetworkId::FIRST, "head"), Wanted::Tensor(x)];
        graph.backward(&[loss.gradient()], &wanted).map(drop)
    }) {
        assert_eq!(written(&parameters, &run.gradients(0)), ["head.fc.weight"]);
    }
}
