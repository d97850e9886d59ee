//! The bytes of a saved environment: its description, then a few numbers.
//!
//! ```text
//! length of the description u32 | description, UTF-8 | numbers u64 ...          all little-endian
//! ```

use crate::{Error, Result};

/// The state `numbers` of the environment with this description.
pub(crate) fn write(description: &str, numbers: &[u64]) -> Vec<u8> {
    let mut bytes = (description.len() as u32).to_le_bytes().to_vec();
    bytes.extend(description.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// The numbers that the environment with this description saved.
///
/// # Errors
/// The bytes are cut or too long, or another environment saved them.
pub(crate) fn read<const N: usize>(description: &str, bytes: &[u8]) -> Result<[u64; N]> {
    let Some((saved, numbers)) = split(bytes) else {
        return Err(damaged(description, "the description is cut off"));
    };
    if saved != description.as_bytes() {
        let saved = String::from_utf8_lossy(saved).into_owned();
        return Err(Error::OtherEnvironment { saved, here: description.into() });
    }
    let (words, rest) = numbers.as_chunks::<8>();
    let numbers: Vec<u64> = words.iter().map(|&word| u64::from_le_bytes(word)).collect();
    match numbers.try_into() {
        Ok(numbers) if rest.is_empty() => Ok(numbers),
        _ => Err(damaged(description, "there are too many or too few numbers")),
    }
}

/// An error about bytes that no environment with this description saved.
pub(crate) fn damaged(description: &str, problem: &'static str) -> Error {
    Error::Damaged { environment: description.into(), problem }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}
