//! Reader of the Python pickles that CIFAR-10 and CIFAR-100 are published as: a dictionary from byte strings to
//! strings, lists of integers or strings, and one NumPy array of bytes.
//!
//! A pickle is a program for a stack machine, which in general calls functions by name. This reader runs nothing:
//! what would be a call becomes a value that says which function and arguments, and only the two calls that make up an
//! array are understood. It knows the operations of protocol 2 that such a file has, and the byte strings and
//! encodings with which newer versions of Python write the same; any other is refused with its place.
//! (Source: `pickletools` of the Python library.)

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{FileError, FileProblem};

/// More lists, tuples and dictionaries than this are refused: a file of these sets has about 20.
const MOST_CONTAINERS: usize = 64;

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
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: BTreeMap::new(), containers: 0 };
    let value = machine.run().map_err(|problem| FileError::new(path, machine.at as u64, problem))?;
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

/// The bytes of `numpy.core.multiarray._reconstruct(..)` with the state (version, shape, dtype, order, bytes), if it is an
/// array of unsigned bytes by rows.
fn array<'a>(value: &Value<'a>, count: usize, row: usize) -> Option<(&'a [u8], u64)> {
    let Value::Call { function, state: Some(state), .. } = value else { return None };
    let [_, Value::Sequence(shape), dtype, order, Value::Bytes { bytes, at }] = state.as_slice() else {
        return None;
    };
    let is =
        |value: &Value, wanted: usize| matches!(value, Value::Int { value, .. } if *value == wanted as i64);
    let Value::Call { function: class, arguments, .. } = dtype else { return None };
    let known = matches!(&**function, Value::Global { name: b"_reconstruct", .. })
        && matches!(&**class, Value::Global { module: b"numpy", name: b"dtype" })
        && matches!(arguments.first(), Some(Value::Bytes { bytes: b"u1", .. }))
        && is(order, 0)
        && matches!(shape.as_slice(), [n, width] if is(n, count) && is(width, row));
    known.then_some((*bytes, *at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    /// The next byte; after a failure, where it lies.
    at: usize,
    stack: Vec<Value<'a>>,
    /// Strings, numbers and names that may be referred to again.
    memo: BTreeMap<usize, Value<'a>>,
    containers: usize,
}

type Step<T> = Result<T, FileProblem>;

fn wrong(expected: impl Into<String>, found: impl Into<String>) -> FileProblem {
    FileProblem::Format { expected: expected.into(), found: found.into() }
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Value<'a>> {
        if !self.bytes.starts_with(&[0x80]) {
            return Err(wrong("a Python pickle of protocol 2", "other bytes"));
        }
        loop {
            let start = self.at;
            let operation = self.take(1)?[0];
            if operation == b'.' {
                return self.pop();
            }
            self.operate(operation).inspect_err(|problem| {
                // What is missing is missing at the end; anything else is wrong where the operation stands.
                if !matches!(problem, FileProblem::Truncated { .. }) {
                    self.at = start;
                }
            })?;
        }
    }

    fn operate(&mut self, operation: u8) -> Step<()> {
        let at = self.at as u64;
        let value = match operation {
            // PROTO
            0x80 => return self.take(1).map(|_| ()),
            b'(' => Value::Mark,
            b'N' => Value::None,
            // NEWTRUE, NEWFALSE
            0x88 => Value::Int { value: 1, at },
            0x89 => Value::Int { value: 0, at },
            // BININT1, BININT2, BININT, LONG1
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => Value::Int { value: i64::from(self.length(4)? as u32 as i32), at },
            0x8a => {
                let length = self.length(1)?;
                self.integer(length)?
            }
            // SHORT_BINSTRING, SHORT_BINBYTES, BINSTRING, BINUNICODE, BINBYTES
            b'U' | b'C' => self.string(1)?,
            b'T' | b'X' | b'B' => self.string(4)?,
            b'c' => Value::Global { module: self.line()?, name: self.line()? },
            b']' | b')' => self.sequence(Vec::new())?,
            b't' => {
                let items = self.to_mark()?;
                self.sequence(items)?
            }
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let length = usize::from(operation - 0x84);
                let Some(start) = self.stack.len().checked_sub(length) else { return Err(underflow()) };
                let items = self.stack.split_off(start);
                self.sequence(items)?
            }
            b'}' => {
                self.count_container()?;
                Value::Dictionary(Vec::new())
            }
            // APPEND, APPENDS
            b'a' | b'e' => {
                let items = if operation == b'a' { vec![self.pop()?] } else { self.to_mark()? };
                let Some(Value::Sequence(list)) = self.stack.last_mut() else {
                    return Err(wrong("a list to append to", "something else"));
                };
                list.extend(items);
                return Ok(());
            }
            // SETITEM, SETITEMS
            b's' | b'u' => {
                let items = if operation == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.to_mark()?
                };
                let Some(Value::Dictionary(pairs)) = self.stack.last_mut() else {
                    return Err(wrong("a dictionary to set keys of", "something else"));
                };
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                return Ok(());
            }
            b'R' => self.call()?,
            b'b' => {
                let Value::Sequence(new) = self.pop()? else {
                    return Err(wrong("a tuple as the state of an object", "something else"));
                };
                let Some(Value::Call { state, .. }) = self.stack.last_mut() else {
                    return Err(wrong("an object to give a state", "something else"));
                };
                *state = Some(new);
                return Ok(());
            }
            // BINPUT, LONG_BINPUT
            b'q' => return self.memorise(1),
            b'r' => return self.memorise(4),
            // BINGET, LONG_BINGET
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            other => {
                let found = format!("the operation 0x{other:02x}");
                return Err(wrong("an operation as in the published files", found));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// A call becomes a value; bytes written as text (`_codecs.encode`, by Python 3) become bytes where they are ASCII.
    fn call(&mut self) -> Step<Value<'a>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Sequence(arguments) = arguments else {
            return Err(wrong("a tuple of arguments", "something else"));
        };
        if let (
            Value::Global { module: b"_codecs", name: b"encode" },
            Some(text @ Value::Bytes { bytes, .. }),
        ) = (&function, arguments.first())
        {
            return if bytes.is_ascii() {
                Ok(text.clone())
            } else {
                Err(wrong("byte strings as such", "text encoded as bytes, which pickle protocol 3 avoids"))
            };
        }
        self.count_container()?;
        Ok(Value::Call { function: Box::new(function), arguments, state: None })
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let Some(taken) = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)) else {
            let expected = (self.at as u64).saturating_add(length as u64);
            self.at = self.bytes.len();
            return Err(FileProblem::Truncated { expected });
        };
        self.at += length;
        Ok(taken)
    }

    /// A little-endian number of up to 4 bytes, not negative.
    fn length(&mut self, bytes: usize) -> Step<usize> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |word, &byte| (word << 8) | usize::from(byte)))
    }

    /// A little-endian number of up to 4 bytes as a value, not negative.
    fn integer(&mut self, bytes: usize) -> Step<Value<'a>> {
        if bytes > 4 {
            return Err(wrong("integers of at most 4 bytes", bytes.to_string()));
        }
        let at = self.at as u64;
        Ok(Value::Int { value: self.length(bytes)? as i64, at })
    }

    fn string(&mut self, length_bytes: usize) -> Step<Value<'a>> {
        let length = self.length(length_bytes)?;
        let at = self.at as u64;
        Ok(Value::Bytes { bytes: self.take(length)?, at })
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        self.stack.pop().ok_or_else(underflow)
    }

    /// What lies above the last mark, which is removed.
    fn to_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or_else(underflow)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn sequence(&mut self, items: Vec<Value<'a>>) -> Step<Value<'a>> {
        self.count_container()?;
        Ok(Value::Sequence(items))
    }

    /// Containers are counted so that neither nesting nor copies can grow without bound.
    fn count_container(&mut self) -> Step<()> {
        self.containers += 1;
        if self.containers > MOST_CONTAINERS {
            return Err(wrong(format!("at most {MOST_CONTAINERS} lists and tuples"), "more"));
        }
        Ok(())
    }

    fn memorise(&mut self, bytes: usize) -> Step<()> {
        let index = self.length(bytes)?;
        if let Some(value @ (Value::None | Value::Int { .. } | Value::Bytes { .. } | Value::Global { .. })) =
            self.stack.last()
        {
            self.memo.insert(index, value.clone());
        }
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Step<Value<'a>> {
        let index = self.length(bytes)?;
        let value = self.memo.get(&index).cloned();
        value.ok_or_else(|| wrong("a string or a name in the memo", "nothing of the kind"))
    }
}

fn underflow() -> FileProblem {
    wrong("a value on the stack", "none")
}

#[cfg(test)]
mod tests;
