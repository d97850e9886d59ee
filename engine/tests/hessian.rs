//! Hessian-vector products against central differences of f64 gradients, and against themselves: H is symmetric.
//!
//! Whole models stand against PyTorch in `tests/hessian.rs` of the workspace.

mod common;

use common::network::{bias, weight};
use common::{Random, devices};
use engine::params::ParameterId;
use engine::{
    Activation, Buffer, Clock, Device, Error, Graph, Memory, Network, NetworkId, Parameters, Plan, Tensor,
    Wanted, Workspace,
};
use kernels::value::Criterion;

const ROWS: usize = 9;
const WIDTHS: [usize; 4] = [4, 7, 6, 3];

/// Three linear layers with ReLU between them, and their batch.
struct Mlp {
    parameters: Parameters,
    layers: Vec<(ParameterId, ParameterId)>,
    values: Vec<f32>,
    x: Vec<f32>,
    labels: Vec<u32>,
    targets: Vec<f32>,
}

/// What is minimised.
#[derive(Clone, Copy, PartialEq)]
enum Objective {
    /// Cross-entropy, with a penalty of the squared logits.
    Classes { penalty: f64 },
    /// An error of predictions.
    Values(Criterion),
}

impl Mlp {
    fn new(seed: u32) -> Self {
        let mut parameters = Parameters::new();
        let mut layers = Vec::new();
        for (index, pair) in WIDTHS.windows(2).enumerate() {
            let name = format!("fc{index}");
            let weight = weight(&mut parameters, &name, [pair[1], pair[0]]);
            layers.push((weight, bias(&mut parameters, &name, pair[1])));
        }
        let mut random = Random(seed << 16);
        let mut values = vec![0.0; parameters.words()];
        for segment in parameters.trained() {
            values[segment.range()].copy_from_slice(&random.values(segment.len));
        }
        let labels = (0..ROWS).map(|_| random.range(0, WIDTHS[3]) as u32).collect();
        let (x, targets) = (random.values(ROWS * WIDTHS[0]), random.values(ROWS * WIDTHS[3]));
        Self { parameters, layers, values, x, labels, targets }
    }

    fn forward(&self, graph: &mut Graph<'_>, x: Tensor) -> engine::Result<Tensor> {
        let mut x = x;
        for (index, &(weight, bias)) in self.layers.iter().enumerate() {
            let last = index + 1 == self.layers.len();
            let activation = if last { Activation::None } else { Activation::Relu };
            x = graph.linear(x, weight, Some(bias), activation)?;
        }
        Ok(x)
    }

    /// H v on a device, `record` makes the loss.
    fn product(&self, device: &Device, objective: Objective, v: &[f32]) -> engine::Result<Vec<f32>> {
        self.recorded(device, v, |graph, x, labels, targets| {
            let outputs = self.forward(graph, x)?;
            Ok(match objective {
                Objective::Classes { penalty } => {
                    graph.penalised_cross_entropy(outputs, labels, penalty)?.gradient()
                }
                Objective::Values(criterion) => graph.regression(outputs, targets, criterion)?.gradient(),
            })
        })
    }

    fn recorded(
        &self,
        device: &Device,
        v: &[f32],
        record: impl Fn(&mut Graph<'_>, Tensor, Tensor, Tensor) -> engine::Result<(Tensor, Tensor)>,
    ) -> engine::Result<Vec<f32>> {
        let mut graph = Graph::training(&self.parameters);
        let direction = graph.network("direction", &self.parameters);
        let x = graph.input("x", &[ROWS, WIDTHS[0]]);
        let (labels, targets) = (graph.input("labels", &[ROWS]), graph.input("targets", &[ROWS, WIDTHS[3]]));
        let loss = record(&mut graph, x, labels, targets)?;
        graph.hessian_vector(&[loss], NetworkId::FIRST, direction)?;
        let network = |name: &str, values: &[f32]| -> engine::Result<Network> {
            let network = Network::new(device, name, &self.parameters)?;
            network.write(device, values, &self.parameters.initial_statistics(1))?;
            Ok(network)
        };
        let (here, along) = (network("here", &self.values)?, network("direction", v)?);
        let product = device.buffer("product", self.parameters.words())?;
        let upload = |name: &str, words: &[u32]| device.buffer_with(name, words);
        let all = |buffer: Buffer, words: usize| buffer.slice(0, words);
        let inputs = [
            ("x", all(upload("x", bytemuck::cast_slice(&self.x))?, self.x.len())),
            ("labels", all(upload("labels", &self.labels)?, ROWS)),
            ("targets", all(upload("targets", bytemuck::cast_slice(&self.targets))?, self.targets.len())),
        ];
        let gradients = device.buffer("gradients", self.parameters.words())?;
        let networks = [(&here, Some(&gradients)), (&along, Some(&product))];
        let memory = Memory { networks: &networks, inputs: &inputs };
        let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default())?;
        device.compile(bound.launches)?.run(&Clock::default())?;
        device.read_f32(&product.slice(0, self.parameters.words()))
    }

