//! ViT-Tiny (Dosovitskiy et al. 2021) for small images: pre-norm blocks on patches of 4x4 pixels.

use crate::{BACKBONE, Input, Model};
use engine::layers::{LayerNorm, Linear};
use engine::params::{Init, ParameterId, Segment};
use engine::{Activation, Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of a patch.
    pub patch: usize,
    /// Length of a token.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of a block.
    pub heads: usize,
    /// Dropout of the embedding, the attention weights, and of every layer of a block.
    pub dropout: f32,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            classes: 100,
            image_size: 32,
            channels: 3,
            patch: 4,
            dim: 192,
            depth: 12,
            heads: 3,
            dropout: 0.1,
        }
    }
}

impl VitConfig {
    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let Self { classes, image_size, channels, patch, dim, depth, heads, dropout } = *self;
        let sizes = [
            ("classes", classes),
            ("image_size", image_size),
            ("channels", channels),
            ("patch", patch),
            ("dim", dim),
            ("depth", depth),
            ("heads", heads),
        ];
        for (key, size) in sizes {
            if !(1..=1 << 15).contains(&size) {
                return Err(format!("model.{key} is {size}, it must be 1 to 32768"));
            }
        }
        if !image_size.is_multiple_of(patch) {
            return Err(format!("model.image_size is {image_size}, no multiple of model.patch, {patch}"));
        }
        if !dim.is_multiple_of(heads) {
            return Err(format!("model.dim is {dim}, no multiple of model.heads, {heads}"));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("model.dropout is {dropout}, it must be in [0, 1)"));
        }
        Ok(())
    }

    /// Tokens of an image, without the class token.
    fn patches(&self) -> usize {
        (self.image_size / self.patch).pow(2)
    }
}

/// Patches, normalised, projected and normalised again; a class token before them and positions added; pre-norm blocks; the
/// class token, normalised, to a linear head.
///
/// 5,373,700 parameters for 100 classes (Hare & Tortoise code: `src/models/backbones/vit.py`). The head sees the class token
/// alone, so the last block takes it out behind its attention: for the other tokens nothing else is left to compute.
#[derive(Debug)]
pub struct Vit {
    config: VitConfig,
    parameters: Parameters,
    patch_norm1: LayerNorm,
    patch_proj: Linear,
    patch_norm2: LayerNorm,
    cls_token: ParameterId,
    pos_embed: ParameterId,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

/// `x + proj(attention(qkv(norm1 x)))`, then `x + fc2(gelu(fc1(norm2 x)))`.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) norm1: LayerNorm,
    pub(crate) qkv: Linear,
    pub(crate) proj: Linear,
    pub(crate) norm2: LayerNorm,
    pub(crate) fc1: Linear,
    pub(crate) fc2: Linear,
}

impl Block {
    pub(crate) fn new(parameters: &mut Parameters, name: &str, dim: usize) -> Self {
        let named = |layer: &str| format!("{name}.{layer}");
        Self {
            norm1: LayerNorm::new(parameters, &named("norm1"), dim),
            qkv: Linear::without_bias(parameters, &named("attn.qkv"), dim, 3 * dim),
            proj: Linear::new(parameters, &named("attn.proj"), dim, dim),
            norm2: LayerNorm::new(parameters, &named("norm2"), dim),
            fc1: Linear::new(parameters, &named("mlp.fc1"), dim, 4 * dim),
            fc2: Linear::new(parameters, &named("mlp.fc2"), 4 * dim, dim),
        }
    }
}

impl Vit {
    /// Registers the layers. All sizes must be at least 1.
    pub fn new(config: VitConfig) -> Self {
        let mut parameters = Parameters::new();
        let VitConfig { dim, patch, channels, .. } = config;
        let pixels = patch * patch * channels;
        let patch_norm1 = LayerNorm::new(&mut parameters, "backbone.patch_norm1", pixels);
        let patch_proj = Linear::new(&mut parameters, "backbone.patch_proj", pixels, dim);
        let patch_norm2 = LayerNorm::new(&mut parameters, "backbone.patch_norm2", dim);
        let mut normal = |name: &str, shape: &[usize]| {
            parameters.add(format!("backbone.{name}"), shape, Init::Normal { deviation: 1.0 })
        };
        let cls_token = normal("cls_token", &[dim]);
        let pos_embed = normal("pos_embed", &[config.patches() + 1, dim]);
        let blocks = (0..config.depth)
            .map(|index| Block::new(&mut parameters, &format!("backbone.blocks.{index}"), dim))
            .collect();
        let norm = LayerNorm::new(&mut parameters, "backbone.norm", dim);
        let head = Linear::new(&mut parameters, "head.fc", dim, config.classes);
        Self {
            config,
            parameters,
            patch_norm1,
            patch_proj,
            patch_norm2,
            cls_token,
            pos_embed,
            blocks,
            norm,
            head,
        }
    }

