//! A kernel run on the CPU behind a check: safe code reaches [`Kernel::run`] only through here.

use crate::Cpu;
use crate::kernel::{Access, Arg, Args, Clock, Kernel, MAX_BINDINGS};

/// Buffers that are not those that a kernel declares.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// Too many or too few.
    #[error("{kernel} takes {declared} buffers, {given} were given")]
    Number {
        /// The kernel.
        kernel: &'static str,
        /// Buffers that it declares.
        declared: usize,
        /// Buffers that it was given.
        given: usize,
    },
    /// A buffer of another length.
    #[error("buffer '{buffer}' of {kernel} has {declared} words, {given} were given")]
    Length {
        /// The kernel.
        kernel: &'static str,
        /// The name of the buffer.
        buffer: &'static str,
        /// Words that the kernel declares.
        declared: usize,
        /// Words that it was given.
        given: usize,
    },
    /// A buffer to be written that may only be read, or the other way round.
    #[error("buffer '{buffer}' of {kernel} is declared as {declared:?}, and was given for another use")]
    Access {
        /// The kernel.
        kernel: &'static str,
        /// The name of the buffer.
        buffer: &'static str,
        /// What the kernel declares.
        declared: Access,
    },
    /// Less scratch memory than the kernel needs.
    #[error("{kernel} needs {declared} words of scratch memory, {given} were given")]
    Scratch {
        /// The kernel.
        kernel: &'static str,
        /// Words that it needs.
        declared: usize,
        /// Words that it was given.
        given: usize,
    },
}

/// Runs a kernel on the CPU if the buffers and the scratch memory are those that it declares; more scratch memory than
/// it needs may be given.
///
/// # Errors
/// The first thing that does not fit. Nothing was written then.
pub fn run<'a>(
    kernel: &dyn Kernel,
    cpu: &Cpu,
    clock: &Clock,
    buffers: impl IntoIterator<Item = Arg<'a>>,
    scratch: &'a mut [u32],
) -> Result<(), ArgsError> {
    let (name, bindings) = (kernel.name(), kernel.bindings());
    let buffers: Vec<Arg> = buffers.into_iter().collect();
    if bindings.len() != buffers.len() || buffers.len() > MAX_BINDINGS {
        return Err(ArgsError::Number { kernel: name, declared: bindings.len(), given: buffers.len() });
    }
    for (binding, buffer) in bindings.iter().zip(&buffers) {
        let (given, declared) = (buffer.u32().len(), binding.words);
        if given != declared {
            return Err(ArgsError::Length { kernel: name, buffer: binding.name, declared, given });
        }
        if (binding.access == Access::Read) != matches!(buffer, Arg::Read(_)) {
            return Err(ArgsError::Access { kernel: name, buffer: binding.name, declared: binding.access });
        }
    }
    let (given, declared) = (scratch.len(), kernel.cpu_scratch(cpu));
    let Some(scratch) = scratch.get_mut(..declared) else {
        return Err(ArgsError::Scratch { kernel: name, declared, given });
    };
    // SAFETY: number, lengths and access of the buffers and the length of the scratch memory were compared above.
    unsafe { kernel.run(cpu, clock, &mut Args::new(buffers, scratch)) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::{Blend, GradientNorm};

    #[test]
    fn only_the_declared_buffers_are_taken() {
        let (cpu, clock, kernel) = (Cpu::new(1).unwrap(), Clock::default(), "arena/blend");
        let blend = Blend { len: 3, keep: 0.0 };
        let source = [1, 2, 3].map(|value| (value as f32).to_bits());
        let (mut target, mut longer) = ([7; 3], [7; 4]);
        let run = |buffers: Vec<Arg>| super::run(&blend, &cpu, &clock, buffers, &mut []).unwrap_err();
        let number = run(vec![Arg::Write(&mut target)]);
        assert_eq!(number, ArgsError::Number { kernel, declared: 2, given: 1 });
        for (words, given) in [(&source[..2], 2), (&longer.clone(), 4)] {
            let length = run(vec![Arg::Write(&mut target), Arg::Read(words)]);
            assert_eq!(length, ArgsError::Length { kernel, buffer: "source", declared: 3, given });
        }
        let length = run(vec![Arg::Write(&mut longer), Arg::Read(&source)]);
        assert_eq!(length, ArgsError::Length { kernel, buffer: "target", declared: 3, given: 4 });
        let access = run(vec![Arg::Read(&target), Arg::Read(&source)]);
        assert_eq!(access, ArgsError::Access { kernel, buffer: "target", declared: Access::ReadWrite });
        assert_eq!((target, longer), ([7; 3], [7; 4]), "nothing was written");

        let norm = GradientNorm { len: 3, max_norm: None, ring_rows: 1, words: 4 };
        let (mut clip, mut ring) = ([0; 2], [0; 4]);
        let buffers = [Arg::Read(&source), Arg::Write(&mut clip), Arg::Write(&mut ring)];
        let scratch = super::run(&norm, &cpu, &clock, buffers, &mut []).unwrap_err();
        assert_eq!(scratch, ArgsError::Scratch { kernel: "arena/gradient_norm", declared: 1, given: 0 });

        let buffers = [Arg::Write(&mut target), Arg::Read(&source)];
        super::run(&blend, &cpu, &clock, buffers, &mut []).unwrap();
        assert_eq!(target, source);
    }
}
