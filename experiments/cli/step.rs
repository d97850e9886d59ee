//! `ht step`: a few AdamW steps on one batch, with everything that happened in one file.
//!
//! It trains from given weights on a given batch and writes logits, losses, gradients, the weights and statistics
//! afterwards, so that any other implementation can be held against this one tensor by tensor.

use super::DeviceArgs;
use crate::config::resolve_model;
use crate::training_step::{RING_ROWS, StepMemory};
use crate::{Error, Result};
use anyhow::Context;
use bytemuck::cast_slice;
use clap::Args;
use engine::checkpoint::{File, Stored, StoredValues};
use engine::optim::{Adam, Optimizer};
use engine::{Clock, Device, Parameters};
use models::{Input, Model};
use std::path::{Path, PathBuf};

/// Arguments of `ht step`.
#[derive(Debug, Args)]
#[command(after_help = "\
The batch file holds x (floats [N, C, H, W], already normalised) and y (integers [N]).
Weights have PyTorch's names and layouts; integers such as num_batches_tracked are ignored,
and so is what DataParallel and torch.compile put before names. Floats of other widths are
taken as f32, which is said on standard error. All steps take
the same batch in training mode, at a constant learning rate, with betas 0.9 and 0.999
and eps 1e-8, and decay every parameter.

The file that is written holds
  logits       of step 1
  loss         [K], of each step
  grad.NAME    of step 1, before clipping
  param.NAME   parameters and batch-norm statistics after step K
  eval_logits  of the weights after step K, in evaluation mode

Example:
  ht step --model mlp --set model.hidden=[100,100] --batch batch.safetensors \\
      --weights first.safetensors --steps 3 --lr 1e-3 --weight-decay 1e-4 \\
      --clip 0.5 --device cpu --out after.safetensors")]
