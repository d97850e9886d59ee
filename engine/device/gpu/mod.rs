//! The GPU device: wgpu buffers, a pipeline cache, programs replayed in one compute pass, read-back, profiling.
//!
//! wgpu has no reusable command buffers, so a replay encodes the prepared dispatches again: pipeline, bind group,
//! immediates, grid. A few steps share one submit. Nothing is created, uploaded or mapped in the steady state.

mod pipeline;
mod program;

pub(super) use program::GpuProgram;

use super::account::Account;
use super::adapter;
use super::memory::GpuMemory;
use crate::error::{Error, Result};
use kernels::{Clock, GpuTraits};
use pipeline::{Pipeline, PipelineKey};
use program::Prepared;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Program runs that share one submit (a step and its tortoise are two): enough to hide the cost of a submit, few enough
/// to keep the GPU fed.
const PROGRAMS_PER_SUBMIT: usize = 8;
/// Submits that may be under way before the host waits.
const SUBMITS_IN_FLIGHT: usize = 3;

/// An open adapter. Clones share everything.
#[derive(Clone, Debug)]
pub struct GpuDevice {
    device: wgpu::Device,
    queue: wgpu::Queue,
    traits: GpuTraits,
    limits: wgpu::Limits,
    pipelines: Arc<Mutex<HashMap<PipelineKey, Arc<Pipeline>>>>,
    recorder: Arc<Mutex<Recorder>>,
    failure: Arc<Failure>,
    account: Arc<Account>,
}

/// What went wrong behind our back: wgpu reports loss and stray errors through callbacks only.
#[derive(Debug, Default)]
struct Failure {
    lost: OnceLock<String>,
    error: Mutex<Option<wgpu::Error>>,
}

/// Steps waiting to be encoded, submits under way, and the buffer that read-backs go through.
#[derive(Debug, Default)]
struct Recorder {
    pending: Vec<(Arc<Prepared>, Clock)>,
    in_flight: Vec<wgpu::SubmissionIndex>,
    staging: Option<wgpu::Buffer>,
}

