//! Networks and arenas of a device as tensors of a checkpoint, under PyTorch's names.

use crate::error::{Error, Result};
use crate::run_folder::RunFolder;
use engine::checkpoint::File;
use engine::{Buffer, Device, Network, Parameters};

/// Puts a network's tensors into a file, their names behind a prefix.
///
/// # Errors
/// Those of the device.
pub fn save_network(
    device: &Device,
    parameters: &Parameters,
    network: &Network,
    prefix: &str,
    file: &mut File,
) -> Result<()> {
    save_arena(device, parameters, &network.parameters, prefix, file)?;
    let statistics = device.read_f32(&network.statistics.slice(0, parameters.statistics_words()))?;
    for (name, shape, values) in parameters.export_statistics(&statistics) {
        file.insert(format!("{prefix}{name}"), &shape, values);
    }
    Ok(())
}

/// Takes a network's tensors from a file.
///
/// # Errors
/// The file belongs to another model; those of the device.
pub fn load_network(
    device: &Device,
    parameters: &Parameters,
    network: &Network,
    prefix: &str,
    file: &File,
) -> Result<()> {
    let find = |name: &str| file.floats(&format!("{prefix}{name}"));
    let values = parameters.import("checkpoint", find)?;
    let statistics = parameters.import_statistics("checkpoint", find)?;
    Ok(network.write(device, &values, &statistics)?)
}

/// Puts what is kept for each parameter, such as a moment, into a file.
///
/// # Errors
/// Those of the device.
pub fn save_arena(
    device: &Device,
    parameters: &Parameters,
    arena: &Buffer,
    prefix: &str,
    file: &mut File,
) -> Result<()> {
    let values = device.read_f32(&arena.slice(0, parameters.words()))?;
    for (name, shape, values) in parameters.export(&values) {
        file.insert(format!("{prefix}{name}"), &shape, values);
    }
    Ok(())
}

/// Takes what is kept for each parameter from a file.
///
/// # Errors
/// The file belongs to another model; those of the device.
pub fn load_arena(
    device: &Device,
    parameters: &Parameters,
    arena: &Buffer,
    prefix: &str,
    file: &File,
) -> Result<()> {
    let values = parameters.import("checkpoint", |name| file.floats(&format!("{prefix}{name}")))?;
    Ok(device.write(arena, 0, bytemuck::cast_slice(&values))?)
}

/// The error of a folder's checkpoint that cannot be taken up.
pub(crate) fn broken(folder: &RunFolder, message: &str) -> Error {
    Error::Checkpoint {
        path: folder.path().join("checkpoint.safetensors"),
        message: format!("{message}; remove it to start this run from the beginning"),
    }
}

/// An error about tensors as one about the folder's checkpoint.
pub(crate) fn broken_weights(folder: &RunFolder) -> impl Fn(Error) -> Error + '_ {
    |error| match error {
        Error::Engine(error @ engine::Error::Weights { .. }) => broken(folder, &error.to_string()),
        other => other,
    }
}
