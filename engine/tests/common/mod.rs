//! What the engine's tests share: the devices, small networks, and a network's loss on a batch.
#![allow(dead_code, missing_docs, unreachable_pub)] // Each test binary uses its own part.

pub mod differences;
pub mod network;

use engine::Device;

/// The best real GPU, else a software adapter (`VK_DRIVER_FILES` chooses the driver). There must be one: a test that
/// skips proves nothing.
pub fn gpu() -> Device {
    let real = match Device::open("gpu", 0) {
        Ok(device) => return device,
        Err(error) => error,
    };
    let software = Device::open("llvmpipe", 0).or_else(|_| Device::open("SwiftShader", 0));
    software.unwrap_or_else(|software| {
        panic!(
            "these tests need a GPU adapter, a software one will do: apt-get install -y libvulkan1 \
             mesa-vulkan-drivers\n{real}\n{software}"
        )
    })
}

/// The CPU with two threads, and a GPU adapter.
pub fn devices() -> [Device; 2] {
    [Device::cpu(2).unwrap(), gpu()]
}

/// Whether a device is a GPU in hardware, where large shapes are no burden.
pub fn is_real_gpu(device: &Device) -> bool {
    device.gpu_traits().is_some_and(|traits| !traits.software)
}

/// Reproducible numbers: `next()` in [0, 1).
pub struct Random(pub u32);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 += 1;
        kernels::random::unit(kernels::random::pcg4d([self.0, 0, 0x7e57, 0])[0])
    }
    /// An integer in `from..to`.
    pub fn range(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() * (to - from) as f32) as usize
    }
    /// `n` numbers in [-1, 1).
    pub fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| 2.0 * self.next() - 1.0).collect()
    }
}
