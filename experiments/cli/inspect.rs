//! `ht inspect`: the plan of a training step, launch by launch.

use super::{DeviceArgs, bench::Bench, bytes, print};
use crate::config::resolve_model;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use engine::ceiling::Ceiling;
use kernels::GpuTraits;
use std::fmt::Write;

/// Arguments of `ht inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ht inspect mlp --batch 256\n  \
    ht inspect mlp --profile --set model.hidden=[100,100]\n  \
    ht inspect mlp --wgsl matmul --device llvmpipe")]
pub(super) struct InspectArgs {
    /// The model
    model: String,
    /// Examples per step
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    batch: u32,
    /// Override a key of the model or the engine, e.g. model.width=32; may be repeated, the last of one key wins
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Measure each launch, and its share of the device's measured ceiling
    #[arg(long)]
    profile: bool,
    /// Print the WGSL that really runs, of the launches whose kernel's name begins so
    #[arg(long, value_name = "KERNEL")]
    wgsl: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let (model, engine) = resolve_model(&args.model, &args.sets)?;
    let model = model.build().map_err(crate::Error::Mismatch)?;
    let device = args.device.open()?;
    let bench = Bench::new(&device, model.as_ref(), args.batch as usize, engine)?;
    if let Some(kernel) = &args.wgsl {
        return print(&shaders(&bench, kernel, device.gpu_traits())?);
    }
    let reports = bench.program.report();
    let times = match args.profile {
        true => Some((bench.program.profile(&bench.clock(0), 20)?, Ceiling::measure(&device)?)),
        false => None,
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["launch", "kernel", "shape", "MFLOP", "MB"];
    header.extend(if device.is_gpu() { vec!["dispatch", "grid"] } else { vec![] });
    header.extend(if times.is_some() { vec!["us", "% of step", "% of ceiling"] } else { vec![] });
    table.set_header(&header);
    let total: f64 = times.iter().flat_map(|(times, _)| times).map(|time| time.as_secs_f64()).sum();
    for (index, report) in reports.iter().enumerate() {
        let mut row = vec![
            report.label.clone(),
            report.kernel.to_string(),
            report.shape.clone(),
            format!("{:.2}", report.cost.flops as f64 / 1e6),
            format!("{:.2}", report.cost.bytes as f64 / 1e6),
        ];
        if device.is_gpu() {
            row.push(
                report.dispatches.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>().join("\n"),
            );
            let grids = report.dispatches.iter().map(|(_, [x, y, z])| format!("{x}x{y}x{z}"));
            row.push(grids.collect::<Vec<_>>().join("\n"));
        }
        if let Some((times, ceiling)) = &times {
            let seconds = times[index].as_secs_f64();
            row.push(format!("{:.1}", seconds * 1e6));
            row.push(format!("{:.1}", 100.0 * seconds / total.max(1e-12)));
            // Whichever ceiling is nearer: arithmetic or memory.
            let bound =
                (report.cost.flops as f64 / ceiling.flops).max(report.cost.bytes as f64 / ceiling.bytes);
            row.push(format!("{:.0}", 100.0 * bound / seconds.max(1e-9)));
        }
        table.add_row(row);
    }
    for (index, name) in header.iter().enumerate() {
        let number = matches!(*name, "MFLOP" | "MB" | "us" | "% of step" | "% of ceiling");
        if let (true, Some(column)) = (number, table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}, batch {}, on {}\n{table}\n", args.model, args.batch, device.name());
    let (flops, moved) = reports.iter().fold((0, 0), |(f, b), r| (f + r.cost.flops, b + r.cost.bytes));
    let _ = writeln!(
        text,
        "\n{} launches, {:.1} MFLOP, {:.1} MB moved",
        reports.len(),
        flops as f64 / 1e6,
        moved as f64 / 1e6
    );
    let words = model.parameters().words() as u64 * 4;
    let _ = writeln!(
        text,
        "memory: {} parameters in {} tensors ({}), gradients and moments {}, activations {} planned ({} unshared), \
         scratch {}, peak {}",
        model.parameters().count(),
        model.parameters().trained().len(),
        bytes(words),
        bytes(3 * words),
        bytes(bench.activation_bytes.0),
        bytes(bench.activation_bytes.1),
        bytes(bench.program.scratch_bytes()),
        bytes(device.allocated_bytes()),
    );
    if let Some((_, ceiling)) = times {
        let _ = writeln!(
            text,
            "step {:.3} ms as launches one by one; ceilings: matmul {:.1} GFLOP/s, copy {:.1} GB/s",
            total * 1e3,
            ceiling.flops / 1e9,
            ceiling.bytes / 1e9
        );
    }
    print(&text)
}

/// The shaders of all launches of a kernel, each text once.
fn shaders(bench: &Bench, kernel: &str, traits: Option<GpuTraits>) -> anyhow::Result<String> {
    // On the CPU: as a large real GPU would get them.
    let traits = traits.unwrap_or(GpuTraits {
        software: false,
        workgroup_memory: 32 << 10,
        concurrent_workgroups: 256,
        largest_binding: (1 << 29) - 1,
    });
    let (mut seen, mut text) = (Vec::new(), String::new());
    for launch in bench.launches.iter().filter(|launch| launch.kernel.name().starts_with(kernel)) {
        for dispatch in launch.kernel.dispatches(&traits) {
            let key = (dispatch.source.to_string(), format!("{:?}", dispatch.constants));
            if seen.contains(&key) {
                continue;
            }
            let _ =
                writeln!(text, "// {} {}: {}", launch.kernel.name(), launch.kernel.shape(), dispatch.label);
            let _ = writeln!(text, "// grid {:?}, immediates {:?}", dispatch.grid, dispatch.immediates);
            for (name, value) in &dispatch.constants {
                let _ = writeln!(text, "// override {name} = {value}");
            }
            let _ = writeln!(text, "{}", dispatch.source.trim_end());
            seen.push(key);
        }
    }
    if text.is_empty() {
        let mut names: Vec<_> = bench.launches.iter().map(|launch| launch.kernel.name()).collect();
        names.sort_unstable();
        names.dedup();
        let hint = crate::config::nearest(kernel, names.iter().copied());
        return Err(crate::Error::Mismatch(format!(
            "no kernel of this step is called '{kernel}'{hint}; there are: {}",
            names.join(", ")
        ))
        .into());
    }
    Ok(text)
}
