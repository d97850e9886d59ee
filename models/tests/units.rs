//! The groups of units that the engine finds in each model: which layers, how many units, what reads them.

use engine::units::{Axis, Units};
use engine::{Graph, NetworkId};
use models::{
    CnnConfig, HeadActivation, MlpConfig, Model, ModelConfig, ResNetConfig, VggConfig, VitBlockConfig,
    VitConfig,
};

/// Layer, units, `[outer, inner]` of the weight that makes them, then name and `[outer, inner]` of those that read them.
type Row = (String, usize, [usize; 2], Vec<(String, [usize; 2])>);

fn units(model: &dyn Model, training: bool) -> Vec<Units> {
    let parameters = model.parameters();
    let mut graph = if training { Graph::training(parameters) } else { Graph::evaluation(parameters) };
    let input = model.input();
    let images = graph.input("x", &[2, input.image_size, input.image_size, input.channels]);
    let labels = graph.input("y", &[2]);
    let logits = model.forward(&mut graph, images).unwrap();
    graph.cross_entropy(logits, labels).unwrap();
    for group in graph.units(NetworkId::FIRST) {
        assert_eq!(graph.shape(group.output).iter().product::<usize>(), group.values * group.count);
    }
    graph.units(NetworkId::FIRST)
}

fn rows(config: &ModelConfig) -> Vec<Row> {
    let model = config.build().unwrap();
    let (parameters, groups) = (model.parameters(), units(model.as_ref(), false));
    let in_training = units(model.as_ref(), true);
    let name = |axis: &Axis| parameters.trained()[axis.tensor].name.clone();
    for (group, other) in groups.iter().zip(&in_training) {
        // One more tensor or less is before it in the other graph; all else is the same.
        assert_eq!(&Units { output: group.output, ..other.clone() }, group);
        assert_eq!(name(&group.incoming), format!("{}.weight", group.layer));
        let mut trained = vec![&group.incoming];
        trained.extend(&group.bias);
        trained.extend(group.norm.iter().flat_map(|norm| [&norm.weight, &norm.bias]));
        trained.extend(&group.outgoing);
        for axis in trained {
            let segment = &parameters.trained()[axis.tensor];
            assert_eq!((axis.offset, axis.words(), axis.units), (segment.offset, segment.len, group.count));
        }
        for axis in group.norm.iter().flat_map(|norm| [&norm.running_mean, &norm.running_var]) {
            let segment = &parameters.statistics()[axis.tensor];
            assert_eq!((axis.offset, axis.words()), (segment.offset, group.count));
        }
    }
    assert_eq!(groups.len(), in_training.len());
    groups
        .iter()
        .map(|group| {
            let shape = |axis: &Axis| [axis.outer, axis.inner];
            let outgoing = group.outgoing.iter().map(|axis| (name(axis), shape(axis))).collect();
            (group.layer.clone(), group.count, shape(&group.incoming), outgoing)
        })
        .collect()
}

fn row(layer: &str, count: usize, incoming: [usize; 2], reader: &str, outgoing: [usize; 2]) -> Row {
    (layer.into(), count, incoming, vec![(format!("{reader}.weight"), outgoing)])
}

#[test]
fn an_mlp_has_the_units_of_its_hidden_layers() {
    for batch_norm in [true, false] {
        let config = ModelConfig::Mlp(MlpConfig { batch_norm, dropout: 0.5, ..MlpConfig::default() });
        assert_eq!(
            rows(&config),
            [
                row("backbone.fc1", 512, [1, 784], "backbone.fc2", [256, 1]),
                row("backbone.fc2", 256, [1, 512], "head.fc", [10, 1])
            ]
        );
        let model = config.build().unwrap();
        let groups = units(model.as_ref(), true);
        assert!(groups.iter().all(|group| group.norm.is_some() == batch_norm && group.bias.is_some()));
    }
    let none = MlpConfig { hidden: vec![], ..MlpConfig::default() };
    assert!(rows(&ModelConfig::Mlp(none)).is_empty(), "logits are no units");
}

