//! A digest of a checkpoint's state and tensors. A state is a JSON object, and stays one: the digest is its first key.
//!
//! ```text
//! {"sha256":"<64 hexadecimal digits>", ... the state's own keys ... }
//! ```
//!
//! It is of the state without it, a zero byte and the bytes of all tensors in the order of their names. Names, types
//! and shapes are not in it: whoever takes a tensor up knows what they must be.

use sha2::{Digest, Sha256};
use std::fmt::Write;

const PREFIX: &str = "{\"sha256\":\"";
const DIGITS: usize = 64;

fn digest<'a>(state: &str, tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    hash.update(state.as_bytes());
    hash.update([0]);
    tensors.for_each(|bytes| hash.update(bytes));
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The state with its digest. One that is no object with keys has no place for one, and is left as it is.
pub(super) fn seal<'a>(state: &str, tensors: impl Iterator<Item = &'a [u8]>) -> String {
    match state.strip_prefix('{') {
        Some(keys) if !keys.trim_start().starts_with('}') => {
            format!("{PREFIX}{}\",{keys}", digest(state, tensors))
        }
        _ => state.to_string(),
    }
}

/// The state without its digest, or what is wrong; and a note if there was none to compare.
pub(super) fn open<'a>(
    sealed: &str,
    tensors: impl Iterator<Item = &'a [u8]>,
) -> Result<(String, Option<String>), String> {
    let parts = sealed.strip_prefix(PREFIX).and_then(|rest| rest.split_once("\","));
    match parts {
        Some((found, keys)) if found.len() == DIGITS => {
            let state = format!("{{{keys}");
            match digest(&state, tensors) == found {
                true => Ok((state, None)),
                false => Err("damaged: its content is not what was written (its digest differs)".into()),
            }
        }
        _ => {
            let note = "it has no digest, as those of earlier versions: its content was not checked";
            Ok((sealed.to_string(), (!sealed.is_empty()).then(|| note.into())))
        }
    }
}
