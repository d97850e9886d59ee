//! The stack machine that a pickle is a program for.

use std::collections::BTreeMap;

use super::Value;
use crate::error::FileProblem;

/// More lists, tuples and dictionaries than this are refused: a file of these sets has about 20.
const MOST_CONTAINERS: usize = 64;

/// The value that the program `bytes` leaves, or where in it what is wrong.
pub(super) fn run(bytes: &[u8]) -> Result<Value<'_>, (usize, FileProblem)> {
    let mut machine =
        Machine { bytes, at: 0, stack: Vec::new(), memo: BTreeMap::new(), puts: 0, containers: 0 };
    machine.run().map_err(|problem| (machine.at, problem))
}

struct Machine<'a> {
    bytes: &'a [u8],
    /// The next byte; after a failure, where it lies.
    at: usize,
    stack: Vec<Value<'a>>,
    /// Strings, numbers and names that may be referred to again.
    memo: BTreeMap<usize, Value<'a>>,
    /// How many values were memorised: the number that MEMOIZE gives the next.
    puts: usize,
    containers: usize,
}

type Step<T> = Result<T, FileProblem>;

fn wrong(expected: impl Into<String>, found: impl Into<String>) -> FileProblem {
    FileProblem::Format { expected: expected.into(), found: found.into() }
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Value<'a>> {
        if !self.bytes.starts_with(&[0x80]) {
            return Err(wrong("a Python pickle of protocol 2 to 5", "other bytes"));
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
            // PROTO, FRAME
            0x80 => return self.take(1).map(|_| ()),
            0x95 => return self.take(8).map(|_| ()),
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
            // SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE, BINSTRING, BINUNICODE, BINBYTES
            b'U' | b'C' | 0x8c => self.string(1)?,
            b'T' | b'X' | b'B' => self.string(4)?,
            // BINUNICODE8, BINBYTES8, BYTEARRAY8
            0x8d | 0x8e | 0x96 => self.string(8)?,
            b'c' => Value::Global { module: self.line()?, name: self.line()? },
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Bytes { bytes: name, .. }, Value::Bytes { bytes: module, .. }) = (name, module)
                else {
                    return Err(wrong("the name of a function", "something else"));
                };
                Value::Global { module, name }
            }
            b']' | b')' => self.sequence(Vec::new())?,
            b't' => {
                let items = self.pop_to_mark()?;
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
                let items = if operation == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
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
                    self.pop_to_mark()?
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
                return self.build(new);
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let index = self.length(1)?;
                return self.memorise(index);
            }
            b'r' => {
                let index = self.length(4)?;
                return self.memorise(index);
            }
            0x94 => return self.memorise(self.puts),
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

    /// A call becomes a value, and at once a simple one where it is known: a data type, an integer of NumPy, and bytes
    /// written as text (`_codecs.encode`, by Python 3) where they are ASCII.
    fn call(&mut self) -> Step<Value<'a>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Sequence(arguments) = arguments else {
            return Err(wrong("a tuple of arguments", "something else"));
        };
        let simple = match (&function, arguments.as_slice()) {
            (
                Value::Global { module: b"_codecs", name: b"encode" },
                [text @ Value::Bytes { bytes, .. }, ..],
            ) => {
                if !bytes.is_ascii() {
                    let found = "text encoded as bytes, which pickle protocol 3 avoids";
                    return Err(wrong("byte strings as such", found));
                }
                text.clone()
            }
            (Value::Global { module: b"numpy", name: b"dtype" }, [Value::Bytes { bytes, .. }, ..]) => {
                Value::Type(bytes)
            }
            (Value::Global { name: b"scalar", .. }, [Value::Type(class), Value::Bytes { bytes, at }]) => {
                Value::Int { value: number(class, bytes)?, at: *at }
            }
            _ => {
                self.count_container()?;
                return Ok(Value::Call { function: Box::new(function), arguments, state: None });
            }
        };
        // The tuple of arguments is gone: each label may have had one.
        self.containers = self.containers.saturating_sub(1);
        Ok(simple)
    }

    /// Gives the object on the stack its state; that of a data type begins with (version, byte order).
    fn build(&mut self, new: Vec<Value<'a>>) -> Step<()> {
        match self.stack.last_mut() {
            Some(Value::Call { state, .. }) => *state = Some(new),
            Some(Value::Type(_)) if matches!(new.get(1), Some(Value::Bytes { bytes: b"|" | b"<", .. })) => {
                self.containers = self.containers.saturating_sub(1);
            }
            Some(Value::Type(_)) => return Err(wrong("little-endian numbers", "another byte order")),
            _ => return Err(wrong("an object to give a state", "something else")),
        }
        Ok(())
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

    /// A little-endian number of up to 8 bytes, not negative.
    fn length(&mut self, bytes: usize) -> Step<usize> {
        let number = self.take(bytes)?.iter().rev().fold(0u64, |word, &byte| (word << 8) | u64::from(byte));
        usize::try_from(number).map_err(|_| wrong("a length that fits into the memory", number.to_string()))
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
    fn pop_to_mark(&mut self) -> Step<Vec<Value<'a>>> {
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

    fn memorise(&mut self, index: usize) -> Step<()> {
        self.puts += 1;
        match self.stack.last() {
            Some(Value::Mark | Value::Sequence(_) | Value::Dictionary(_) | Value::Call { .. }) => {}
            Some(value) => drop(self.memo.insert(index, value.clone())),
            None => return Err(underflow()),
        }
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Step<Value<'a>> {
        let index = self.length(bytes)?;
        let value = self.memo.get(&index).cloned();
        value.ok_or_else(|| wrong("a string or a name in the memo", "nothing of the kind"))
    }
}

/// The value of a little-endian NumPy integer.
fn number(class: &[u8], bytes: &[u8]) -> Step<i64> {
    let signed = match class {
        b"i1" | b"i2" | b"i4" | b"i8" => true,
        b"u1" | b"u2" | b"u4" | b"u8" => false,
        _ => return Err(wrong("integers", String::from_utf8_lossy(class))),
    };
    let width = usize::from(class[1] - b'0');
    if bytes.len() != width {
        return Err(wrong(format!("an integer of {width} bytes"), bytes.len().to_string()));
    }
    let negative = signed && bytes[width - 1] >= 0x80;
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..width].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(all))
}

fn underflow() -> FileProblem {
    wrong("a value on the stack", "none")
}
