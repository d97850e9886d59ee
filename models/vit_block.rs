//! The small vision transformer of *Understanding Plasticity* (Lyle and others 2023, appendix A): one block on patches of
//! 3x3 pixels.

use crate::vit::Block;
use crate::{Initialisation, Input, Model};
use engine::layers::{Conv2d, LayerNorm, Linear};
use engine::params::{Init, ParameterId};
use engine::{Activation, Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitBlockConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of a patch; pixels that fill none are left out, at the right and at the bottom.
    pub patch: usize,
    /// Length of a token; the block's hidden layer has four times as many units.
    pub dim: usize,
    /// Heads of the block.
    pub heads: usize,
    /// Dropout of the embedding, the attention weights, and of every layer of the block.
    pub dropout: f32,
    /// How weights begin.
    pub init: Initialisation,
}

impl Default for VitBlockConfig {
    fn default() -> Self {
        Self {
            classes: 10,
            image_size: 28,
            channels: 1,
            patch: 3,
            dim: 256,
            heads: 8,
            dropout: 0.1,
            init: Initialisation::LecunNormal,
        }
    }
}

impl VitBlockConfig {
    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let Self { classes, image_size, channels, patch, dim, heads, dropout, .. } = *self;
        let sizes = [
            ("classes", classes),
            ("image_size", image_size),
            ("channels", channels),
            ("patch", patch),
            ("dim", dim),
            ("heads", heads),
        ];
        for (key, size) in sizes {
            if !(1..=1 << 15).contains(&size) {
                return Err(format!("model.{key} is {size}, it must be 1 to 32768"));
            }
        }
        if patch > image_size {
            return Err(format!("model.patch is {patch}, more than model.image_size, {image_size}"));
        }
        if !dim.is_multiple_of(heads) {
            return Err(format!("model.dim is {dim}, no multiple of model.heads, {heads}"));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("model.dropout is {dropout}, it must be in [0, 1)"));
        }
        Ok(())
    }

    /// Patches in a row, and in a column.
    fn side(&self) -> usize {
        self.image_size / self.patch
    }
}

/// A convolution that reads each patch (`backbone.patch_embed`), positions added, one pre-norm block, the mean of the
/// normalised tokens to a linear head.
///
/// The paper gives patch size, token length, feedforward width, dropout and the number of blocks; the number of heads, the
/// mean, the learned positions (normal, deviation .02) and the place of the norms are chosen here.
#[derive(Debug)]
pub struct VitBlock {
    config: VitBlockConfig,
    parameters: Parameters,
    patch_embed: Conv2d,
    pos_embed: ParameterId,
    block: Block,
    norm: LayerNorm,
    head: Linear,
}

impl VitBlock {
    /// Registers the layers. All sizes must be at least 1.
    pub fn new(config: VitBlockConfig) -> Self {
        let mut parameters = Parameters::new();
        let VitBlockConfig { dim, patch, channels, .. } = config;
        let channels = [channels, dim];
        let patch_embed =
            Conv2d::new(&mut parameters, "backbone.patch_embed", channels, patch, patch, 0, true);
        let tokens = config.side() * config.side();
        let normal = Init::Normal { deviation: 0.02 };
        let pos_embed = parameters.add("backbone.pos_embed".into(), &[tokens, dim], normal);
        let block = Block::new(&mut parameters, "backbone.blocks.0", dim);
        let norm = LayerNorm::new(&mut parameters, "backbone.norm", dim);
        let head = Linear::new(&mut parameters, "head.fc", dim, config.classes);
        config.init.apply(&mut parameters);
        Self { config, parameters, patch_embed, pos_embed, block, norm, head }
    }
}

impl Model for VitBlock {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let VitBlockConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let VitBlockConfig { dim, heads, dropout, .. } = self.config;
        let (side, block) = (self.config.side(), &self.block);
        let (batch, tokens) = (graph.shape(images)[0], side * side);
        let x = self.patch_embed.forward(graph, images)?;
        let x = graph.reshape(x, &[batch, tokens, dim])?;
        let x = graph.add_positions(x, self.pos_embed)?;
        let x = graph.dropout(x, dropout)?;
        let x = graph.reshape(x, &[batch * tokens, dim])?;
        let y = block.norm1.forward(graph, x)?;
        let qkv = block.qkv.forward(graph, y, Activation::None)?;
        let attended = graph.attention(qkv, tokens, heads, dropout)?;
        let branch = block.proj.forward(graph, attended, Activation::None)?;
        let (x, y) = block.norm2.add_forward(graph, x, branch, dropout)?;
        let hidden = block.fc1.forward(graph, y, Activation::None)?;
        let hidden = graph.gelu(hidden, dropout)?;
        let branch = block.fc2.forward(graph, hidden, Activation::None)?;
        let (_, y) = self.norm.add_forward(graph, x, branch, dropout)?;
        let y = graph.reshape(y, &[batch, side, side, dim])?;
        let features = graph.global_average_pool(y)?;
        self.head.forward(graph, features, Activation::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_paper() {
        for (image_size, tokens) in [(28, 81), (32, 100)] {
            let model = VitBlock::new(VitBlockConfig { image_size, ..VitBlockConfig::default() });
            assert_eq!(model.parameters().count(), 815_370 - 81 * 256 + tokens * 256);
            for (name, shape) in [
                ("backbone.patch_embed.weight", &[256, 1, 3, 3][..]),
                ("backbone.pos_embed", &[tokens, 256]),
                ("backbone.blocks.0.mlp.fc1.weight", &[1024, 256]),
                ("head.fc.weight", &[10, 256]),
            ] {
                let segment = model.parameters().trained().iter().find(|segment| segment.name == name);
                assert_eq!(segment.expect(name).shape, shape, "{name}");
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        let message = |config: VitBlockConfig| config.check().unwrap_err();
        assert!(message(VitBlockConfig { patch: 29, ..VitBlockConfig::default() }).contains("model.patch"));
        assert!(message(VitBlockConfig { heads: 5, ..VitBlockConfig::default() }).contains("model.heads"));
        assert!(
            message(VitBlockConfig { dropout: 1.0, ..VitBlockConfig::default() }).contains("model.dropout")
        );
    }
}