    /// The gradient in f64, laid out as the arena.
    fn gradient(&self, objective: Objective, values: &[f64]) -> Vec<f64> {
        let segment = |index: usize| self.parameters.trained()[index].range();
        let mut activations = vec![self.x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()];
        for (layer, pair) in WIDTHS.windows(2).enumerate() {
            let (w, b) = (&values[segment(2 * layer)], &values[segment(2 * layer + 1)]);
            let x = &activations[layer];
            let y = (0..ROWS * pair[1]).map(|i| {
                let (row, o) = (i / pair[1], i % pair[1]);
                let z: f64 =
                    b[o] + (0..pair[0]).map(|k| x[row * pair[0] + k] * w[o * pair[0] + k]).sum::<f64>();
                if layer + 2 < WIDTHS.len() { z.max(0.0) } else { z }
            });
            let y = y.collect();
            activations.push(y);
        }
        let classes = WIDTHS[3];
        let outputs = activations.last().unwrap();
        let mut dz: Vec<f64> = (0..ROWS * classes)
            .map(|i| {
                let (row, z) = (i / classes, outputs[i]);
                match objective {
                    Objective::Classes { penalty } => {
                        let sum: f64 =
                            outputs[row * classes..(row + 1) * classes].iter().map(|z| z.exp()).sum();
                        let target = f64::from(self.labels[row] as usize == i % classes);
                        (z.exp() / sum - target + 2.0 * penalty * z) / ROWS as f64
                    }
                    Objective::Values(criterion) => {
                        let error = z - f64::from(self.targets[i]);
                        let slope = match criterion {
                            Criterion::Squared => 2.0 * error,
                            Criterion::Huber { threshold } => error.clamp(-threshold, threshold),
                            Criterion::Expectile { expectile } => {
                                2.0 * if error > 0.0 { 1.0 - expectile } else { expectile } * error
                            }
                        };
                        slope / (ROWS * classes) as f64
                    }
                }
            })
            .collect();
        let mut gradient = vec![0.0; values.len()];
        for layer in (0..WIDTHS.len() - 1).rev() {
            let (inputs, outputs) = (WIDTHS[layer], WIDTHS[layer + 1]);
            let (w, x) = (&values[segment(2 * layer)], &activations[layer]);
            let mut dx = vec![0.0; ROWS * inputs];
            for (i, &dz) in dz.iter().enumerate() {
                let (row, o) = (i / outputs, i % outputs);
                gradient[segment(2 * layer + 1).start + o] += dz;
                for k in 0..inputs {
                    gradient[segment(2 * layer).start + o * inputs + k] += dz * x[row * inputs + k];
                    dx[row * inputs + k] += dz * w[o * inputs + k];
                }
            }
            // The rectifier of the layer before.
            dz = dx.iter().zip(x).map(|(dx, &x)| if layer == 0 || x > 0.0 { *dx } else { 0.0 }).collect();
        }
        gradient
    }

