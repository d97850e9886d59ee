//! Reader of the Python pickles that CIFAR-10 and CIFAR-100 are published as: a dictionary from byte strings to
//! strings, lists of integers or strings, and one NumPy array of bytes.
//!
//! A pickle is a program for a stack machine, which in general calls functions by name. This reader runs nothing:
//! what would be a call becomes a value that says which function and arguments, and only the two calls that make up an
//! array, or a NumPy integer, are understood. It knows the operations with which protocols 2 to 5 write such a file; any
//! other is refused with its place. (Source: `pickletools` of the Python library.)

mod machine;

use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use crate::error::FileError;
use crate::input::Failure;
use machine::Stop;

/// What a batch file holds.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Labels, each with the byte it stands at.
    pub(crate) labels: Vec<(i64, u64)>,
    /// The bytes of the array, by rows.
    pub(crate) rows: Vec<u8>,
}

/// A value on the stack of the machine.
#[derive(Clone, Debug)]
enum Value {
    Mark,
    None,
    Int {
        value: i64,
        at: u64,
    },
    /// A string, of bytes or text.
    Bytes {
        bytes: Rc<Vec<u8>>,
        at: u64,
    },
    Function(Function),
    /// A NumPy data type of little-endian or single-byte values, such as `u1`.
    Type(Rc<Vec<u8>>),
    /// A list or a tuple.
    Sequence(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
    /// A call that was not made.
    Call {
        function: Function,
        arguments: Vec<Value>,
        state: Option<Vec<Value>>,
    },
}

impl Value {
    /// What it is, in words.
    fn describe(&self) -> String {
        let (class, shape, by_rows) = match self {
            Value::Call { function: Function::Reconstruct, state: Some(state), .. } => {
                (state.get(2), state.get(1), matches!(state.get(3), Some(Value::Int { value: 0, .. })))
            }
            Value::Call { function: Function::FromBuffer, arguments, .. } => {
                let order = arguments.get(3);
                let by_rows = matches!(order, Some(Value::Bytes { bytes, .. }) if **bytes == b"C");
                (arguments.get(1), arguments.get(2), by_rows)
            }
            Value::None => return "None".to_owned(),
            Value::Int { .. } => return "a number".to_owned(),
            Value::Bytes { .. } => return "a string".to_owned(),
            Value::Sequence(items) => return format!("a list of {}", items.len()),
            Value::Dictionary(_) => return "a dictionary".to_owned(),
            _ => return "an object of another kind".to_owned(),
        };
        let class = match class {
            Some(Value::Type(class)) => String::from_utf8_lossy(class),
            _ => "another".into(),
        };
        let sizes: &[Value] = if let Some(Value::Sequence(sizes)) = shape { sizes } else { &[] };
        let size = |value: &Value| if let Value::Int { value, .. } = value { *value } else { 0 };
        let sizes: Vec<i64> = sizes.iter().map(size).collect();
        format!("an array of type {class}{} and shape {sizes:?}", if by_rows { "" } else { " by columns" })
    }
}

/// The functions that matter here; modules of NumPy have been renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    /// `_codecs.encode(text, encoding)`: bytes.
    Encode,
    /// `numpy.dtype(name, ..)`.
    DataType,
    /// `numpy.core.multiarray.scalar(dtype, bytes)`: a number.
    Scalar,
    /// `numpy.core.multiarray._reconstruct(..)`: an array whose state follows.
    Reconstruct,
    /// `numpy.core.numeric._frombuffer(bytes, dtype, shape, order)`: an array.
    FromBuffer,
    Other,
}

impl Function {
    fn of(module: &[u8], name: &[u8]) -> Self {
        match (module, name) {
            (b"_codecs", b"encode") => Self::Encode,
            (b"numpy", b"dtype") => Self::DataType,
            (_, b"scalar") => Self::Scalar,
            (_, b"_reconstruct") => Self::Reconstruct,
            (_, b"_frombuffer") => Self::FromBuffer,
            _ => Self::Other,
        }
    }
}

