//! Which instruction set is used: chosen once, and only where the processor has it.

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{Portable, Vectorised};
use crate::error::CpuError;

/// An instruction set that this processor has: only the checks below make one, so a value is the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// 512-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Two 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Plain Rust that the compiler vectorises as it can.
    Portable,
}

/// The names of all sets, on any processor.
const KNOWN: [&str; 3] = ["avx512", "avx2", "portable"];

impl Isa {
    /// All sets that this processor has, best first.
    pub fn supported() -> Vec<Self> {
        let mut sets = vec![Set::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.insert(0, Set::Avx2);
            if is_x86_feature_detected!("avx512f") {
                sets.insert(0, Set::Avx512);
            }
        }
        sets.into_iter().map(Isa).collect()
    }

    /// The set that the environment variable `HT_ISA` names (see [`Isa::named`]), or else the best.
    ///
    /// # Errors
    /// As [`Isa::named`].
    pub fn detect() -> Result<Self, CpuError> {
        match std::env::var_os("HT_ISA") {
            Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy()),
            _ => Ok(Self::supported()[0]),
        }
    }

    /// The set of this name, in any case: `avx512`, `avx2` or `portable`.
    ///
    /// # Errors
    /// The name of no set, or of one that this processor lacks.
    pub fn named(name: &str) -> Result<Self, CpuError> {
        let (supported, wanted) = (Self::supported(), name.to_lowercase());
        match supported.iter().find(|isa| isa.name() == wanted) {
            Some(isa) => Ok(*isa),
            None => Err(CpuError::InstructionSet {
                wanted: name.to_string(),
                problem: match KNOWN.contains(&wanted.as_str()) {
                    true => "this processor lacks it",
                    false => "there is none of that name",
                },
                supported: supported.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The name that [`Isa::named`] takes.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Whether this set has vectors of 256 bits.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx(self) -> bool {
        self.0 != Set::Portable
    }

    /// Runs the work with this instruction set.
    #[inline]
    pub fn run<W: Vectorised>(self, work: W) -> W::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `supported` is the only source of these variants and checked the processor.
            Set::Avx512 => unsafe { x86::run_avx512(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { x86::run_avx2(work) },
            Set::Portable => work.run(Portable(())),
        }
    }
}

impl std::fmt::Debug for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_name_in_any_case_and_no_other_name_is_taken_for_one() {
        for isa in Isa::supported() {
            for name in [isa.name(), isa.name().to_uppercase(), format!("{isa:?}")] {
                assert_eq!(Isa::named(&name).ok(), Some(isa), "{name}");
            }
        }
        for name in ["avx9", "sse2", "avx-512", "avx2 ", ""] {
            let message = Isa::named(name).expect_err(name).to_string();
            assert!(message.contains("none of that name") && message.contains("portable"), "{message}");
        }
        for name in KNOWN {
            let found = Isa::named(name).map_err(|error| error.to_string());
            assert!(found.is_ok() || found.is_err_and(|message| message.contains("lacks it")), "{name}");
        }
    }
}