impl GpuDevice {
    pub(super) fn open(adapter: wgpu::Adapter) -> Result<Self> {
        let info = adapter.get_info();
        if let Some(what) = adapter::unusable(&adapter) {
            return Err(Error::Unsupported { adapter: info.name, what });
        }
        let has = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: has.max_buffer_size,
            max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
            max_compute_workgroup_storage_size: has.max_compute_workgroup_storage_size.min(48 << 10),
            max_immediate_size: 128,
            ..wgpu::Limits::default()
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("hare-tortoise"),
            required_features: adapter::features(&adapter),
            required_limits: limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::Unsupported { adapter: info.name.clone(), what: error.to_string() })?;
        let failure = Arc::new(Failure::default());
        let seen = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, message| {
            // Dropping the device reports a loss, too; nobody is left to hear it.
            let _ = seen.lost.set(format!("{reason:?} {message}").trim().to_string());
        });
        let seen = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            if let Ok(mut slot) = seen.error.lock() {
                slot.get_or_insert(error);
            }
        }));
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let traits = GpuTraits {
            software,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            // wgpu does not tell the number of multiprocessors; the kind of device is the best hint there is.
            concurrent_workgroups: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => 256,
                wgpu::DeviceType::Cpu => 4,
                _ => 32,
            },
            largest_binding: (limits.max_storage_buffer_binding_size / 4) as usize,
        };
        Ok(Self {
            device,
            queue,
            traits,
            limits,
            pipelines: Arc::default(),
            recorder: Arc::default(),
            failure,
            account: Account::open(info.name),
        })
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    fn name(&self) -> String {
        self.account.name().to_string()
    }

    pub(super) fn traits(&self) -> GpuTraits {
        self.traits
    }

    /// The same device, described differently to kernels.
    pub(super) fn with_traits(&self, traits: GpuTraits) -> Self {
        Self { traits, ..self.clone() }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The device's loss, as an error of ours. What fails on a lost device fails for that reason.
    fn present(&self) -> Result<()> {
        match self.failure.lost.get() {
            Some(reason) => Err(Error::DeviceLost { device: self.name(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// The device's loss or a stray error, as an error of ours.
    fn healthy(&self) -> Result<()> {
        self.present()?;
        match self.failure.error.lock().ok().and_then(|mut slot| slot.take()) {
            Some(wgpu::Error::OutOfMemory { source }) => Err(self.out_of_memory(source.to_string())),
            Some(error) => Err(Error::Gpu { device: self.name(), message: error.to_string() }),
            None => Ok(()),
        }
    }

    fn out_of_memory(&self, what: String) -> Error {
        Error::OutOfMemory { device: self.name(), what, in_use: self.account.allocated_bytes() }
    }

    pub(super) fn allocate(&self, what: &str, words: usize) -> Result<Arc<GpuMemory>> {
        let bytes = (words as u64).saturating_mul(4);
        let most = self.limits.max_buffer_size;
        if bytes > most {
            return Err(Error::Limit {
                what: format!("the buffer '{what}'"),
                need: format!("{bytes} bytes"),
                device: self.name(),
                have: format!("{most} bytes in one buffer"),
                hint: "take a smaller batch, model or data set, or the CPU",
            });
        }
        let out_of_memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if pollster::block_on(out_of_memory.pop()).is_some() {
            self.present()?;
            return Err(self.out_of_memory(format!("{bytes} bytes asked for '{what}'")));
        }
        self.healthy()?;
        Ok(Arc::new(GpuMemory::new(&self.account, buffer)))
    }

    pub(super) fn write(&self, memory: &GpuMemory, offset: usize, data: &[u32]) -> Result<()> {
        let mut recorder = self.recorder();
        self.submit(&mut recorder)?;
        self.account.uploaded();
        // The runtime stages the data in memory of its own: keep each piece small enough for any heap.
        for (index, piece) in data.chunks(4 << 20).enumerate() {
            self.queue.write_buffer(
                &memory.buffer,
                ((offset + index * (4 << 20)) * 4) as u64,
                bytemuck::cast_slice(piece),
            );
            self.queue.submit([]);
        }
        self.healthy()
    }

    pub(super) fn read(&self, memory: &GpuMemory, offset: usize, into: &mut [u32]) -> Result<()> {
        self.read_buffer(&memory.buffer, offset, into)
    }

    fn read_buffer(&self, buffer: &wgpu::Buffer, offset: usize, into: &mut [u32]) -> Result<()> {
        let mut recorder = self.recorder();
        self.submit(&mut recorder)?;
        self.account.read_back();
        let bytes = (into.len() * 4) as u64;
        if recorder.staging.as_ref().is_none_or(|staging| staging.size() < bytes) {
            self.account.created();
            recorder.staging = Some(self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read-back"),
                size: bytes.next_power_of_two().max(4096),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
        }
        let staging = recorder.staging.as_ref().expect("made above");
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, (offset * 4) as u64, staging, 0, bytes);
        let index = self.queue.submit([encoder.finish()]);
        let (sender, receiver) = std::sync::mpsc::channel();
        staging.slice(..bytes).map_async(wgpu::MapMode::Read, move |outcome| {
            let _ = sender.send(outcome);
        });
        self.wait(index)?;
        match receiver.try_recv() {
            Ok(Ok(())) => {}
            _ => {
                self.healthy()?;
                return Err(Error::Gpu { device: self.name(), message: "a read-back was not mapped".into() });
            }
        }
        {
            let view = staging
                .slice(..bytes)
                .get_mapped_range()
                .map_err(|error| Error::Gpu { device: self.name(), message: error.to_string() })?;
            bytemuck::cast_slice_mut::<u32, u8>(into).copy_from_slice(&view);
        }
        staging.unmap();
        recorder.in_flight.clear();
        self.healthy()
    }

    pub(super) fn finish(&self) -> Result<()> {
        let mut recorder = self.recorder();
        self.submit(&mut recorder)?;
        if let Some(last) = recorder.in_flight.pop() {
            self.wait(last)?;
        }
        recorder.in_flight.clear();
        self.healthy()
    }

    fn wait(&self, index: wgpu::SubmissionIndex) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: Some(index), timeout: None };
        match self.device.poll(poll) {
            Ok(_) => self.healthy(),
            Err(error) => {
                self.healthy()?;
                Err(Error::Gpu { device: self.name(), message: error.to_string() })
            }
        }
    }

    /// Encodes the waiting steps into one pass and submits it.
    fn submit(&self, recorder: &mut Recorder) -> Result<()> {
        if recorder.pending.is_empty() {
            return Ok(());
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (program, clock) in recorder.pending.drain(..) {
                for dispatch in &program.dispatches {
                    dispatch.encode(&mut pass, &clock);
                }
            }
        }
        let index = self.queue.submit([encoder.finish()]);
        recorder.in_flight.push(index);
        if recorder.in_flight.len() > SUBMITS_IN_FLIGHT {
            let oldest = recorder.in_flight.remove(0);
            self.wait(oldest)?;
        }
        self.healthy()
    }
}
