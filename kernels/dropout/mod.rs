//! (being written: names and bindings are final)

use crate::{Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Dropout, and its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Number of elements.
    pub len: usize,
    /// Probability of dropping an element.
    pub rate: f32,
    /// Number of the layer: each has its own random stream.
    pub layer: u32,
}

impl Kernel for Dropout {
    fn name(&self) -> &'static str {
        "dropout/dropout"
    }
    fn shape(&self) -> String {
        format!("{} p={}", self.len, self.rate)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len), Binding::write("y", self.len)]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    Vec::new()
}
