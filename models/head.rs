//! The classifier of the convolutional networks: `head.fc1`, `head.fc2`, ... with an activation between them.

use engine::layers::Linear;
use engine::{Activation, Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// What follows a hidden layer of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadActivation {
    /// `max(x, 0)`.
    Relu,
    /// `[max(x, 0), max(-x, 0)]` (Shang et al. 2016): a hidden layer has half as many units, so that the width stays.
    Crelu,
}

/// Hidden layers of one width, then the logits.
#[derive(Debug)]
pub(crate) struct Head {
    hidden: Vec<Linear>,
    last: Linear,
    activation: HeadActivation,
}

impl Head {
    /// Registers `layers` hidden layers and the last one. `inputs` are the channels of a flattened image of `positions`.
    pub(crate) fn new(
        parameters: &mut Parameters,
        (channels, positions): (usize, usize),
        (layers, width): (usize, usize),
        classes: usize,
        activation: HeadActivation,
    ) -> Self {
        let units = match activation {
            HeadActivation::Relu => width,
            HeadActivation::Crelu => width / 2,
        };
        let mut inputs = channels * positions;
        let mut hidden = Vec::new();
        for index in 1..=layers {
            let mut linear = Linear::new(parameters, &format!("head.fc{index}"), inputs, units);
            if index == 1 && positions > 1 {
                linear = linear.reads_flattened_image(parameters, channels);
            }
            hidden.push(linear);
            inputs = width;
        }
        let last = Linear::new(parameters, &format!("head.fc{}", layers + 1), inputs, classes);
        Self { hidden, last, activation }
    }

    /// Logits `[N, classes]` of features `[N, in]`.
    pub(crate) fn forward(&self, graph: &mut Graph<'_>, mut x: Tensor) -> Result<Tensor> {
        for linear in &self.hidden {
            x = match self.activation {
                HeadActivation::Relu => linear.forward(graph, x, Activation::Relu)?,
                HeadActivation::Crelu => {
                    let z = linear.forward(graph, x, Activation::None)?;
                    graph.crelu(z)?
                }
            };
        }
        self.last.forward(graph, x, Activation::None)
    }
}

/// Sizes up to this one can be multiplied with each other without overflow.
const LARGEST: usize = 1 << 16;

/// What must hold of the sizes that both networks have; says which key is wrong.
pub(crate) fn check(
    [classes, image_size, channels, width, head_hidden]: [usize; 5],
    activation: HeadActivation,
) -> Result<(), String> {
    let sizes = [
        ("classes", classes),
        ("image_size", image_size),
        ("channels", channels),
        ("width", width),
        ("head_hidden", head_hidden),
    ];
    for (key, size) in sizes {
        if size == 0 {
            return Err(format!("model.{key} must be at least 1"));
        }
        if size > LARGEST {
            return Err(format!("model.{key} is {size}, it must be at most {LARGEST}"));
        }
    }
    if activation == HeadActivation::Crelu && !head_hidden.is_multiple_of(2) {
        return Err(format!("model.head_hidden is {head_hidden}, crelu needs an even number"));
    }
    Ok(())
}