pub struct StepArgs {
    /// The model
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Override a key of the model or the engine, e.g. model.hidden=[100,100]; may be repeated, the last of one key wins
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// First weights; without them, PyTorch's default initialisation from --seed
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The batch
    #[arg(long, value_name = "FILE")]
    batch: PathBuf,
    /// Number of steps
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    steps: u32,
    /// Learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = not_negative, allow_negative_numbers = true)]
    lr: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "DECAY", default_value_t = 1e-2, value_parser = not_negative, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Largest global norm of the gradient; 0 clips nothing
    #[arg(long, value_name = "NORM", default_value_t = 0.0, value_parser = not_negative, allow_negative_numbers = true)]
    clip: f64,
    /// Seed of the first weights, where no file gives them, and of dropout
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u32,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Hyper-parameters of [`step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Number of steps.
    pub steps: u32,
    /// Learning rate of every step.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; `None` clips nothing.
    pub clip: Option<f64>,
    /// Seed of the first weights, where none are given, and of dropout.
    pub seed: u32,
    /// Whether convolutions may use Winograd's method.
    pub winograd: bool,
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("a number that is not negative expected".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read or written, weights or a batch that do not fit the model, a device that is not there.
pub fn run(args: &StepArgs) -> anyhow::Result<()> {
    let (model, engine) = resolve_model(&args.model, &args.sets)?;
    let model = model.build().map_err(Error::Mismatch)?;
    let batch = load(&args.batch)?;
    let tensor = |name: &str| {
        let held = || batch.tensors.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let missing = || mismatch(format!("there is no tensor '{name}'; the file holds: {}", held()));
        let kind = |kind: &String| mismatch(format!("'{name}' is {kind}, floats or integers expected"));
        let absent = || batch.others.get(name).map_or_else(missing, kind);
        batch.tensors.get(name).ok_or_else(absent).with_context(|| args.batch.display().to_string())
    };
    let (x, y) = (tensor("x")?, tensor("y")?);
    for note in &batch.notes {
        super::note(&format!("{}: {note}", args.batch.display()));
    }
    // Checked here too, so that a mistake is named with its file and before a device is opened.
    check_batch(&model.input(), x, y).with_context(|| args.batch.display().to_string())?;
    let weights = match &args.weights {
        Some(path) => {
            let file = load(path)?.without_wrappers(path).map_err(misfit)?;
            for note in &file.notes {
                super::note(&format!("{}: {note}", path.display()));
            }
            check_weights(model.parameters(), &file).with_context(|| path.display().to_string())?;
            Some(file)
        }
        None => None,
    };
    let options = Options {
        steps: args.steps,
        learning_rate: args.lr,
        weight_decay: args.weight_decay,
        clip: (args.clip > 0.0).then_some(args.clip),
        seed: args.seed,
        winograd: engine.winograd,
    };
    let device = args.device.open()?;
    step(model.as_ref(), &device, weights.as_ref(), x, y, &options)?.save(&args.out)?;
    Ok(())
}

fn load(path: &Path) -> Result<File> {
    File::load(path).map_err(misfit)
}

/// A given file that is not what it must be is a mistake of the command line.
fn misfit(error: engine::Error) -> Error {
    match error {
        engine::Error::File { .. } => mismatch(error.to_string()),
        error => error.into(),
    }
}

/// Trains `model` on one batch and returns logits, losses, gradients, parameters, statistics and evaluation logits
/// under the names that `ht step` writes.
///
/// `x` is f32 `[N, C, H, W]`, `y` integers `[N]`. The first weights come from `weights`, else from the seed.
///
/// # Errors
/// Weights or a batch that do not fit the model, or a failure of the device.
pub fn step(
    model: &dyn Model,
    device: &Device,
    weights: Option<&File>,
    x: &Stored,
    y: &Stored,
    options: &Options,
) -> Result<File> {
    let (input, parameters) = (model.input(), model.parameters());
    let batch = check_batch(&input, x, y)?;
    let (rows, words) = (batch.labels.len(), parameters.words());
    let optimizer = Adam { clip: options.clip, ..Adam::adamw(options.weight_decay) };
    let mut memory = StepMemory::new(device, model, optimizer, rows, options.seed)?;
    memory.winograd = options.winograd;
    let network = memory.network.clone();
    if let Some(file) = weights {
        let (values, statistics) = check_weights(parameters, file)?;
        network.write(device, &values, &statistics)?;
    }
    device.write(&memory.x, 0, cast_slice(&batch.images))?;
    device.write(&memory.y, 0, &batch.labels)?;
    let training = memory.training(device, model, rows)?;
    let ring = memory.ring.clone();
    let evaluation = memory.evaluation(device, model, &network, rows, &ring, RING_ROWS)?;
    let (train, evaluate) = (device.compile(training.launches)?, device.compile(evaluation.launches)?);

    let logits_shape = [rows, input.classes];
    let (mut file, mut losses) = (File::default(), Vec::new());
    let mut clock = Clock { seed: options.seed, ..Clock::default() };
    for index in 0..options.steps {
        clock.step = index;
        optimizer.set_clock(&mut clock, u64::from(index) + 1, options.learning_rate);
        train.run(&clock)?;
        let row_loss = device.read_f32(&training.outputs["row_loss"])?;
        losses.push((row_loss.iter().map(|&loss| f64::from(loss)).sum::<f64>() / rows as f64) as f32);
        if index == 0 {
            file.insert("logits", &logits_shape, device.read_f32(&training.outputs["logits"])?);
            let gradients = device.read_f32(&memory.gradients.slice(0, words))?;
            for (name, shape, gradient) in parameters.export(&gradients) {
                file.insert(format!("grad.{name}"), &shape, gradient);
            }
        }
    }
    if let Some(step) = losses.iter().position(|loss| !loss.is_finite()) {
        return Err(Error::NoNumber(format!(
            "the loss of step {} of {} is {}: a smaller --lr may help, or other weights",
            step + 1,
            losses.len(),
            losses[step]
        )));
    }
    file.insert("loss", &[losses.len()], losses);
    let values = device.read_f32(&network.parameters.slice(0, words))?;
    let statistics = device.read_f32(&network.statistics.slice(0, parameters.statistics_words()))?;
    for (name, shape, tensor) in
        parameters.export(&values).into_iter().chain(parameters.export_statistics(&statistics))
    {
        file.insert(format!("param.{name}"), &shape, tensor);
    }
    evaluate.run(&clock)?;
    file.insert("eval_logits", &logits_shape, device.read_f32(&evaluation.outputs["logits"])?);
    check_outcome(&file)?;
    Ok(file)
}

/// Refuses an outcome that has numbers that are none, by the first tensor in the order of a step: the others follow from it.
fn check_outcome(file: &File) -> Result<()> {
    for part in ["logits", "grad.", "param.", "eval_logits"] {
        for (name, tensor) in file.tensors.iter().filter(|(name, _)| name.starts_with(part)) {
            if let Some((index, value)) = tensor.first_non_finite() {
                return Err(Error::NoNumber(format!(
                    "'{name}' is {value} at {index:?}: a smaller --lr may help, or other weights"
                )));
            }
        }
    }
    Ok(())
}

fn mismatch(message: impl Into<String>) -> Error {
    Error::Mismatch(message.into())
}

/// A batch as the engine takes it.
struct Batch {
    /// `[N, H, W, C]`.
    images: Vec<f32>,
    /// `[N]`.
    labels: Vec<u32>,
}

/// Checks a batch against the model and puts the channels last.
fn check_batch(input: &Input, x: &Stored, y: &Stored) -> Result<Batch> {
    let (size, channels) = (input.image_size, input.channels);
    let StoredValues::F32(pixels) = &x.values else {
        return Err(mismatch("x holds integers, floats [N, C, H, W] expected"));
    };
    let StoredValues::Integers(classes) = &y.values else {
        return Err(mismatch("y holds floats, integers [N] expected"));
    };
    let rows = match x.shape[..] {
        [rows, c, h, w] if rows > 0 && [c, h, w] == [channels, size, size] => rows,
        _ => {
            let needed = format!("[N, {channels}, {size}, {size}] with N at least 1");
            return Err(mismatch(format!("x has shape {:?}, this model needs {needed}", x.shape)));
        }
    };
    check_finite("x", x)?;
    if y.shape != [rows] {
        return Err(mismatch(format!(
            "y has shape {:?}, x {:?}: one label per image is needed",
            y.shape, x.shape
        )));
    }
    let mut labels = Vec::with_capacity(rows);
    for (index, &class) in classes.iter().enumerate() {
        match u32::try_from(class) {
            Ok(label) if (label as usize) < input.classes => labels.push(label),
            _ => {
                let last = input.classes - 1;
                return Err(mismatch(format!(
                    "y[{index}] is {class}, this model has the classes 0 to {last}"
                )));
            }
        }
    }
    let area = size * size;
    let mut images = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(channels * area) {
        for pixel in 0..area {
            images.extend((0..channels).map(|channel| image[channel * area + pixel]));
        }
    }
    Ok(Batch { images, labels })
}

/// Refuses a number that no step can begin with.
fn check_finite(name: &str, tensor: &Stored) -> Result<()> {
    match tensor.first_non_finite() {
        Some((index, value)) => {
            let message = format!("'{name}' is {value} at {index:?}; every number must be finite");
            Err(mismatch(message))
        }
        None => Ok(()),
    }
}

/// Puts named weights into the two arenas; every name and shape of floats must be the model's.
fn check_weights(parameters: &Parameters, file: &File) -> Result<(Vec<f32>, Vec<f32>)> {
    let known =
        |name: &str| parameters.trained().iter().chain(parameters.statistics()).any(|s| s.name == name);
    let wrong = |name: &str, kind: &str| Err(mismatch(format!("'{name}' is {kind}, floats expected")));
    for (name, tensor) in &file.tensors {
        match (known(name), &tensor.values) {
            (true, StoredValues::F32(values)) => {
                check_finite(name, tensor)?;
                let negative = values.iter().find(|value| **value < 0.0);
                if let (true, Some(value)) = (name.ends_with(".running_var"), negative) {
                    return Err(mismatch(format!("'{name}' has {value}; no variance is negative")));
                }
            }
            (true, StoredValues::Integers(_)) => return wrong(name, "integers"),
            (false, StoredValues::F32(_)) => {
                let shape = &tensor.shape;
                return Err(mismatch(format!(
                    "'{name}' {shape:?} is not a tensor of this model: the weights of another one?"
                )));
            }
            // Counters, such as num_batches_tracked.
            (false, StoredValues::Integers(_)) => {}
        }
    }
    if let Some((name, kind)) = file.others.iter().find(|(name, _)| known(name)) {
        return wrong(name, kind);
    }
    let find = |name: &str| file.floats(name);
    Ok((parameters.import("weights", find)?, parameters.import_statistics("weights", find)?))
}
