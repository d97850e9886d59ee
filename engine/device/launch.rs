//! A launch, and the one check that makes it safe to run.

use super::account::Account;
use super::memory::Slice;
use crate::error::{Error, Result};
use kernels::kernel::MAX_BINDINGS;
use kernels::{Access, Binding, Kernel};
use std::sync::Arc;

/// One kernel with the memory it works on.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it does in the model's terms, such as `linear backbone.fc1`.
    pub label: String,
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// One slice per binding of the kernel, in its order.
    pub slices: Vec<Slice>,
}

impl Launch {
    /// `kernel` on one slice per binding, in its order. [`Device::compile`](super::Device::compile) checks that they fit.
    pub fn new(label: impl Into<String>, kernel: Arc<dyn Kernel>, slices: Vec<Slice>) -> Self {
        Self { label: label.into(), kernel, slices }
    }
}

/// A launch that fits its device: what a program is made of, and nothing else.
///
/// Every slice belongs to the device, starts aligned, lies inside its buffer and is as long as its binding; what is
/// written overlaps nothing else that is bound, and is no constant.
#[derive(Debug)]
pub(super) struct CheckedLaunch {
    launch: Launch,
    bindings: Vec<Binding>,
}

impl CheckedLaunch {
    /// Checks a launch for the device with this account.
    pub(super) fn new(device: &Arc<Account>, launch: Launch) -> Result<Self> {
        let bindings = launch.kernel.bindings();
        let malformed = |message: String| Err(Error::shape(launch.label.clone(), message));
        if bindings.len() != launch.slices.len() || bindings.len() > MAX_BINDINGS {
            return malformed(format!(
                "{} has {} buffers, {} were given",
                launch.kernel.name(),
                bindings.len(),
                launch.slices.len()
            ));
        }
        for (binding, slice) in bindings.iter().zip(&launch.slices) {
            let what = format!("'{}' of '{}'", binding.name, launch.label);
            slice.buffer.check(device, &what, slice.offset, slice.words)?;
            if slice.words < binding.words {
                return malformed(format!(
                    "buffer '{}' has {} words, {} needed",
                    binding.name, slice.words, binding.words
                ));
            }
            if !slice.is_aligned() {
                return malformed(format!(
                    "buffer '{}' starts at word {}, not aligned",
                    binding.name, slice.offset
                ));
            }
            if binding.access != Access::Read && slice.buffer.constant {
                return Err(Error::Constant { what });
            }
        }
        for (i, (binding, slice)) in bindings.iter().zip(&launch.slices).enumerate() {
            let others = || launch.slices.iter().enumerate().filter(|&(j, _)| i != j);
            if binding.access != Access::Read && others().any(|(_, other)| slice.overlaps(other)) {
                let buffer = binding.name.to_string();
                return Err(Error::Aliasing { launch: launch.label, buffer });
            }
        }
        Ok(Self { launch, bindings })
    }

    pub(super) fn label(&self) -> &str {
        &self.launch.label
    }
    pub(super) fn kernel(&self) -> &dyn Kernel {
        &*self.launch.kernel
    }
    pub(super) fn slices(&self) -> &[Slice] {
        &self.launch.slices
    }
    /// The kernel's bindings, as they were when they were checked.
    pub(super) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }
}
