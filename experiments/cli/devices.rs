//! `ht devices`: what there is, and which one `auto` takes.

use super::{bytes, print};
use engine::device::list_devices;
use kernels::simd::Isa;
use std::fmt::Write;

pub(super) fn run() -> anyhow::Result<()> {
    let report = list_devices();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mark = |auto: bool| if auto { '*' } else { ' ' };
    let isa = Isa::detect().map_err(engine::Error::from)?;
    let mut text = format!("{} cpu: {isa:?}, {threads} processors\n", mark(report.auto.is_none()));
    for (index, adapter) in report.adapters.iter().enumerate() {
        let _ = writeln!(
            text,
            "{} {}: {} through {}, driver {}\n    largest binding {}, largest buffer {}, workgroup memory {}, \
             subgroups {} to {}, {}",
            mark(report.auto == Some(index)),
            adapter.name,
            adapter.kind,
            adapter.backend,
            adapter.driver,
            bytes(adapter.largest_binding),
            bytes(adapter.largest_buffer),
            bytes(u64::from(adapter.workgroup_memory)),
            adapter.subgroups.0,
            adapter.subgroups.1,
            adapter.features.join(" ")
        );
        if let Some(lacks) = &adapter.unusable {
            let _ = writeln!(text, "    cannot be used: it lacks {lacks}");
        }
    }
    let _ = writeln!(text, "auto takes *: {}", report.why);
    if let Some(diagnosis) = report.diagnosis {
        let _ = writeln!(text, "no real GPU:\n{diagnosis}");
    }
    print(&text)
}
