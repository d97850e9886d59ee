//! The gradient covariance: against gradients one by one, in pieces of any size, and as a command.

use engine::{Clock, Device, Graph, Memory, Network, NetworkId, Parameters, Plan, Wanted, Workspace};
use experiments::curvature::{Covariance, Input, gradient_covariance};
use models::{Mlp, MlpConfig, Model};
use std::path::Path;
use std::process::{Command, Output};

const EXAMPLES: usize = 11;

fn model() -> Mlp {
    let hidden = vec![12, 9];
    Mlp::new(MlpConfig { classes: 4, image_size: 5, channels: 1, hidden, ..MlpConfig::default() })
}

fn network(device: &Device, parameters: &Parameters) -> Network {
    let network = Network::new(device, "test", parameters).unwrap();
    network.write(device, &parameters.initial_values(2), &parameters.initial_statistics(2)).unwrap();
    network
}

/// Images, and the gradient of the mean loss by the logits.
fn examples() -> [Vec<u32>; 2] {
    [(1, 25), (2, 4)].map(|(stream, each)| {
        bytemuck::cast_vec::<f32, u32>(kernels::case::test_values(EXAMPLES * each, stream))
    })
}

fn covariance(device: &Device, bytes: u64) -> Covariance {
    let (model, [x, slope]) = (model(), examples());
    let inputs = [
        Input { name: "x", shape: &[5, 5, 1], words: &x },
        Input { name: "slope", shape: &[4], words: &slope },
    ];
    let network = network(device, model.parameters());
    let record = |graph: &mut Graph<'_>, tensors: &[engine::Tensor]| {
        Ok((model.forward(graph, tensors[0])?, tensors[1]))
    };
    gradient_covariance(device, (model.parameters(), &network), &inputs, &record, bytes).unwrap()
}

/// The gradient of one example.
fn gradient(device: &Device, example: usize) -> Vec<f32> {
    let (model, [x, slope]) = (model(), examples());
    let (parameters, network) = (model.parameters(), network(device, model.parameters()));
    let x = device.buffer_with("x", &x[example * 25..(example + 1) * 25]).unwrap();
    let slope = device.buffer_with("slope", &slope[example * 4..(example + 1) * 4]).unwrap();
    let gradients = device.buffer("gradients", parameters.words()).unwrap();
    let mut graph = Graph::evaluation(parameters);
    let (images, by) = (graph.input("x", &[1, 5, 5, 1]), graph.input("slope", &[1, 4]));
    let logits = model.forward(&mut graph, images).unwrap();
    graph.backward(&[(logits, by)], &[Wanted::Network(NetworkId::FIRST)]).unwrap();
    let inputs = [("x", x.slice(0, 25)), ("slope", slope.slice(0, 4))];
    let memory = Memory { networks: &[(&network, Some(&gradients))], inputs: &inputs };
    let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default()).unwrap();
    device.compile(bound.launches).unwrap().run(&Clock::default()).unwrap();
    device.read_f32(&gradients.slice(0, parameters.words())).unwrap()
}

#[test]
fn cosines_are_those_of_gradients_one_by_one_whatever_the_pieces() {
    let device = Device::cpu(2).unwrap();
    let gradients: Vec<Vec<f32>> = (0..EXAMPLES).map(|example| gradient(&device, example)).collect();
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let largest = model().parameters().trained().iter().map(|segment| segment.len).max().unwrap();
    let room = |held: usize, examples: usize| {
        (4 * (held * model().parameters().words() + largest) * examples) as u64
    };
    // Room for all rows, for two pieces of five, of four, of one, and too little for that.
    for bytes in [room(1, 11), room(2, 5), room(2, 4), room(2, 1), 1] {
        let covariance = covariance(&device, bytes);
        assert_eq!((covariance.n, covariance.cosines.len()), (EXAMPLES, EXAMPLES * EXAMPLES));
        for (i, a) in gradients.iter().enumerate() {
            for (j, b) in gradients.iter().enumerate() {
                let expected = product(a, b) / (product(a, a) * product(b, b)).sqrt();
                approx::assert_abs_diff_eq!(covariance.cosines[i * EXAMPLES + j], expected, epsilon = 2e-6);
            }
        }
    }
}

#[test]
fn devices_agree_and_threads_do_not_matter() {
    let one = covariance(&Device::cpu(1).unwrap(), 1 << 20);
    assert_eq!(one, covariance(&Device::cpu(3).unwrap(), 1 << 20));
    let gpu = Device::open("gpu", 0).or_else(|_| Device::open("llvmpipe", 0)).unwrap();
    for (a, b) in one.cosines.iter().zip(covariance(&gpu, 1 << 20).cosines) {
        approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-5);
    }
}

