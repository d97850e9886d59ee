//! Every shader of every case, for several kinds of GPU, through naga: parsed, validated, specialised, and written as
//! SPIR-V, MSL and HLSL, and checked against what its launch and its kernel declare. No driver is needed.

use kernels::kernel::{CLOCK_WORDS, MAX_BINDINGS, SCRATCH};
use kernels::{Access, Case, Dispatch, GpuTraits, cases};
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, hlsl, msl, spv};
use naga::proc::Layouter;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};
use std::collections::HashMap;
use std::fmt::Debug;

const MOST_THREADS: u32 = 256;
const MOST_WORKGROUP_MEMORY: u32 = 32 * 1024;
const MOST_WORKGROUPS: u32 = 65_535;
const MOST_IMMEDIATES: u32 = 128;

fn gpus() -> [(&'static str, GpuTraits); 3] {
    let gpu = |software, kib: u32, concurrent_workgroups, largest_binding| GpuTraits {
        software,
        workgroup_memory: kib * 1024,
        concurrent_workgroups,
        largest_binding,
    };
    [
        ("software", gpu(true, 32, 4, 1 << 25)),
        ("small GPU that binds little", gpu(false, 32, 32, 1 << 10)),
        ("big GPU", gpu(false, 48, 2000, 1 << 29)),
    ]
}

/// What a shader declares, as found by naga.
#[derive(Debug, Default)]
struct Shader {
    /// Group 0, in order of `@binding`.
    bindings: Vec<Access>,
    immediate_bytes: u32,
    workgroup_bytes: u32,
    workgroup_size: [u32; 3],
}

#[test]
fn every_shader_of_every_case_is_valid_everywhere() {
    let cases = cases();
    assert!(!cases.is_empty());
    let mut shaders: HashMap<String, Shader> = HashMap::new();
    let mut failures = Vec::new();
    for (gpu_name, gpu) in gpus() {
        for case in &cases {
            let dispatches = case.kernel.dispatches(&gpu);
            let mut problems = check_kernel(case, &gpu, &dispatches);
            for dispatch in &dispatches {
                let key = format!("{:?}\n{}", dispatch.constants, dispatch.source);
                let result = match shaders.get(&key) {
                    Some(shader) => check_dispatch(shader, dispatch, &gpu),
                    None => compile(dispatch).and_then(|shader| {
                        check_dispatch(shaders.entry(key).or_insert(shader), dispatch, &gpu)
                    }),
                };
                if let Err(problem) = result {
                    problems.push(format!("{}: {problem}\n{}", dispatch.label, numbered(&dispatch.source)));
                }
            }
            failures.extend(problems.into_iter().map(|problem| format!("{case:?} on {gpu_name}: {problem}")));
        }
    }
    // One whole shader is enough to read at a time.
    assert!(failures.is_empty(), "{} failures, the first is\n{}", failures.len(), failures[0]);
    println!("{} cases, {} different shaders", cases.len(), shaders.len());
}

/// What the launches of a kernel say together.
fn check_kernel(case: &Case, gpu: &GpuTraits, dispatches: &[Dispatch]) -> Vec<String> {
    let bindings = case.kernel.bindings();
    let mut problems = Vec::new();
    if dispatches.is_empty() {
        problems.push("no launch".to_string());
    }
    if bindings.len() > MAX_BINDINGS {
        problems.push(format!("{} buffers, at most {MAX_BINDINGS} are allowed", bindings.len()));
    }
    for (index, binding) in bindings.iter().enumerate() {
        let uses: Vec<Access> =
            dispatches.iter().flat_map(|d| &d.bindings).filter(|b| b.0 == index).map(|b| b.1).collect();
        let written = uses.iter().any(|&access| access != Access::Read);
        match binding.access {
            _ if uses.is_empty() => problems.push(format!("no launch binds {}", binding.name)),
            Access::Read if written => {
                problems.push(format!("{} is only read, yet bound read_write", binding.name))
            }
            Access::Write | Access::ReadWrite if !written => {
                problems.push(format!("{} is written, yet never bound read_write", binding.name));
            }
            _ => {}
        }
    }
    let uses_scratch = dispatches.iter().flat_map(|d| &d.bindings).any(|b| b.0 == SCRATCH);
    let scratch = case.kernel.gpu_scratch(gpu);
    if uses_scratch != (scratch > 0) {
        problems.push(format!("asks for {scratch} words of scratch, and binds it: {uses_scratch}"));
    }
    for dispatch in dispatches {
        for (place, &(buffer, _)) in dispatch.bindings.iter().enumerate() {
            if buffer != SCRATCH && buffer >= bindings.len() {
                problems
                    .push(format!("{}: binding {place} is buffer {buffer}, there is none", dispatch.label));
            }
            // wgpu rejects a buffer bound both read and read_write; twice the same way is a mistake as well.
            if dispatch.bindings[..place].iter().any(|&(other, _)| other == buffer) {
                problems
                    .push(format!("{}: binding {place} is a buffer that is bound already", dispatch.label));
            }
        }
    }
    problems
}

/// What one launch says, against its shader.
fn check_dispatch(shader: &Shader, dispatch: &Dispatch, gpu: &GpuTraits) -> Result<(), String> {
    let declared: Vec<Access> = dispatch.bindings.iter().map(|&(_, access)| shader_access(access)).collect();
    if shader.bindings != declared {
        return Err(format!("the shader binds {:?}, the launch {declared:?}", shader.bindings));
    }
    if declared.len() > MAX_BINDINGS {
        return Err(format!("{} bindings, at most {MAX_BINDINGS} are allowed", declared.len()));
    }
    let clock = if dispatch.clock { CLOCK_WORDS } else { 0 };
    let bytes = 4 * (dispatch.immediates.len() + clock) as u32;
    if shader.immediate_bytes != bytes || bytes > MOST_IMMEDIATES {
        return Err(format!(
            "immediates: {} bytes in the shader, {bytes} in the launch, at most {MOST_IMMEDIATES}",
            shader.immediate_bytes
        ));
    }
    let [x, y, z] = shader.workgroup_size;
    // A software driver has 8 or 16 lanes, a GPU 32 or 64; all of them run along x.
    let lanes = if gpu.software { 8 } else { 32 };
    if x * y * z > MOST_THREADS || !x.is_multiple_of(lanes) {
        return Err(format!("workgroup size {x}x{y}x{z}: at most {MOST_THREADS}, x a multiple of {lanes}"));
    }
    let most_memory = gpu.workgroup_memory.min(MOST_WORKGROUP_MEMORY);
    if shader.workgroup_bytes > most_memory {
        return Err(format!("{} bytes of workgroup memory, at most {most_memory}", shader.workgroup_bytes));
    }
    if dispatch.grid.iter().any(|&size| size == 0 || size > MOST_WORKGROUPS) {
        return Err(format!("grid {:?}: 1 to {MOST_WORKGROUPS} in each dimension", dispatch.grid));
    }
    Ok(())
}

/// How WGSL spells an access: `read` or `read_write`.
fn shader_access(access: Access) -> Access {
    if access == Access::Read { Access::Read } else { Access::ReadWrite }
}

fn compile(dispatch: &Dispatch) -> Result<Shader, String> {
    let source = &dispatch.source;
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES);
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(source))?;
    let constants: PipelineConstants =
        dispatch.constants.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    let main = Some((ShaderStage::Compute, "main"));
    let (module, info) = process_overrides(&module, &info, main, &constants).map_err(named("overrides"))?;

    let options = spv::Options { lang_version: (1, 3), ..Default::default() };
    spv::write_vec(&module, &info, &options, None).map_err(named("SPIR-V"))?;

    let options = msl::Options { lang_version: (2, 3), ..Default::default() };
    msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).map_err(named("MSL"))?;

    let target = |register| Some(hlsl::BindTarget { space: 1, register, ..Default::default() });
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        immediates_target: target(0),
        special_constants_binding: target(1),
        ..Default::default()
    };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .map_err(named("HLSL"))?;

    reflect(&module)
}