#[test]
fn a_cnn_has_both_convolutions_and_the_hidden_layers() {
    let expected = [
        row("backbone.conv1", 64, [25, 1], "backbone.conv2", [9, 64]),
        // A channel of the flattened image is read at 7x7 positions.
        row("backbone.conv2", 64, [9 * 64, 1], "backbone.fc1", [256 * 49, 1]),
        row("backbone.fc1", 256, [1, 64 * 49], "backbone.fc2", [256, 1]),
        row("backbone.fc2", 256, [1, 256], "head.fc", [10, 1]),
    ];
    assert_eq!(rows(&ModelConfig::Cnn(CnnConfig::default())), expected);
    // A normalised weight is not the one that would be recycled; a layer norm mixes units.
    let spectral = CnnConfig { spectral_norm: true, ..CnnConfig::default() };
    assert_eq!(rows(&ModelConfig::Cnn(spectral)), [expected[0].clone(), expected[3].clone()]);
    let normed = CnnConfig { layer_norm: true, ..CnnConfig::default() };
    assert!(rows(&ModelConfig::Cnn(normed)).is_empty());
}

#[test]
fn a_vit_of_one_block_has_the_hidden_layer_of_its_block() {
    let name = |layer: &str| format!("backbone.blocks.0.mlp.{layer}");
    let expected = row(&name("fc1"), 1024, [1, 256], &name("fc2"), [256, 1]);
    assert_eq!(rows(&ModelConfig::VitBlock(VitBlockConfig::default())), [expected]);
}

#[test]
fn a_resnet_has_the_first_convolution_of_each_block_and_the_hidden_layer_of_the_head() {
    let rows = rows(&ModelConfig::ResNet18(ResNetConfig::default()));
    let mut expected = Vec::new();
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let inputs = if stage > 0 && block == 0 { outputs / 2 } else { outputs };
            let named = |conv: &str| format!("backbone.layer{}.{block}.{conv}", stage + 1);
            expected.push(row(&named("conv1"), outputs, [9 * inputs, 1], &named("conv2"), [9, outputs]));
        }
    }
    expected.push(row("head.fc1", 512, [1, 512], "head.fc2", [10, 1]));
    assert_eq!(rows, expected);
}

#[test]
fn a_vgg_has_every_convolution_and_the_hidden_layers_of_the_head() {
    let config = VggConfig { image_size: 64, ..VggConfig::default() };
    let rows = rows(&ModelConfig::Vgg16(config));
    let widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
    let mut expected: Vec<Row> = (1..13)
        .map(|i| {
            let (layer, reader) = (format!("backbone.conv{i}"), format!("backbone.conv{}", i + 1));
            row(&layer, widths[i], [9 * widths[i - 1], 1], &reader, [9, widths[i + 1]])
        })
        .collect();
    // A channel of the flattened image is read at 2x2 positions.
    expected.push(row("backbone.conv13", 512, [9 * 512, 1], "head.fc1", [1024 * 4, 1]));
    expected.push(row("head.fc1", 1024, [1, 2048], "head.fc2", [1024, 1]));
    let classes = VggConfig::default().classes;
    expected.push(row("head.fc2", 1024, [1, 1024], "head.fc3", [classes, 1]));
    assert_eq!(rows, expected);
}

#[test]
fn a_unit_of_a_crelu_is_read_in_both_halves() {
    let config = VggConfig { head_activation: HeadActivation::Crelu, ..VggConfig::default() };
    let rows = rows(&ModelConfig::Vgg16(config.clone()));
    let positions = (config.image_size / 32).pow(2);
    assert_eq!(rows[13], row("head.fc1", 512, [1, 512 * positions], "head.fc2", [512 * 2, 1]));
    assert_eq!(rows[14], row("head.fc2", 512, [1, 1024], "head.fc3", [config.classes * 2, 1]));
}

#[test]
fn a_vit_has_the_hidden_layers_of_its_blocks() {
    let rows = rows(&ModelConfig::VitTiny(VitConfig::default()));
    let named = |block: usize, layer: &str| format!("backbone.blocks.{block}.mlp.{layer}");
    let expected: Vec<Row> = (0..12)
        .map(|block| row(&named(block, "fc1"), 768, [1, 192], &named(block, "fc2"), [192, 1]))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn features_are_what_the_head_reads() {
    let widths = [256, 256, 512, 512 * 4, 192, 256];
    for (name, width) in ModelConfig::NAMES.into_iter().zip(widths) {
        let model = ModelConfig::default_for(name).unwrap().build().unwrap();
        let mut graph = Graph::evaluation(model.parameters());
        let input = model.input();
        let images = graph.input("x", &[3, input.image_size, input.image_size, input.channels]);
        model.forward(&mut graph, images).unwrap();
        let features = graph.input_of(NetworkId::FIRST, models::HEAD).unwrap();
        assert_eq!(graph.shape(features), [3, width], "{name}");
    }
}
