//! Which adapter to take, and what to say when there is none.

use crate::error::{Error, Result};
use std::fmt::Write;
use std::path::Path;

/// One adapter as a person chooses by.
#[derive(Clone, Debug)]
pub struct AdapterReport {
    /// The adapter's name.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Discrete, integrated, virtual, software.
    pub kind: String,
    /// Driver and its version.
    pub driver: String,
    /// Largest storage binding, in bytes.
    pub largest_binding: u64,
    /// Largest buffer, in bytes.
    pub largest_buffer: u64,
    /// Workgroup memory, in bytes.
    pub workgroup_memory: u32,
    /// Subgroup sizes.
    pub subgroups: (u32, u32),
    /// Features that matter here and are there.
    pub features: Vec<&'static str>,
    /// Why it cannot be used, if so.
    pub unusable: Option<String>,
}

/// All adapters, and what is wrong where there is none.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// All adapters.
    pub adapters: Vec<AdapterReport>,
    /// Index of the adapter that `auto` takes; `None` means the CPU.
    pub auto: Option<usize>,
    /// Why.
    pub why: String,
    /// What is missing when there is no real GPU.
    pub diagnosis: Option<String>,
}

/// Features that the device asks for where they are there.
const FEATURES: [(&str, wgpu::Features); 4] = [
    ("immediates", wgpu::Features::IMMEDIATES),
    ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
    ("timestamps-in-passes", wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
    ("subgroups", wgpu::Features::SUBGROUP),
];

/// The subset of [`FEATURES`] that an adapter has.
pub(super) fn features(adapter: &wgpu::Adapter) -> wgpu::Features {
    let wanted = FEATURES.iter().fold(wgpu::Features::empty(), |all, (_, feature)| all | *feature);
    adapter.features() & wanted
}

fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

fn is_software(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

/// Higher is better: the kind of device first, then its memory.
fn score(adapter: &wgpu::Adapter) -> (u32, u64) {
    let kind = match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 4,
        wgpu::DeviceType::IntegratedGpu => 3,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 1,
        wgpu::DeviceType::Cpu => 0,
    };
    (kind, adapter.limits().max_buffer_size)
}

/// Why the kernels cannot run on this adapter.
pub(super) fn unusable(adapter: &wgpu::Adapter) -> Option<String> {
    if !adapter.features().contains(wgpu::Features::IMMEDIATES) {
        return Some("immediates (push constants)".into());
    }
    (adapter.limits().max_immediate_size < 128).then(|| "128 bytes of immediates".into())
}

fn best_real(adapters: &[wgpu::Adapter]) -> Option<usize> {
    (0..adapters.len())
        .filter(|&i| !is_software(&adapters[i]) && unusable(&adapters[i]).is_none())
        .max_by_key(|&i| score(&adapters[i]))
}

/// The adapter that a `--device` name means; `None` is the CPU.
pub(super) fn choose(name: &str) -> Result<Option<wgpu::Adapter>> {
    let mut adapters = enumerate();
    match name {
        "auto" => Ok(best_real(&adapters).map(|index| adapters.swap_remove(index))),
        "gpu" => match best_real(&adapters) {
            Some(index) => Ok(Some(adapters.swap_remove(index))),
            None => Err(Error::NoAdapter { diagnosis: diagnose(&adapters) }),
        },
        _ => {
            let wanted = name.to_lowercase();
            let found = (0..adapters.len())
                .filter(|&i| {
                    !wanted.is_empty() && adapters[i].get_info().name.to_lowercase().contains(&wanted)
                })
                .max_by_key(|&i| score(&adapters[i]));
            match found {
                Some(index) => Ok(Some(adapters.swap_remove(index))),
                None => {
                    let mut available = String::from("cpu");
                    for adapter in &adapters {
                        let _ = write!(available, ", '{}'", adapter.get_info().name);
                    }
                    Err(Error::NoSuchDevice { wanted: name.to_string(), available })
                }
            }
        }
    }
}

/// All adapters, what `auto` takes and why.
pub fn list_devices() -> DeviceReport {
    let adapters = enumerate();
    let auto = best_real(&adapters);
    let why = match auto {
        Some(index) => format!("'{}' is the best real GPU", adapters[index].get_info().name),
        None if adapters.is_empty() => "there is no GPU adapter, so the CPU".to_string(),
        None => "no real GPU adapter is usable, and software adapters are taken only by name, so the CPU"
            .to_string(),
    };
    let diagnosis = auto.is_none().then(|| diagnose(&adapters));
    let adapters = adapters.iter().map(report).collect();
    DeviceReport { adapters, auto, why, diagnosis }
}

fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    AdapterReport {
        name: info.name.clone(),
        backend: format!("{:?}", info.backend),
        kind: kind.into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        largest_binding: limits.max_storage_buffer_binding_size,
        largest_buffer: limits.max_buffer_size,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        subgroups: (info.subgroup_min_size, info.subgroup_max_size),
        features: FEATURES
            .iter()
            .filter(|(_, f)| adapter.features().contains(*f))
            .map(|(name, _)| *name)
            .collect(),
        unusable: unusable(adapter),
    }
}

