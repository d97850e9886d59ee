//! Gradients of single examples of whole models: those that PyTorch computes (`torch.func`), those of batches of one, and
//! their norms, on the CPU device and on a GPU adapter.

#[path = "common/fixtures.rs"]
mod fixtures;

use engine::checkpoint::{Stored, StoredValues};
use engine::{
    Clock, Device, Graph, Loss, Memory, Network, NetworkId, Plan, Result, Slice, Wanted, Workspace,
};
use fixtures::{devices, fixture, floats, norm, strip};
use models::{Mlp, MlpConfig, Model, ResNet, ResNetConfig, Vgg, VggConfig, Vit, VitConfig};

/// A model with weights, statistics and a batch, channels last.
struct Subject {
    model: Box<dyn Model>,
    values: Vec<f32>,
    statistics: Vec<f32>,
    x: Vec<f32>,
    labels: Vec<u32>,
}

/// What one backward pass left.
struct Outcome {
    /// `[N, words]`, if wanted.
    rows: Vec<f32>,
    /// `[N]`, if wanted.
    norms: Vec<f32>,
    /// `[words]`.
    sums: Vec<f32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Want {
    Rows,
    Norms,
    Sums,
}

impl Subject {
    fn run(&self, device: &Device, examples: std::ops::Range<usize>, want: Want) -> Result<Outcome> {
        let (parameters, input, n) = (self.model.parameters(), self.model.input(), examples.len());
        let image = input.image_size * input.image_size * input.channels;
        let network = Network::new(device, "network", parameters)?;
        network.write(device, &self.values, &self.statistics)?;
        let pixels = &self.x[examples.start * image..examples.end * image];
        let x = device.buffer_with("x", bytemuck::cast_slice(pixels))?;
        let y = device.buffer_with("y", &self.labels[examples])?;
        let (words, counted) = (parameters.words(), |wanted, count| if want == wanted { count } else { 1 });
        let (row_words, norm_words) = (counted(Want::Rows, n * words), counted(Want::Norms, n));
        let (rows, norms) = (device.buffer("rows", row_words)?, device.buffer("norms", norm_words)?);
        let sums = device.buffer("gradients", words)?;

        let mut graph = Graph::evaluation(parameters);
        graph.set_winograd(false);
        let images = graph.input("x", &[n, input.image_size, input.image_size, input.channels]);
        let labels = graph.input("y", &[n]);
        let logits = self.model.forward(&mut graph, images)?;
        let loss: Loss = graph.cross_entropy(logits, labels)?;
        let wanted = match want {
            Want::Rows => Wanted::Rows(NetworkId::FIRST, graph.input("rows", &[n, words])),
            Want::Norms => Wanted::SquaredNorms(NetworkId::FIRST, graph.input("norms", &[n])),
            Want::Sums => Wanted::Network(NetworkId::FIRST),
        };
        graph.backward(&[loss.gradient()], &[wanted])?;
        let inputs = [
            ("x", x.slice(0, n * image)),
            ("y", y.slice(0, n)),
            ("rows", rows.slice(0, row_words)),
            ("norms", norms.slice(0, norm_words)),
        ];
        let memory = Memory { networks: &[(&network, Some(&sums))], inputs: &inputs };
        let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default())?;
        device.compile(bound.launches)?.run(&Clock::default())?;
        let read = |slice: Slice| device.read_f32(&slice);
        Ok(Outcome {
            rows: read(rows.slice(0, row_words))?,
            norms: read(norms.slice(0, norm_words))?,
            sums: read(sums.slice(0, words))?,
        })
    }

    /// Rows against batches of one, norms against rows.
    fn check(&self, what: &str) {
        let (words, n) = (self.model.parameters().words(), self.labels.len());
        for device in devices() {
            let rows = self.run(&device, 0..n, Want::Rows).unwrap().rows;
            let norms = self.run(&device, 0..n, Want::Norms).unwrap().norms;
            for (example, row) in rows.chunks_exact(words).enumerate() {
                let alone = self.run(&device, example..example + 1, Want::Sums).unwrap().sums;
                let length = norm(alone.iter().map(|&g| f64::from(g)));
                let off = norm(row.iter().zip(&alone).map(|(a, b)| f64::from(*a) - f64::from(*b))) / length;
                assert!(off < 1e-6, "{what}, {}: example {example} is off by {off:.1e}", device.name());
                let square = norm(row.iter().map(|&g| f64::from(g))).powi(2);
                let off = (f64::from(norms[example]) / square - 1.0).abs();
                assert!(off < 1e-6, "{what}, {}: its norm is off by {off:.1e}", device.name());
            }
        }
    }
}

/// Fresh weights and a random batch.
fn fresh(model: Box<dyn Model>, examples: usize) -> Subject {
    let (parameters, input) = (model.parameters(), model.input());
    let image = input.image_size * input.image_size * input.channels;
    let x = kernels::case::test_values(examples * image, 1);
    Subject {
        values: parameters.initial_values(3),
        statistics: statistics(model.as_ref()),
        x,
        labels: (0..examples).map(|i| (i * 3 % input.classes) as u32).collect(),
        model,
    }
}

