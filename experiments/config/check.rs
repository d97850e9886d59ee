//! What values can be: the checks that the sections share.

use super::Error;
use std::fmt::Display;

/// The error of a value that cannot be.
pub(super) fn refused(key: &str, value: impl Display, reason: &str) -> Error {
    Error::Value { key: key.into(), value: value.to_string(), reason: reason.into() }
}

fn ensure(holds: bool, key: &str, value: impl Display, reason: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(refused(key, value, reason)) }
}

/// Finite and greater than 0.
pub(super) fn positive(key: &str, value: f64) -> Result<(), Error> {
    ensure(value.is_finite() && value > 0.0, key, value, "it must be greater than 0, and finite")
}

/// Finite and at least 0.
pub(super) fn not_negative(key: &str, value: f64) -> Result<(), Error> {
    ensure(value.is_finite() && value >= 0.0, key, value, "it must not be negative, and finite")
}

/// In [0, 1].
pub(super) fn share(key: &str, value: f64) -> Result<(), Error> {
    ensure((0.0..=1.0).contains(&value), key, value, "it must be in [0, 1]")
}

/// In [0, 1).
pub(super) fn share_below_one(key: &str, value: f64) -> Result<(), Error> {
    ensure((0.0..1.0).contains(&value), key, value, "it must be in [0, 1)")
}

/// A count that cannot be 0.
pub(super) fn at_least_one(key: &str, value: usize) -> Result<(), Error> {
    ensure(value >= 1, key, value, "it must be at least 1")
}

/// Whether something may name a folder on every system; if not, why.
pub(crate) fn folder_name(name: &str) -> Result<(), &'static str> {
    // Devices of Windows, whatever comes behind a dot.
    const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let device = DEVICES.iter().enumerate().any(|(index, device)| match stem.strip_prefix(device) {
        Some("") => index < 4,
        Some(digit) => index >= 4 && digit.len() == 1 && digit.bytes().all(|byte| byte.is_ascii_digit()),
        None => false,
    });
    match name {
        "" => Err("it names a folder and must not be empty"),
        _ if name.len() > 100 => Err("it names a folder and must have at most 100 bytes"),
        _ if name.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)) => {
            Err("it names a folder: no '/', '\\', ':', '*', '?', '\"', '<', '>', '|', no line break")
        }
        _ if name.starts_with('.') => Err("it names a folder, which must not begin with a dot"),
        _ if name.ends_with(['.', ' ']) => Err("it names a folder, which must not end with a dot or a space"),
        _ if device => Err("it names a folder, but Windows keeps this name for a device"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn what_cannot_be_a_folder_everywhere_is_refused() {
        for name in
            ["", ".", "..", ".x", "x.", "a/b", "a\\b", "a\nb", "CON", "nul.txt", "com1", "Lpt9.x", "a "]
        {
            assert!(folder_name(name).is_err(), "{name:?}");
        }
        assert!(folder_name(&"x".repeat(101)).is_err());
        for name in ["a", "a.b", "my sweep", "2024", "console", "com", "com10", "lpt", "nul-1", "è"] {
            assert!(folder_name(name).is_ok(), "{name:?}");
        }
    }
}