/// What the system shows of GPUs and drivers, and what to try: for the case that no real GPU can be used.
fn diagnose(adapters: &[wgpu::Adapter]) -> String {
    let mut text = String::new();
    for adapter in adapters {
        let reason = match unusable(adapter) {
            Some(lacks) => format!("lacks {lacks}"),
            None => "is a software driver, taken only by name".to_string(),
        };
        let _ = writeln!(text, "  adapter: '{}' {reason}", adapter.get_info().name);
    }
    if cfg!(not(target_os = "linux")) {
        text.push_str("  try: update the graphics driver, or run on the CPU");
        return text;
    }
    let exists = |path: &str| if Path::new(path).exists() { "yes" } else { "no" };
    let render_node = std::fs::read_dir("/dev/dri").is_ok_and(|nodes| {
        nodes.flatten().any(|node| node.file_name().to_string_lossy().starts_with("renderD"))
    });
    let libraries = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let loader = libraries.iter().any(|folder| Path::new(folder).join("libvulkan.so.1").exists());
    let mut drivers = Vec::new();
    for folder in ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/nvidia/share/vulkan/icd.d"] {
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            drivers.push(file.path().display().to_string());
        }
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "unset".into());
    let nvidia = Path::new("/dev/nvidia0").exists();
    let _ = writeln!(
        text,
        "  found: /dev/nvidia0 {} | /dev/dri/renderD* {} | libvulkan.so.1 {} | driver files: {}",
        exists("/dev/nvidia0"),
        if render_node { "yes" } else { "no" },
        if loader { "yes" } else { "no" },
        if drivers.is_empty() { "none".to_string() } else { drivers.join(" ") }
    );
    let _ = writeln!(
        text,
        "  VK_DRIVER_FILES={} NVIDIA_DRIVER_CAPABILITIES={}{}",
        variable("VK_DRIVER_FILES"),
        variable("NVIDIA_DRIVER_CAPABILITIES"),
        if nvidia { " (needs: graphics)" } else { "" }
    );
    if nvidia {
        text.push_str(
            "  try: docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics ...\n\
             \x20      apt-get install -y libvulkan1 libegl1 libxext6\n\
             \x20      export VK_DRIVER_FILES=<path>/nvidia_icd.json   (headless: with \"library_path\": \"libEGL_nvidia.so.0\")\n",
        );
    } else if !loader {
        text.push_str(
            "  try: apt-get install -y libvulkan1 mesa-vulkan-drivers   (a software adapter comes with it)\n",
        );
    }
    text.push_str(
        "       VK_LOADER_DEBUG=error,warn ht devices   shows the loader's own reason\n\
         \x20 or run on the CPU",
    );
    text
}
