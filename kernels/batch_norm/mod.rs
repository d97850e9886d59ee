//! (being written: names and bindings are final)

use crate::{Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Batch normalisation while training.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormForward {
    /// Rows of x: all axes but the last, multiplied (N, or N * H * W).
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// Batch normalisation with the running statistics.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormInference {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// Gradients of [`BatchNormForward`].
#[derive(Clone, Copy, Debug)]
pub struct BatchNormBackward {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Whether ReLU followed: dy counts only where y > 0.
    pub relu: bool,
}

impl Kernel for BatchNormForward {
    fn name(&self) -> &'static str {
        "batch_norm/forward"
    }
    fn shape(&self) -> String {
        format!("{}x{}{}", self.rows, self.channels, if self.relu { " +relu" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (self.rows * self.channels, self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("weight", c),
            Binding::read("bias", c),
            Binding::read_write("running_mean", c),
            Binding::read_write("running_var", c),
            Binding::write("y", all),
            Binding::write("saved", 2 * c),
        ]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

impl Kernel for BatchNormInference {
    fn name(&self) -> &'static str {
        "batch_norm/inference"
    }
    fn shape(&self) -> String {
        format!("{}x{}{}", self.rows, self.channels, if self.relu { " +relu" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (self.rows * self.channels, self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("weight", c),
            Binding::read("bias", c),
            Binding::read("running_mean", c),
            Binding::read("running_var", c),
            Binding::write("y", all),
        ]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

impl Kernel for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm/backward"
    }
    fn shape(&self) -> String {
        format!("{}x{}{}", self.rows, self.channels, if self.relu { " +relu" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (self.rows * self.channels, self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("y", all),
            Binding::read("weight", c),
            Binding::read("saved", 2 * c),
            Binding::read("dy", all),
            Binding::write("dx", all),
            Binding::write("dweight", c),
            Binding::write("dbias", c),
        ]
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
