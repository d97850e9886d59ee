//! (being written: names and bindings are final)

use crate::{Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// y = max(x, 0).
#[derive(Clone, Copy, Debug)]
pub struct Relu {
    /// Number of elements.
    pub len: usize,
}

impl Kernel for Relu {
    fn name(&self) -> &'static str {
        "elementwise/relu"
    }
    fn shape(&self) -> String {
        self.len.to_string()
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

/// dx = dy where y > 0, else 0.
#[derive(Clone, Copy, Debug)]
pub struct ReluBackward {
    /// Number of elements.
    pub len: usize,
}

impl Kernel for ReluBackward {
    fn name(&self) -> &'static str {
        "elementwise/relu_backward"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("y", self.len), Binding::read("dy", self.len), Binding::write("dx", self.len)]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

/// c = a + b.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// Number of elements.
    pub len: usize,
}

impl Kernel for Add {
    fn name(&self) -> &'static str {
        "elementwise/add"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("a", self.len), Binding::read("b", self.len), Binding::write("c", self.len)]
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
