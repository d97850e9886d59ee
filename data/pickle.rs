//! Reader of the Python pickles that CIFAR-10 and CIFAR-100 are published as: a dictionary from byte strings to
//! strings, lists of integers or strings, and one NumPy array of bytes.
//!
//! A pickle is a program for a stack machine, which in general calls functions by name. This reader runs nothing:
//! what would be a call becomes a value that says which function and arguments, and only the two calls that make up an
//! array, or a NumPy integer, are understood. It knows the operations with which protocols 2 to 5 write such a file; any
//! other is refused with its place. (Source: `pickletools` of the Python library.)

mod machine;

use std::path::Path;

use crate::error::FileError;

/// What a batch file holds.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    /// Labels, each with the byte it stands at.
    pub(crate) labels: Vec<(i64, u64)>,
    /// The bytes of the array, by rows.
    pub(crate) rows: &'a [u8],
}

/// A value on the stack of the machine.
#[derive(Clone, Debug)]
enum Value<'a> {
    Mark,
    None,
    Int {
        value: i64,
        at: u64,
    },
    Bytes {
        bytes: &'a [u8],
        at: u64,
    },
    /// A function or class, such as `numpy.ndarray`.
    Global {
        module: &'a [u8],
        name: &'a [u8],
    },
    /// A NumPy data type of little-endian or single-byte values, such as `u1`.
    Type(&'a [u8]),
    /// A list or a tuple.
    Sequence(Vec<Value<'a>>),
    Dictionary(Vec<(Value<'a>, Value<'a>)>),
    /// A call that was not made.
    Call {
        function: Box<Value<'a>>,
        arguments: Vec<Value<'a>>,
        state: Option<Vec<Value<'a>>>,
    },
}

/// Reads the array called `data`, of rows of `row` bytes, and the list of labels called `labels`.
pub(crate) fn read<'a>(
    path: &Path,
    bytes: &'a [u8],
    labels: &str,
    row: usize,
) -> Result<Batch<'a>, FileError> {
    let value = machine::run(bytes).map_err(|(at, problem)| FileError::new(path, at as u64, problem))?;
    let missing = |key: &str| FileError::format(path, 0, format!("the key `{key}`"), "none of that name");
    let Value::Dictionary(pairs) = value else {
        return Err(FileError::format(path, 0, "a dictionary", "something else"));
    };
    let find = |key: &str| {
        let is_key = |value: &Value| matches!(value, Value::Bytes { bytes, .. } if *bytes == key.as_bytes());
        pairs.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value).ok_or_else(|| missing(key))
    };
    let Value::Sequence(values) = find(labels)? else {
        return Err(FileError::format(path, 0, format!("a list as `{labels}`"), "something else"));
    };
    let (rows, rows_at) = array(find("data")?, values.len(), row)
        .ok_or_else(|| FileError::format(path, 0, "an array of bytes as `data`", "something else"))?;
    let expected = values.len() * row;
    if rows.len() != expected {
        let (expected, found) = (format!("{expected} bytes in the array"), rows.len());
        return Err(FileError::format(path, rows_at, expected, found));
    }
    let label = |value: &Value| match *value {
        Value::Int { value, at } => Ok((value, at)),
        _ => Err(FileError::format(path, 0, format!("integers in `{labels}`"), "something else")),
    };
    Ok(Batch { labels: values.iter().map(label).collect::<Result<_, _>>()?, rows })
}

/// The bytes of an array of unsigned bytes by rows: `_reconstruct(..)` with the state (version, shape, dtype, order,
/// bytes), or, since protocol 5, `_frombuffer(bytes, dtype, shape, order)`.
fn array<'a>(value: &Value<'a>, count: usize, row: usize) -> Option<(&'a [u8], u64)> {
    let Value::Call { function, arguments, state } = value else { return None };
    let Value::Global { name, .. } = **function else { return None };
    let (data, class, shape, by_rows) = match (name, arguments.as_slice(), state.as_deref()) {
        (b"_reconstruct", _, Some([_, shape, class, Value::Int { value, .. }, data])) => {
            (data, class, shape, *value == 0)
        }
        (b"_frombuffer", [data, class, shape, Value::Bytes { bytes, .. }], None) => {
            (data, class, shape, *bytes == b"C")
        }
        _ => return None,
    };
    let (Value::Bytes { bytes, at }, Value::Type(b"u1"), Value::Sequence(shape)) = (data, class, shape)
    else {
        return None;
    };
    let is =
        |value: &Value, wanted: usize| matches!(value, Value::Int { value, .. } if *value == wanted as i64);
    let fits = matches!(shape.as_slice(), [n, width] if is(n, count) && is(width, row));
    (by_rows && fits).then_some((*bytes, *at))
}

#[cfg(test)]
mod tests;
