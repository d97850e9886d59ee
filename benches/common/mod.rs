//! What the benches share: the devices, and times shown beside the ceilings of the device.
#![allow(dead_code, unreachable_pub)] // Each bench uses its own part.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput};
use engine::ceiling::Ceiling;
use engine::device::list_devices;
use engine::{Cost, Device};
use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Duration;

/// A device under test.
pub struct Subject {
    /// First part of every id: `cpu`, `gpu` (then `gpu2`, ...) or `software`.
    pub label: String,
    /// The device.
    pub device: Device,
    /// Time a few representative kernels only: a software adapter is slow, and only its own users tune for it.
    pub few: bool,
}

/// The CPU and every GPU adapter that can be used, the best real one first.
pub fn subjects() -> Vec<Subject> {
    let cpu = or_exit("cpu", Device::cpu(0));
    let mut subjects = vec![Subject { label: "cpu".into(), device: cpu, few: false }];
    let all = std::env::var_os("HT_BENCH_ALL").is_some();
    let report = list_devices();
    let mut order: Vec<usize> = (0..report.adapters.len()).collect();
    order.sort_by_key(|&index| Some(index) != report.auto);
    let mut names: Vec<&str> = Vec::new();
    for adapter in order.into_iter().map(|index| &report.adapters[index]) {
        // Devices are opened by name: the second of two equal ones would be the first again.
        if adapter.unusable.is_some() || names.contains(&adapter.name.as_str()) {
            continue;
        }
        names.push(&adapter.name);
        let device = or_exit(&adapter.name, Device::open(&adapter.name, 0));
        let software = device.gpu_traits().is_some_and(|traits| traits.software);
        let kind = if software { "software" } else { "gpu" };
        let same = subjects.iter().filter(|other| other.label.starts_with(kind)).count();
        let label = if same == 0 { kind.to_string() } else { format!("{kind}{}", same + 1) };
        subjects.push(Subject { label, device, few: software && !all });
    }
    subjects
}

impl Subject {
    /// Criterion for this device: short times, since there are many kernels, and ceilings beside the throughput.
    pub fn criterion(&self) -> Criterion<Roofline> {
        let roofline =
            Roofline { device: self.device.clone(), label: self.label.clone(), ceiling: OnceLock::new() };
        Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1))
            .nresamples(2_000)
            .with_measurement(roofline)
            .configure_from_args()
    }
}

/// The throughput that a cost means: arithmetic and traffic, each where there is any.
pub fn throughput(cost: Cost) -> Throughput {
    match cost {
        Cost { flops: 0, bytes } => Throughput::Bytes(bytes),
        Cost { flops, bytes } => Throughput::ElementsAndBytes { elements: flops, bytes },
    }
}

/// The value, or the end of the bench with a message: numbers of a kernel that is wrong are worth nothing.
pub fn or_exit<T>(what: &str, outcome: Result<T, impl Display>) -> T {
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {what}: {error}");
        std::process::exit(1)
    })
}

/// Time on the wall, with the throughput in GFLOP/s and GB/s and as shares of what the device reaches at most.
pub struct Roofline {
    device: Device,
    label: String,
    ceiling: OnceLock<Ceiling>,
}

impl Roofline {
    /// Measured when the first result is shown.
    fn ceiling(&self) -> &Ceiling {
        self.ceiling.get_or_init(|| {
            let ceiling = or_exit("the ceiling", Ceiling::measure(&self.device));
            eprintln!(
                "{} is {}: matmul {:.1} GFLOP/s, copy {:.1} GB/s",
                self.label,
                self.device.name(),
                ceiling.flops / 1e9,
                ceiling.bytes / 1e9
            );
            ceiling
        })
    }
}

impl Measurement for Roofline {
    type Intermediate = std::time::Instant;
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        WallTime.start()
    }
    fn end(&self, start: Self::Intermediate) -> Duration {
        WallTime.end(start)
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        WallTime.add(a, b)
    }
    fn zero(&self) -> Duration {
        WallTime.zero()
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Roofline {
    /// `312.4 GFLOP/s 81%`, of the ceiling that counts.
    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        match *throughput {
            Throughput::Elements(flops) => {
                let rate = flops as f64 / nanoseconds;
                format!("{rate:.1} GFLOP/s {:.0}%", 1e11 * rate / self.ceiling().flops)
            }
            Throughput::Bytes(bytes) => {
                let rate = bytes as f64 / nanoseconds;
                format!("{rate:.1} GB/s {:.0}%", 1e11 * rate / self.ceiling().bytes)
            }
            _ => WallTime.formatter().format_throughput(throughput, nanoseconds),
        }
    }
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }
    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }
    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