fn named<E: Debug>(stage: &str) -> impl Fn(E) -> String {
    move |error| format!("{stage}: {error:?}")
}

fn reflect(module: &Module) -> Result<Shader, String> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(named("layout"))?;
    let mut shader = Shader::default();
    let mut bindings = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let size = layouter[variable.ty].size;
        match variable.space {
            AddressSpace::Storage { access } => {
                let name = variable.name.as_deref().unwrap_or_default();
                let binding = variable.binding.ok_or_else(|| format!("{name} has no binding"))?;
                let access =
                    if access.contains(StorageAccess::STORE) { Access::ReadWrite } else { Access::Read };
                bindings.push((binding.group, binding.binding, access));
            }
            AddressSpace::Immediate => shader.immediate_bytes += size,
            AddressSpace::WorkGroup => shader.workgroup_bytes += size,
            AddressSpace::Private => {}
            other => return Err(format!("a variable lives in {other:?}")),
        }
    }
    bindings.sort_by_key(|&(group, binding, _)| (group, binding));
    for (place, &(group, binding, access)) in bindings.iter().enumerate() {
        if (group, binding) != (0, place as u32) {
            return Err(format!(
                "@group({group}) @binding({binding}) is the shader's binding number {place}"
            ));
        }
        shader.bindings.push(access);
    }
    let [entry_point] = &module.entry_points[..] else {
        return Err(format!("{} entry points", module.entry_points.len()));
    };
    shader.workgroup_size = entry_point.workgroup_size;
    Ok(shader)
}

fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(index, line)| format!("{:4} {line}\n", index + 1)).collect()
}