    /// Images `[N, H, W, C]` as tokens `[N T, D]`.
    fn embed(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let VitConfig { patch, dim, dropout, .. } = self.config;
        let patches = graph.patches(images, patch)?;
        let &[batch, tokens, pixels] = graph.shape(patches) else { unreachable!("patches have three axes") };
        let x = graph.reshape(patches, &[batch * tokens, pixels])?;
        let x = self.patch_norm1.forward(graph, x)?;
        let x = self.patch_proj.forward(graph, x, Activation::None)?;
        let x = self.patch_norm2.forward(graph, x)?;
        let x = graph.reshape(x, &[batch, tokens, dim])?;
        let x = graph.embed(x, self.cls_token, self.pos_embed)?;
        let x = graph.dropout(x, dropout)?;
        graph.reshape(x, &[batch * (tokens + 1), dim])
    }
}

impl Model for Vit {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let VitConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    /// The released code creates the blocks behind the last norm.
    fn last_backbone_tensor(&self) -> Option<&Segment> {
        let name = format!("backbone.blocks.{}.mlp.fc2.bias", self.config.depth - 1);
        self.parameters.group(BACKBONE).find(|segment| segment.name == name)
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let VitConfig { heads, dropout, .. } = self.config;
        let tokens = self.config.patches() + 1;
        // The stream x, and y, what the next layer reads: x normalised.
        let mut x = self.embed(graph, images)?;
        let mut y = self.blocks[0].norm1.forward(graph, x)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let qkv = block.qkv.forward(graph, y, Activation::None)?;
            let mut attended = graph.attention(qkv, tokens, heads, dropout)?;
            let next = self.blocks.get(index + 1);
            if next.is_none() {
                attended = graph.select_first(attended, tokens)?;
                x = graph.select_first(x, tokens)?;
            }
            let branch = block.proj.forward(graph, attended, Activation::None)?;
            (x, y) = block.norm2.add_forward(graph, x, branch, dropout)?;
            let hidden = block.fc1.forward(graph, y, Activation::None)?;
            let hidden = graph.gelu(hidden, dropout)?;
            let branch = block.fc2.forward(graph, hidden, Activation::None)?;
            let norm = next.map_or(&self.norm, |next| &next.norm1);
            (x, y) = norm.add_forward(graph, x, branch, dropout)?;
        }
        self.head.forward(graph, y, Activation::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_count_is_that_of_the_released_code() {
        assert_eq!(Vit::new(VitConfig::default()).parameters().count(), 5_373_700);
        assert_eq!(
            Vit::new(VitConfig { classes: 10, ..VitConfig::default() }).parameters().count(),
            5_356_330
        );
    }

    #[test]
    fn the_tensor_created_last_is_that_of_the_last_block() {
        let model = Vit::new(VitConfig { depth: 3, ..VitConfig::default() });
        assert_eq!(model.last_backbone_tensor().unwrap().name, "backbone.blocks.2.mlp.fc2.bias");
    }

    #[test]
    fn names_are_those_of_the_design() {
        let model = Vit::new(VitConfig { depth: 2, ..VitConfig::default() });
        let segments = model.parameters().trained();
        let names: Vec<_> = segments.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[..2], ["backbone.patch_norm1.weight", "backbone.patch_norm1.bias"]);
        for (name, shape) in [
            ("backbone.cls_token", &[192][..]),
            ("backbone.pos_embed", &[65, 192]),
            ("backbone.blocks.1.attn.qkv.weight", &[576, 192]),
            ("backbone.blocks.0.mlp.fc2.bias", &[192]),
            ("backbone.norm.weight", &[192]),
            ("head.fc.weight", &[100, 192]),
        ] {
            let segment = segments.iter().find(|segment| segment.name == name).expect(name);
            assert_eq!(segment.shape, shape, "{name}");
        }
        assert!(!names.contains(&"backbone.blocks.0.attn.qkv.bias"));
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        let message = |config: VitConfig| config.check().unwrap_err();
        assert!(message(VitConfig { patch: 5, ..VitConfig::default() }).contains("model.patch"));
        assert!(message(VitConfig { heads: 5, ..VitConfig::default() }).contains("model.heads"));
        assert!(message(VitConfig { depth: 0, ..VitConfig::default() }).contains("model.depth"));
        assert!(message(VitConfig { dropout: 1.0, ..VitConfig::default() }).contains("model.dropout"));
    }
}