    /// Numbers in [-1, 1) for the parameters, zeros for the padding.
    fn direction(&self, seed: u32) -> Vec<f32> {
        let mut random = Random(seed << 8);
        let mut v = vec![0.0; self.parameters.words()];
        for segment in self.parameters.trained() {
            v[segment.range()].copy_from_slice(&random.values(segment.len));
        }
        v
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

const OBJECTIVES: [Objective; 5] = [
    Objective::Classes { penalty: 0.0 },
    Objective::Classes { penalty: 0.1 },
    Objective::Values(Criterion::Squared),
    Objective::Values(Criterion::Huber { threshold: 0.4 }),
    Objective::Values(Criterion::Expectile { expectile: 0.8 }),
];

#[test]
fn products_are_central_differences_of_gradients_in_f64() {
    /// So small that no rectifier and no threshold is crossed.
    const STEP: f64 = 1e-7;
    for (index, objective) in OBJECTIVES.into_iter().enumerate() {
        let mlp = Mlp::new(index as u32 + 1);
        let v = mlp.direction(3);
        let at = |h: f64| {
            let values = mlp.values.iter().zip(&v).map(|(&w, &v)| f64::from(w) + h * f64::from(v));
            mlp.gradient(objective, &values.collect::<Vec<_>>())
        };
        let (right, left) = (at(STEP), at(-STEP));
        let expected: Vec<f64> = right.iter().zip(&left).map(|(r, l)| (r - l) / (2.0 * STEP)).collect();
        let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(norm(&expected) > 0.1, "a product that proves nothing");
        for device in devices() {
            let got = mlp.product(&device, objective, &v).unwrap();
            let error: Vec<f64> = got.iter().zip(&expected).map(|(&got, e)| f64::from(got) - e).collect();
            let error = norm(&error) / norm(&expected);
            println!("objective {index} on {}: {error:.1e}", device.name());
            assert!(error < 1e-5, "objective {index} on {}: off by {error:.1e}", device.name());
        }
    }
}

#[test]
fn the_hessian_is_symmetric_and_the_padding_stays_zero() {
    let mlp = Mlp::new(8);
    let (u, v) = (mlp.direction(1), mlp.direction(2));
    for device in devices() {
        let [hu, hv] = [&u, &v].map(|v| mlp.product(&device, OBJECTIVES[0], v).unwrap());
        let (a, b) = (dot(&u, &hv), dot(&v, &hu));
        assert!((a - b).abs() < 1e-5 * a.abs().max(dot(&hv, &hv).sqrt()), "{a} and {b} on {}", device.name());
        let inside: Vec<usize> =
            mlp.parameters.trained().iter().flat_map(|segment| segment.range()).collect();
        assert!((0..hv.len()).all(|at| hv[at] == 0.0 || inside.contains(&at)));
    }
}

#[test]
fn a_graph_may_have_the_gradient_and_the_product() {
    let mlp = Mlp::new(4);
    let (device, v) = (Device::cpu(1).unwrap(), mlp.direction(1));
    let both = mlp.recorded(&device, &v, |graph, x, labels, _| {
        let logits = mlp.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, labels)?.gradient();
        graph.backward(&[loss], &[Wanted::Network(NetworkId::FIRST)])?;
        Ok(loss)
    });
    assert_eq!(both.unwrap(), mlp.product(&device, OBJECTIVES[0], &v).unwrap(), "bit for bit");
}

#[test]
fn dropout_uses_the_same_mask_in_all_walks() {
    // A graph with dropout is piecewise what one with a fixed mask is, so H stays symmetric.
    let mlp = Mlp::new(5);
    let (u, v) = (mlp.direction(1), mlp.direction(2));
    let device = Device::cpu(1).unwrap();
    let product = |v: &[f32], dropout: bool| {
        mlp.recorded(&device, v, |graph, x, labels, _| {
            graph.set_dropout(dropout);
            let (weight, bias) = mlp.layers[0];
            let mut x = graph.linear(x, weight, Some(bias), Activation::Relu)?;
            x = graph.dropout(x, 0.5)?;
            for &(weight, bias) in &mlp.layers[1..] {
                x = graph.linear(x, weight, Some(bias), Activation::None)?;
            }
            Ok(graph.cross_entropy(x, labels)?.gradient())
        })
        .unwrap()
    };
    let (hu, hv) = (product(&u, true), product(&v, true));
    assert!((dot(&u, &hv) - dot(&v, &hu)).abs() < 1e-5 * dot(&hv, &hv).sqrt());
    assert_ne!(hv, product(&v, false), "without dropout it is another function");
}

#[test]
fn what_cannot_be_had_is_said() {
    let mlp = Mlp::new(1);
    let (device, v) = (Device::cpu(1).unwrap(), mlp.direction(1));
    let message = |outcome: engine::Result<Vec<f32>>| match outcome {
        Err(error @ Error::Shape { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    // A distillation changes the gradient of a loss in place and has no tangent.
    let no_tangent = message(mlp.recorded(&device, &v, |graph, x, labels, targets| {
        let logits = mlp.forward(graph, x)?;
        let loss = graph.cross_entropy(logits, labels)?;
        graph.distill(loss, targets, 0.5)?;
        Ok(loss.gradient())
    }));
    assert!(no_tangent.contains("distillation") && no_tangent.contains("no tangent"), "{no_tangent}");
    let shape = message(mlp.recorded(&device, &v, |graph, x, _, _| Ok((mlp.forward(graph, x)?, x))));
    assert!(shape.contains("[9, 3] with a gradient of [9, 4]"), "{shape}");

    let mut graph = Graph::training(&mlp.parameters);
    let other = Mlp::new(1);
    let mut small = Parameters::new();
    weight(&mut small, "fc", [2, 2]);
    let (direction, wrong) = (graph.network("direction", &other.parameters), graph.network("wrong", &small));
    let (x, labels) = (graph.input("x", &[ROWS, WIDTHS[0]]), graph.input("labels", &[ROWS]));
    let logits = mlp.forward(&mut graph, x).unwrap();
    let loss = graph.cross_entropy(logits, labels).unwrap().gradient();
    for along in [wrong, NetworkId::FIRST] {
        let error = graph.hessian_vector(&[loss], NetworkId::FIRST, along).unwrap_err();
        assert!(error.to_string().contains("of the same table"), "{error}");
    }
    graph.hessian_vector(&[loss], NetworkId::FIRST, direction).unwrap();
    let twice = graph.hessian_vector(&[loss], NetworkId::FIRST, direction).unwrap_err().to_string();
    assert!(twice.contains("fc0.weight is written already"), "{twice}");
}
