//! Launches on a GPU: pipelines and bind groups made once, encoded again every step.

use super::pipeline::Pipeline;
use super::{GpuDevice, PROGRAMS_PER_SUBMIT};
use crate::device::launch::CheckedLaunch;
use crate::device::memory::{GpuMemory, Memory, padded};
use crate::device::report::{LaunchReport, NonFinite, first_non_finite};
use crate::error::{Error, Result};
use kernels::kernel::SCRATCH;
use kernels::{Access, Clock, Dispatch};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct PreparedDispatch {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    immediates: Vec<u8>,
    clock: bool,
    grid: [u32; 3],
}

/// The dispatches of a program, and how many each launch has.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) dispatches: Vec<PreparedDispatch>,
    per_launch: Vec<usize>,
}

impl PreparedDispatch {
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, clock: &Clock) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        if !self.immediates.is_empty() {
            pass.set_immediates(0, &self.immediates);
        }
        if self.clock {
            pass.set_immediates(self.immediates.len() as u32, bytemuck::bytes_of(clock));
        }
        pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
    }
}

/// Launches with their pipelines and bind groups.
#[derive(Debug)]
pub struct GpuProgram {
    device: Arc<GpuDevice>,
    launches: Vec<CheckedLaunch>,
    reports: Vec<LaunchReport>,
    prepared: Arc<Prepared>,
    scratch: Arc<GpuMemory>,
}

impl GpuProgram {
    pub(in super::super) fn new(device: Arc<GpuDevice>, launches: Vec<CheckedLaunch>) -> Result<Self> {
        let traits = device.traits;
        let most = launches.iter().map(|launch| launch.kernel().gpu_scratch(&traits)).max().unwrap_or(0);
        let scratch = device.allocate("scratch", padded(most.max(1)))?;
        let (mut dispatches, mut per_launch, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for launch in &launches {
            let kernel = launch.kernel().name();
            let described = launch.kernel().dispatches(&traits);
            for dispatch in &described {
                dispatches.push(prepare(&device, launch, dispatch, &scratch)?);
            }
            per_launch.push(described.len());
            reports.push(LaunchReport {
                label: launch.label().to_string(),
                kernel,
                shape: launch.kernel().shape(),
                cost: launch.kernel().cost(),
                dispatches: described.iter().map(|d| (d.label.to_string(), d.grid)).collect(),
            });
        }
        let prepared = Arc::new(Prepared { dispatches, per_launch });
        Ok(Self { device, launches, reports, prepared, scratch })
    }

    pub(in super::super) fn run(&self, clock: &Clock) -> Result<()> {
        let mut recorder = self.device.recorder();
        recorder.pending.push((Arc::clone(&self.prepared), *clock));
        if recorder.pending.len() >= PROGRAMS_PER_SUBMIT {
            self.device.submit(&mut recorder)?;
        }
        Ok(())
    }

    /// Runs the dispatches of one launch by themselves.
    fn run_launch(&self, index: usize, clock: &Clock) -> Result<()> {
        let first: usize = self.prepared.per_launch[..index].iter().sum();
        let mut encoder =
            self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in &self.prepared.dispatches[first..first + self.prepared.per_launch[index]] {
                dispatch.encode(&mut pass, clock);
            }
        }
        let submitted = self.device.queue.submit([encoder.finish()]);
        self.device.wait(submitted)
    }

