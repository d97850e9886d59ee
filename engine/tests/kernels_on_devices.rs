//! Every kernel's cases on a GPU adapter, through the engine's own device, against the f64 definition.
//!
//! Tiny cases run on any adapter, real layer shapes on real GPUs only. Shaders run without bounds checks, so every
//! buffer of a case lies between guards: whatever a kernel writes outside of its own words shows there. The padding of
//! a slice holds NaN where the buffer is read, and a guard where it is written.

mod common;

use engine::{Device, Launch, Slice};
use kernels::case::POISON;
use kernels::kernel::SCRATCH;
use kernels::{Access, Binding, Case, Dispatch, GpuTraits, Size, Values};

/// Words on either side of a slice: a vector or a whole workgroup that strays hits them.
const GUARD: usize = 256;
/// What they hold: a number that no case produces.
const GUARD_WORD: u32 = 0xdead_beef;

/// A buffer with one slice between guards, and what it held before the run.
struct Guarded {
    slice: Slice,
    before: Vec<u32>,
    /// Words that the kernel knows of.
    words: usize,
}

/// The buffers of a case; written ones are poisoned.
fn load(device: &Device, case: &Case) -> engine::Result<Vec<Guarded>> {
    let bindings = case.kernel.bindings();
    let guarded = |(binding, input): (&Binding, &Values)| {
        let mut before = vec![GUARD_WORD; GUARD];
        match binding.access {
            Access::Write => before.extend(vec![POISON; binding.words]),
            _ => before.extend(input.words().iter()),
        }
        // The padding of the slice: a kernel may read it, but nothing may depend on it and nothing may change it.
        let padding = if binding.access == Access::Read { POISON } else { GUARD_WORD };
        before.resize(engine::device::padded(before.len()), padding);
        before.resize(before.len() + GUARD, GUARD_WORD);
        // The guard behind belongs to the binding: drivers discard accesses outside of it, which would hide them here.
        let words = before.len() - GUARD;
        let slice = device.buffer_with(binding.name, &before)?.slice(GUARD, words);
        Ok(Guarded { slice, before, words: binding.words })
    };
    bindings.iter().zip(&case.inputs).map(guarded).collect()
}

/// Runs a case and returns its loaded buffers with their contents afterwards.
fn run(device: &Device, case: &Case) -> engine::Result<Vec<(Guarded, Vec<u32>)>> {
    let loaded = load(device, case)?;
    let slices = loaded.iter().map(|guarded| guarded.slice.clone()).collect();
    let launch = Launch::new(format!("{case:?}"), case.kernel.clone(), slices);
    device.compile(vec![launch])?.run(&case.clock)?;
    let read = |guarded: Guarded| {
        let after = device.read(&guarded.slice.buffer, 0..guarded.before.len())?;
        Ok((guarded, after))
    };
    loaded.into_iter().map(read).collect()
}

/// Checks a case; the error says what is wrong with its results.
fn check(device: &Device, case: &Case) -> Result<(), String> {
    let buffers = run(device, case).map_err(|error| format!("{case:?}: {error}"))?;
    for (binding, (guarded, after)) in case.kernel.bindings().iter().zip(&buffers) {
        let intact = |word: usize| {
            let own = (GUARD..GUARD + binding.words).contains(&word);
            own && binding.access != Access::Read || guarded.before[word] == after[word]
        };
        if let Some(word) = (0..after.len()).find(|&word| !intact(word)) {
            return Err(format!(
                "{case:?}: a write to {} outside of what it may write, word {}",
                binding.name,
                word as i64 - GUARD as i64
            ));
        }
    }
    let contents: Vec<Vec<u32>> =
        buffers.iter().map(|(guarded, after)| after[GUARD..GUARD + guarded.words].to_vec()).collect();
    case.compare(&contents)
}

/// Runs all cases and reports every failure at once.
fn check_all(device: &Device, wanted: impl Fn(&Case) -> bool) {
    let cases: Vec<Case> = kernels::cases().into_iter().filter(wanted).collect();
    assert!(cases.len() > 10, "only {} cases", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(device, case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases fail on {}:\n{}",
        failures.len(),
        cases.len(),
        device.name(),
        failures.join("\n")
    );
}

#[test]
fn every_case_on_the_gpu() {
    let device = common::gpu();
    let real = common::is_real_gpu(&device);
    check_all(&device, |case| case.size == Size::Tiny || real);
}

/// A software adapter is given shaders of its own, but it can run those meant for GPUs, too: as a small, a middling and
/// a large one would get them. A real GPU so runs all three choices and the software driver's.
#[test]
fn every_tiny_case_as_another_gpu_would_run_it() {
    let software = GpuTraits {
        software: true,
        workgroup_memory: 32 << 10,
        concurrent_workgroups: 4,
        largest_binding: 1 << 25,
    };
    let real = [1, 32, 2000].map(|n| GpuTraits { software: false, concurrent_workgroups: n, ..software });
    let labels = |case: &Case, traits| -> Vec<_> {
        case.kernel.dispatches(traits).into_iter().map(|dispatch| dispatch.label).collect()
    };
    for traits in [software].into_iter().chain(real) {
        let device = common::gpu().with_gpu_traits(traits);
        // Most kernels are the same on every GPU: one test of them is enough.
        let depends = |case: &Case| labels(case, &software) != labels(case, &real[0]);
        check_all(&device, |case| case.size == Size::Tiny && depends(case));
    }
}

/// Buffers longer than a device can bind are bound in windows: here on a device that can bind next to nothing at once.
#[test]
fn every_tiny_case_in_windows() {
    let device = common::gpu();
    let little = GpuTraits { largest_binding: 1024, ..device.gpu_traits().expect("a GPU") };
    let device = device.with_gpu_traits(little);
    let windowed = |case: &Case| {
        let (bindings, dispatches) = (case.kernel.bindings(), case.kernel.dispatches(&little));
        // What is never cut, such as weights, must fit as it is.
        let fits = |dispatch: &Dispatch, index: usize| {
            let window = dispatch.windows.iter().find(|(windowed, _)| *windowed == index);
            let words = match window {
                Some((_, window)) => window.len(),
                None if index == SCRATCH => case.kernel.gpu_scratch(&little),
                None => bindings[index].words + GUARD,
            };
            words <= little.largest_binding
        };
        dispatches.iter().any(|dispatch| !dispatch.windows.is_empty())
            && dispatches
                .iter()
                .all(|dispatch| dispatch.bindings.iter().all(|&(index, _)| fits(dispatch, index)))
    };
    check_all(&device, |case| case.size == Size::Tiny && windowed(case));
}

#[test]
fn every_tiny_case_on_the_cpu_stays_inside_its_buffers() {
    check_all(&Device::cpu(2).unwrap(), |case| case.size == Size::Tiny);
}