#[test]
fn summaries_count_pairs_of_different_examples() {
    let covariance = Covariance { n: 3, cosines: vec![1.0, -0.5, 0.2, -0.5, 1.0, 0.0, 0.2, 0.0, 1.0] };
    approx::assert_abs_diff_eq!(covariance.mean(), -0.1, epsilon = 1e-12);
    approx::assert_abs_diff_eq!(covariance.negative_share(), 1.0 / 3.0, epsilon = 1e-12);
    let turned = covariance.reordered(&[2, 0, 1]);
    assert_eq!(turned.cosines, [1.0, 0.2, 0.0, 0.2, 1.0, -0.5, 0.0, -0.5, 1.0]);
    assert_eq!((turned.mean(), turned.negative_share()), (covariance.mean(), covariance.negative_share()));
}

fn ht(arguments: &[&str], place: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ht")).args(arguments).current_dir(place).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_command_looks_at_the_checkpoint_of_a_run() {
    let place = tempfile::tempdir().unwrap();
    let run = ht(
        &[
            "run",
            "fresh-strokes",
            "--device",
            "cpu",
            "--set",
            "data.train=200",
            "--set",
            "data.test=50",
            "--set",
            "protocol.base_epochs=1",
            "--set",
            "model.hidden=[16]",
        ],
        place.path(),
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    let folder =
        std::fs::read_dir(place.path().join("runs/fresh-strokes")).unwrap().next().unwrap().unwrap().path();
    let folder = folder.to_str().unwrap();
    let look = |more: &[&str]| {
        let all = [&["curvature", folder, "--device", "cpu", "--examples", "40"], more].concat();
        ht(&all, place.path())
    };
    let done = look(&["-o", "seen"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(
        said.starts_with("gradients of 40 examples: mean cosine ") && said.contains("written:"),
        "{said}"
    );
    let file =
        engine::checkpoint::File::load(&place.path().join("seen/gradient-covariance.safetensors")).unwrap();
    let (shape, cosines) = file.floats("cosines").unwrap();
    assert_eq!(shape, [40, 40]);
    assert!((0..40).all(|i| (cosines[i * 40 + i] - 1.0).abs() < 1e-6 && cosines[i] == cosines[i * 40]));
    let picture = std::fs::read_to_string(place.path().join("seen/gradient-covariance.svg")).unwrap();
    assert!(
        picture.starts_with("<svg") && picture.contains("fresh-strokes, none, seed 1, step 1:"),
        "{picture:.300}"
    );
    // Pieces, threads and a second time change nothing that is printed; another seed draws other examples.
    let first = said.lines().next().unwrap();
    assert_eq!(text(&look(&["--memory", "1", "--threads", "1"]).stdout).lines().next().unwrap(), first);
    assert_ne!(text(&look(&["--seed", "1"]).stdout).lines().next().unwrap(), first);
    // An untrained classifier's gradients towards the labels have much in common, those towards noise have not.
    let mean = |line: &str| line.split(' ').nth(7).unwrap().trim_end_matches(',').parse::<f64>().unwrap();
    let labels = text(&look(&["--loss", "labels"]).stdout);
    assert!(mean(&labels) > mean(first) + 0.02, "{labels} {first}");

    for (more, status, words) in [
        (vec!["--examples", "300"], 2, "300 examples, but the training set has 200"),
        (vec!["--examples", "1"], 2, "1 is not in 2..=4096"),
        (vec!["--clusters", "0"], 2, "0 is not in 1..=4096"),
    ] {
        let output = ht(&[&["curvature", folder, "--device", "cpu"], &more[..]].concat(), place.path());
        assert_eq!(output.status.code(), Some(status), "{more:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{more:?}: {}", text(&output.stderr));
    }
    let missing = ht(&["curvature", "nowhere", "--device", "cpu"], place.path());
    assert!(
        !missing.status.success() && text(&missing.stderr).contains("nowhere"),
        "{}",
        text(&missing.stderr)
    );
    std::fs::remove_file(Path::new(folder).join("checkpoint.safetensors")).unwrap();
    let without = look(&[]);
    assert_eq!(without.status.code(), Some(1));
    assert!(text(&without.stderr).contains("run.keep_checkpoint"), "{}", text(&without.stderr));
}