/// Reads the array called `data`, of rows of `row` bytes, and the list of labels called `labels`, from the `length` bytes
/// of the file at `path`.
pub(crate) fn read(
    path: &Path,
    reader: &mut dyn Read,
    length: u64,
    labels: &str,
    row: usize,
) -> Result<Batch, Failure> {
    let value = machine::run(&mut BufReader::new(reader), length).map_err(|(at, stop)| match stop {
        Stop::Reading(error) => Failure::Reading(error),
        Stop::Content(problem) => FileError::new(path, at, problem).into(),
    })?;
    Ok(batch(path, value, labels, row)?)
}

fn batch(path: &Path, value: Value, labels: &str, row: usize) -> Result<Batch, FileError> {
    let Value::Dictionary(mut pairs) = value else {
        return Err(FileError::format(path, 0, "a dictionary", "something else"));
    };
    let mut find = |key: &str| {
        let is_key = |(name, _): &(Value, Value)| matches!(name, Value::Bytes { bytes, .. } if **bytes == key.as_bytes());
        let index = pairs
            .iter()
            .position(is_key)
            .ok_or_else(|| FileError::format(path, 0, format!("the key `{key}`"), "none of that name"))?;
        Ok(pairs.swap_remove(index).1)
    };
    let values = match find(labels)? {
        Value::Sequence(values) => values,
        other => {
            return Err(FileError::format(path, 0, format!("a list as `{labels}`"), other.describe()));
        }
    };
    let data = find("data")?;
    let found = data.describe();
    let (rows, rows_at) = array(data, values.len(), row).ok_or_else(|| {
        let expected = format!("an array of type u1 and shape [{}, {row}] by rows as `data`", values.len());
        FileError::format(path, 0, expected, found)
    })?;
    let expected = values.len() * row;
    if rows.len() != expected {
        let (expected, found) = (format!("{expected} bytes in the array"), rows.len());
        return Err(FileError::format(path, rows_at, expected, found));
    }
    let label = |value: &Value| match *value {
        Value::Int { value, at } => Ok((value, at)),
        _ => Err(FileError::format(path, 0, format!("integers in `{labels}`"), "something else")),
    };
    let labels = values.iter().map(label).collect::<Result<_, _>>()?;
    drop(pairs);
    Ok(Batch { labels, rows: Rc::try_unwrap(rows).unwrap_or_else(|shared| shared.to_vec()) })
}

/// The bytes of an array of unsigned bytes by rows: `_reconstruct(..)` with the state (version, shape, dtype, order,
/// bytes), or, since protocol 5, `_frombuffer(bytes, dtype, shape, order)`.
fn array(value: Value, count: usize, row: usize) -> Option<(Rc<Vec<u8>>, u64)> {
    let Value::Call { function, arguments, state } = value else { return None };
    let (data, class, shape, by_rows) = match (function, arguments.as_slice(), state.as_deref()) {
        (Function::Reconstruct, _, Some([_, shape, class, Value::Int { value, .. }, data])) => {
            (data, class, shape, *value == 0)
        }
        (Function::FromBuffer, [data, class, shape, Value::Bytes { bytes, .. }], None) => {
            (data, class, shape, **bytes == b"C")
        }
        _ => return None,
    };
    let (Value::Bytes { bytes, at }, Value::Type(class), Value::Sequence(shape)) = (data, class, shape)
    else {
        return None;
    };
    let is =
        |value: &Value, wanted: usize| matches!(value, Value::Int { value, .. } if *value == wanted as i64);
    let fits = matches!(shape.as_slice(), [n, width] if is(n, count) && is(width, row));
    (by_rows && fits && **class == b"u1").then(|| (Rc::clone(bytes), *at))
}

#[cfg(test)]
mod tests;