/// The statistics of the fixture's script.
fn statistics(model: &dyn Model) -> Vec<f32> {
    let mut arena = model.parameters().initial_statistics(1);
    for segment in model.parameters().statistics() {
        for (i, value) in arena[segment.range()].iter_mut().enumerate() {
            let angle = (i + 1) as f64;
            let mean = segment.name.ends_with("running_mean");
            *value = if mean { 0.3 * angle.sin() } else { 1.0 + 0.5 * angle.cos() } as f32;
        }
    }
    arena
}

/// The weights and the batch of a fixture.
fn of_fixture(model: Box<dyn Model>, name: &str) -> Subject {
    let file = fixture(name);
    let weights = strip(&file, "weight.");
    let values = model.parameters().import(name, |tensor| weights.floats(tensor)).unwrap();
    let (shape, images) = file.floats("x").unwrap();
    let (channels, pixels) = (shape[1], shape[2] * shape[3]);
    let last = |i: usize| {
        images[i / (channels * pixels) * channels * pixels + i % channels * pixels + i / channels % pixels]
    };
    let Stored { values: StoredValues::Integers(labels), .. } = &file.tensors["y"] else { panic!("{name}") };
    Subject {
        values,
        statistics: statistics(model.as_ref()),
        x: (0..images.len()).map(last).collect(),
        labels: labels.iter().map(|&label| label as u32).collect(),
        model,
    }
}

fn mlp(hidden: &[usize], batch_norm: bool) -> Box<dyn Model> {
    let hidden = hidden.to_vec();
    Box::new(Mlp::new(MlpConfig {
        image_size: 6,
        channels: 1,
        classes: 5,
        hidden,
        batch_norm,
        ..MlpConfig::default()
    }))
}

fn resnet(width: usize) -> Box<dyn Model> {
    let size = ResNetConfig { image_size: 16, classes: 5, width, head_hidden: 10, ..Default::default() };
    Box::new(ResNet::new(size))
}

fn vgg() -> Box<dyn Model> {
    let size = VggConfig { image_size: 32, classes: 5, width: 1, head_hidden: 10, ..Default::default() };
    Box::new(Vgg::new(size))
}

fn vit() -> Box<dyn Model> {
    let (image_size, patch, channels, classes) = (8, 4, 3, 5);
    Box::new(Vit::new(VitConfig {
        image_size,
        patch,
        channels,
        classes,
        dim: 32,
        depth: 2,
        heads: 2,
        dropout: 0.0,
    }))
}

#[test]
fn rows_are_those_that_pytorch_computes() {
    let expected = fixture("per_example");
    for (name, model) in [
        ("mlp_plain", mlp(&[20, 12], false)),
        ("mlp_batch_norm", mlp(&[24, 16], true)),
        ("resnet", resnet(2)),
        ("vgg", vgg()),
        ("vit_batch_3", vit()),
    ] {
        let subject = of_fixture(model, name);
        let (parameters, n) = (subject.model.parameters(), subject.labels.len());
        let of = |what: &str| floats(&expected, &format!("{name}.{what}"));
        let (norms, projections, products) = (of("norms"), of("projections"), of("products"));
        for device in devices() {
            let rows = subject.run(&device, 0..n, Want::Rows).unwrap().rows;
            let rows: Vec<&[f32]> = rows.chunks_exact(parameters.words()).collect();
            for (i, row) in rows.iter().enumerate() {
                let mut tensors = parameters.export(row);
                tensors.sort_by(|a, b| a.0.cmp(&b.0));
                let whole = f64::from(products[i * n + i]).sqrt();
                for (index, (tensor, _, values)) in tensors.iter().enumerate() {
                    let length = norm(values.iter().map(|&g| f64::from(g)));
                    let place = |(i, &g): (usize, &f32)| ((i + 1) as f64).cos() * f64::from(g);
                    let projection: f64 = values.iter().enumerate().map(place).sum();
                    for (what, ours, theirs) in [
                        ("norm", length, norms[index * n + i]),
                        ("projection", projection, projections[index * n + i]),
                    ] {
                        let off = (ours - f64::from(theirs)).abs() / length.max(1e-2 * whole);
                        let device = device.name();
                        assert!(
                            off < 2e-5,
                            "{name}, {device}: {what} of {tensor}, example {i}: off by {off:.1e}"
                        );
                    }
                }
                for (j, other) in rows.iter().enumerate() {
                    let product: f64 =
                        row.iter().zip(*other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let off = (product - f64::from(products[i * n + j])).abs() / whole.powi(2);
                    assert!(
                        off < 2e-5,
                        "{name}, {}: product of {i} and {j}: off by {off:.1e}",
                        device.name()
                    );
                }
            }
        }
    }
}

#[test]
fn rows_are_the_gradients_of_batches_of_one() {
    fresh(mlp(&[33, 20], true), 9).check("an MLP");
    fresh(resnet(4), 5).check("ResNet-18");
    fresh(vgg(), 3).check("VGG-16");
    fresh(vit(), 5).check("ViT");
}