    pub(in super::super) fn run_checked(&self, clock: &Clock) -> Result<Option<NonFinite>> {
        self.device.finish()?;
        for (index, launch) in self.launches.iter().enumerate() {
            self.run_launch(index, clock)?;
            for (binding, slice) in launch.bindings().iter().zip(launch.slices()) {
                let Memory::Gpu(memory) = &slice.buffer.memory else { continue };
                if binding.access == Access::Read || binding.integers {
                    continue;
                }
                let mut words = vec![0; binding.words];
                self.device.read(memory, slice.offset, &mut words)?;
                if let Some(index) = first_non_finite(binding, &words) {
                    return Ok(Some(NonFinite {
                        launch: launch.label().to_string(),
                        buffer: binding.name,
                        index,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Times each launch: by timestamps inside the pass where the device has them, else by waiting for each.
    pub(in super::super) fn profile(&self, clock: &Clock, repeats: usize) -> Result<Vec<Duration>> {
        self.device.finish()?;
        let inside = self.device.device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);
        let mut times = vec![Vec::new(); self.launches.len()];
        for _ in 0..repeats.max(1) {
            if inside && self.launches.len() < 2048 {
                for (times, time) in times.iter_mut().zip(self.timestamps(clock)?) {
                    times.push(time);
                }
            } else {
                for (index, times) in times.iter_mut().enumerate() {
                    let start = std::time::Instant::now();
                    self.run_launch(index, clock)?;
                    times.push(start.elapsed());
                }
            }
        }
        Ok(times
            .into_iter()
            .map(|mut times| {
                times.sort_unstable();
                times[times.len() / 2]
            })
            .collect())
    }

    fn timestamps(&self, clock: &Clock) -> Result<Vec<Duration>> {
        let gpu = &self.device.device;
        let count = self.launches.len() as u32 + 1;
        let queries = gpu.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let resolved = gpu.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: u64::from(count) * 8,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mut dispatches = self.prepared.dispatches.iter();
            pass.write_timestamp(&queries, 0);
            for (index, &n) in self.prepared.per_launch.iter().enumerate() {
                for dispatch in dispatches.by_ref().take(n) {
                    dispatch.encode(&mut pass, clock);
                }
                pass.write_timestamp(&queries, index as u32 + 1);
            }
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        let submitted = self.device.queue.submit([encoder.finish()]);
        self.device.wait(submitted)?;
        let mut ticks = vec![0u64; count as usize];
        self.device.read_buffer(&resolved, 0, bytemuck::cast_slice_mut(&mut ticks))?;
        let period = f64::from(self.device.queue.get_timestamp_period());
        Ok(ticks
            .windows(2)
            .map(|pair| Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * period) as u64))
            .collect())
    }

    pub(in super::super) fn report(&self) -> Vec<LaunchReport> {
        self.reports.clone()
    }

    pub(in super::super) fn scratch_bytes(&self) -> u64 {
        self.scratch.buffer.size()
    }
}

fn prepare(
    device: &GpuDevice,
    launch: &CheckedLaunch,
    dispatch: &Dispatch,
    scratch: &GpuMemory,
) -> Result<PreparedDispatch> {
    let kernel = format!("{} {}", launch.kernel().name(), launch.kernel().shape());
    if let Some(&most) = dispatch.grid.iter().find(|&&n| n > 65_535) {
        return Err(Error::Limit {
            what: format!("the grid of {kernel}"),
            need: format!("{most} workgroups"),
            device: device.name(),
            have: "65535 in one dimension".into(),
            hint: "take a smaller batch",
        });
    }
    // The runtime tracks whole buffers: what a dispatch writes it may not also bind as read, even elsewhere.
    for &(written, access) in &dispatch.bindings {
        let Some(slice) = launch.slices().get(written).filter(|_| access != Access::Read) else { continue };
        let read = |&(index, access): &(usize, Access)| {
            access == Access::Read
                && launch.slices().get(index).is_some_and(|other| other.buffer.same(&slice.buffer))
        };
        if dispatch.bindings.iter().any(read) {
            let buffer = launch.bindings()[written].name.to_string();
            return Err(Error::Aliasing { launch: launch.label().to_string(), buffer });
        }
    }
    let pipeline = device.pipeline(&kernel, dispatch)?;
    let entries: Vec<_> = dispatch
        .bindings
        .iter()
        .enumerate()
        .map(|(binding, &(index, _))| {
            let (buffer, name, whole) = match launch.slices().get(index) {
                _ if index == SCRATCH => {
                    (&scratch.buffer, "scratch", 0..(scratch.buffer.size() / 4) as usize)
                }
                Some(slice) => {
                    let Memory::Gpu(memory) = &slice.buffer.memory else {
                        unreachable!("a checked launch has memory of its device")
                    };
                    let name = launch.bindings()[index].name;
                    (&memory.buffer, name, slice.offset..slice.offset + slice.words)
                }
                None => panic!("{kernel} binds buffer {index}, which it did not declare"),
            };
            let window = dispatch.windows.iter().find(|(windowed, _)| *windowed == index);
            let words = match window {
                Some((_, window)) => whole.start + window.start..(whole.start + window.end).min(whole.end),
                None => whole,
            };
            if words.len() > device.traits.largest_binding {
                return Err(Error::Limit {
                    what: format!("the buffer '{name}' of '{}'", launch.label()),
                    need: format!("{} bytes", 4 * words.len()),
                    device: device.name(),
                    have: format!("{} bytes in one binding", 4 * device.traits.largest_binding),
                    hint: "take a smaller batch, model or data set, or the CPU",
                });
            }
            let binding = binding as u32;
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: (words.start * 4) as u64,
                size: std::num::NonZeroU64::new((padded(words.len()) * 4) as u64),
            });
            Ok(wgpu::BindGroupEntry { binding, resource })
        })
        .collect::<Result<_>>()?;
    let scope = device.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let bind_group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.layout,
        entries: &entries,
    });
    if let Some(error) = pollster::block_on(scope.pop()) {
        device.present()?;
        return Err(Error::Compile { kernel, device: device.name(), log: error.to_string() });
    }
    device.account.created();
    Ok(PreparedDispatch {
        pipeline,
        bind_group,
        immediates: bytemuck::cast_slice(&dispatch.immediates).to_vec(),
        clock: dispatch.clock,
        grid: dispatch.grid,
    })
}
