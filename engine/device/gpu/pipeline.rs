//! Pipelines: a shader compiled for a device, kept for every dispatch with the same text and constants.

use super::GpuDevice;
use crate::error::{Error, Result};
use kernels::kernel::CLOCK_WORDS;
use kernels::{Access, Dispatch};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    source: String,
    constants: Vec<(&'static str, u64)>,
    accesses: Vec<bool>,
    immediates: usize,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

impl GpuDevice {
    /// The pipeline of a dispatch: compiled once for equal ones.
    ///
    /// # Errors
    /// A shader that does not compile.
    pub(super) fn pipeline(&self, kernel: &str, dispatch: &Dispatch) -> Result<Arc<Pipeline>> {
        let immediates = dispatch.immediates.len() + if dispatch.clock { CLOCK_WORDS } else { 0 };
        let key = PipelineKey {
            source: dispatch.source.to_string(),
            constants: dispatch.constants.iter().map(|(name, value)| (*name, value.to_bits())).collect(),
            accesses: dispatch.bindings.iter().map(|(_, access)| *access == Access::Read).collect(),
            immediates,
        };
        let mut pipelines = self.pipelines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let pipeline = self.create_pipeline(&key, dispatch);
        if let Some(error) = pollster::block_on(scope.pop()) {
            self.present()?;
            return Err(Error::Compile {
                kernel: format!("{kernel} ({})", dispatch.label),
                device: self.name(),
                log: error.to_string(),
            });
        }
        self.healthy()?;
        self.account.created();
        let pipeline = Arc::new(pipeline);
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn create_pipeline(&self, key: &PipelineKey, dispatch: &Dispatch) -> Pipeline {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&dispatch.label),
            source: wgpu::ShaderSource::Wgsl(dispatch.source.clone()),
        };
        // SAFETY: every kernel guards its own accesses to workgroup memory and every loop of every kernel ends; the
        // shader tests run each with ragged shapes. The checks would cost a counter in every loop.
        let module = unsafe {
            self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let entries: Vec<_> = key
            .accesses
            .iter()
            .enumerate()
            .map(|(binding, &read_only)| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only },
                    has_dynamic_offset: false,
                    min_binding_size: std::num::NonZeroU64::new(16),
                },
                count: None,
            })
            .collect();
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: (key.immediates * 4) as u32,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&dispatch.label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }
}
