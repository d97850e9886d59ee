//! The probe task of Lyle and others 2023, sections 2.2, 3.1 and 5.1: how well a copy of a network fits random functions.
//!
//! ```text
//! g_k(x)     = a + sin(1e5 f(x; w_k))      w_k ~ distribution of first weights, by seeds that depend on Options::seed alone
//! a          = mean over X and outputs of f(x; w)
//! loss_k     = mean over X and outputs of (f(x; w after `steps` steps towards g_k) - g_k(x))^2
//! plasticity = mean_k (variance of g_k over X and outputs) - mean_k loss_k
//! ```
//!
//! Functions and batches are the same for every network that one probe measures, and for every probe of the same options:
//! results are paired. Each function starts from the network's values and statistics with a fresh optimiser; batches are
//! drawn uniformly with replacement. Networks train in training mode and are measured in evaluation mode.
//!
//! **The functions are learnt side by side**: on the CPU as many at once as there are threads, each by one thread, whose
//! steps of a small network need no other thread to wait for, and whose weights and moments stay near. Results are those
//! of one function after another.

use super::member::Member;
use super::task::{FunctionResult, Options, Predictions, ProbeResult};
use crate::error::{Error, Result};
use engine::optim::Optimizer;
use engine::{Buffer, Device, Network, Parameters, Slice};
use models::Model;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// Measures networks of one model. All memory is taken when it is made.
pub struct Probe {
    device: Device,
    options: Options,
    optimizer: Arc<dyn Optimizer + Send + Sync>,
    parameters: Parameters,
    inputs: Slice,
    /// Each learns one function after another, beside the others.
    members: Vec<Member>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Probe {
    /// A probe for networks of this model on this device, which learn by this optimiser.
    ///
    /// # Errors
    /// A size of 0; those of the device.
    pub fn new(
        device: &Device,
        (model, predictions): (&dyn Model, &dyn Predictions),
        options: Options,
        optimizer: Arc<dyn Optimizer + Send + Sync>,
    ) -> Result<Self> {
        options.check()?;
        let input = model.input();
        let words = options.inputs * input.image_size * input.image_size * input.channels;
        let inputs = device.buffer("inputs of the probe", words)?;
        let beside = device.split()?.into_iter().take(options.functions);
        let member = |device: Device| -> Result<Member> {
            // A GPU has them already.
            let inputs = match device.is_gpu() {
                true => inputs.clone(),
                false => device.buffer("inputs of the probe", words)?,
            };
            Member::new(device, (model, predictions), options, optimizer.as_ref(), &inputs)
        };
        Ok(Self {
            members: beside.map(member).collect::<Result<_>>()?,
            inputs: inputs.slice(0, words),
            device: device.clone(),
            parameters: model.parameters().clone(),
            options,
            optimizer,
        })
    }

    /// Bytes of the buffers on its device, and on those beside it that learn functions.
    pub fn allocated_bytes(&self) -> u64 {
        let beside = self.members.iter().filter(|_| !self.device.is_gpu()).map(Member::allocated_bytes);
        self.device.allocated_bytes() + beside.sum::<u64>()
    }

    /// X, `[inputs, height, width, channels]`: to be filled before anything is measured.
    pub fn inputs(&self) -> &Slice {
        &self.inputs
    }

    /// Measures a network of the model on X; it stays as it is. `go_on` is asked every 50 steps of a function, with the
    /// number of the function: after a no nothing is known.
    ///
    /// # Errors
    /// A network of another model; a network whose outputs are not finite; a function that diverges; those of the device.
    pub fn measure(
        &mut self,
        network: &Network,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<ProbeResult>> {
        if !self.members[0].is_alike(network) {
            let (have, need) = (network.parameters.words(), self.parameters.words());
            return Err(Error::Mismatch(format!("a probe of {need} parameters on a network of {have}")));
        }
        let read = |buffer: &Buffer, words: usize| self.device.read_f32(&buffer.slice(0, words));
        let values = [
            read(&network.parameters, self.parameters.words())?,
            read(&network.statistics, self.parameters.statistics_words())?,
        ];
        self.fit(&values, go_on)
    }

    /// Measures a network with the first values of this seed on X: what the inputs alone change.
    ///
    /// # Errors
    /// As [`Probe::measure`].
    pub fn measure_fresh(
        &mut self,
        seed: u32,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<ProbeResult>> {
        let values = [self.parameters.initial_values(seed), self.parameters.initial_statistics(seed)];
        self.fit(&values, go_on)
    }

    fn fit(
        &mut self,
        values: &[Vec<f32>; 2],
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<ProbeResult>> {
        let x = self.device.read(&self.inputs.buffer, 0..self.inputs.words)?;
        self.members.iter().try_for_each(|member| member.take_inputs(&x))?;
        let offset = self.members[0].mean_prediction(values)?;
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (functions, optimizer) = (self.options.functions, self.optimizer.as_ref());
        let (told, tells) = mpsc::channel();
        let mut results: Vec<(usize, FunctionResult)> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .members
                .iter_mut()
                .map(|member| {
                    let (next, stopped, told) = (&next, &stopped, told.clone());
                    scope.spawn(move || -> Result<Vec<(usize, FunctionResult)>> {
                        let mut results = Vec::new();
                        loop {
                            let k = next.fetch_add(1, Ordering::Relaxed);
                            if k >= functions {
                                return Ok(results);
                            }
                            let mut go_on = || told.send(k).is_ok() && !stopped.load(Ordering::Relaxed);
                            match member.fit(k, values, offset, optimizer, &mut go_on) {
                                Ok(Some(result)) => results.push((k, result)),
                                Ok(None) => return Ok(results),
                                Err(error) => {
                                    stopped.store(true, Ordering::Relaxed);
                                    return Err(error);
                                }
                            }
                        }
                    })
                })
                .collect();
            drop(told);
            for k in tells {
                if !go_on(k) {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            let results =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            results.collect::<Result<Vec<_>>>().map(|parts| parts.concat())
        })?;
        results.sort_by_key(|(k, _)| *k);
        let functions: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
        Ok((functions.len() == self.options.functions).then_some(ProbeResult { functions }))
    }
}
