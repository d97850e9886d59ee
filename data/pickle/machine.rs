//! The stack machine that a pickle is a program for.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::{Function, Value};
use crate::error::FileProblem;
use crate::input::reserve;
use crate::kind::kind_of;

/// More lists, tuples and dictionaries than this are refused: a file of these sets has about 20.
const MOST_CONTAINERS: usize = 64;

/// Longer strings are not kept to be referred to again: names and keys are, an array of pixels is not.
const LONGEST_KEPT: usize = 1 << 12;
/// A longer name of a function or a module is refused.
const LONGEST_NAME: u64 = 1 << 10;

/// Why a program was not run to its end.
pub(super) enum Stop {
    /// Its bytes could not be read.
    Reading(io::Error),
    /// It is wrong.
    Content(FileProblem),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Reading(error)
    }
}

impl From<FileProblem> for Stop {
    fn from(problem: FileProblem) -> Self {
        Stop::Content(problem)
    }
}

/// The value that a program of `length` bytes leaves, or where in it what is wrong.
pub(super) fn run(reader: &mut dyn BufRead, length: u64) -> Result<Value, (u64, Stop)> {
    let mut machine =
        Machine { reader, length, at: 0, stack: Vec::new(), memo: BTreeMap::new(), puts: 0, containers: 0 };
    machine.run().map_err(|stop| (machine.at, stop))
}

struct Machine<'a> {
    reader: &'a mut dyn BufRead,
    length: u64,
    /// The next byte; after a failure, where it lies.
    at: u64,
    stack: Vec<Value>,
    /// Strings, numbers and names that may be referred to again.
    memo: BTreeMap<usize, Value>,
    /// How many values were memorised: the number that MEMOIZE gives the next.
    puts: usize,
    containers: usize,
}

type Step<T> = Result<T, Stop>;

fn wrong(expected: impl Into<String>, found: impl Into<String>) -> Stop {
    Stop::Content(FileProblem::Format { expected: expected.into(), found: found.into() })
}

impl Machine<'_> {
    fn run(&mut self) -> Step<Value> {
        if self.reader.fill_buf()?.first() != Some(&0x80) {
            let start = self.reader.fill_buf()?;
            let old = [&b"(d"[..], b"(l", b"}q", b"]q", b"cnumpy"].iter().any(|old| start.starts_with(old));
            let found = if old { "one of protocol 0 or 1" } else { kind_of(start).unwrap_or("other bytes") };
            return Err(wrong("a Python pickle of protocol 2 to 5", found));
        }
        loop {
            let start = self.at;
            let [operation] = self.take()?;
            if operation == b'.' {
                return self.pop();
            }
            self.operate(operation).inspect_err(|stop| {
                // What is missing is missing at the end; anything else is wrong where the operation stands.
                if !matches!(stop, Stop::Content(FileProblem::Truncated { .. })) {
                    self.at = start;
                }
            })?;
        }
    }

    fn operate(&mut self, operation: u8) -> Step<()> {
        let at = self.at;
        let value = match operation {
            // PROTO, FRAME
            0x80 => return self.take::<1>().map(|_| ()),
            0x95 => return self.take::<8>().map(|_| ()),
            b'(' => Value::Mark,
            b'N' => Value::None,
            // NEWTRUE, NEWFALSE
            0x88 => Value::Int { value: 1, at },
            0x89 => Value::Int { value: 0, at },
            // BININT1, BININT2, BININT, LONG1
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => Value::Int { value: i64::from(i32::from_le_bytes(self.take()?)), at },
            0x8a => {
                let length = self.length(1)?;
                self.integer(length)?
            }
            // SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE, BINSTRING, BINUNICODE, BINBYTES
            b'U' | b'C' | 0x8c => self.string(1)?,
            b'T' | b'X' | b'B' => self.string(4)?,
            // BINUNICODE8, BINBYTES8, BYTEARRAY8
            0x8d | 0x8e | 0x96 => self.string(8)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Function(Function::of(&module, &name))
            }
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Bytes { bytes: name, .. }, Value::Bytes { bytes: module, .. }) = (name, module)
                else {
                    return Err(wrong("the name of a function", "something else"));
                };
                Value::Function(Function::of(&module, &name))
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
                let index = self.length(1)? as usize;
                return self.memorise(index);
            }
            b'r' => {
                let index = self.length(4)? as usize;
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
    /// written as text, as Python 3 does in protocol 2.
    fn call(&mut self) -> Step<Value> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Sequence(mut arguments), Value::Function(function)) = (arguments, function) else {
            return Err(wrong("a function and a tuple of arguments", "something else"));
        };
        let simple = match (function, arguments.as_mut_slice()) {
            (Function::Encode, [Value::Bytes { bytes, at }, Value::Bytes { bytes: encoding, .. }])
                if matches!(encoding.as_slice(), b"latin1" | b"latin-1") =>
            {
                let (text, at) = (std::mem::take(bytes), *at);
                let text = Rc::try_unwrap(text).unwrap_or_else(|shared| shared.to_vec());
                Value::Bytes { bytes: Rc::new(latin1(text)?), at }
            }
            (Function::DataType, [Value::Bytes { bytes, .. }, ..]) => Value::Type(Rc::clone(bytes)),
            (Function::Scalar, [Value::Type(class), Value::Bytes { bytes, at }]) => {
                Value::Int { value: number(class, bytes)?, at: *at }
            }
            _ => {
                self.count_container()?;
                return Ok(Value::Call { function, arguments, state: None });
            }
        };
        // The tuple of arguments is gone: each label may have had one.
        self.containers = self.containers.saturating_sub(1);
        Ok(simple)
    }

    /// Gives the object on the stack its state; that of a data type begins with (version, byte order).
    fn build(&mut self, new: Vec<Value>) -> Step<()> {
        match self.stack.last_mut() {
            Some(Value::Call { state, .. }) => *state = Some(new),
            Some(Value::Type(_)) if little_endian(new.get(1)) => {
                self.containers = self.containers.saturating_sub(1);
            }
            Some(Value::Type(_)) => return Err(wrong("little-endian numbers", "another byte order")),
            _ => return Err(wrong("an object to give a state", "something else")),
        }
        Ok(())
    }

    /// Moves over `length` bytes, if there are so many.
    fn advance(&mut self, length: u64) -> Step<()> {
        let end = self.at.saturating_add(length);
        self.at = end.min(self.length);
        if end > self.length { Err(FileProblem::Truncated { expected: end }.into()) } else { Ok(()) }
    }

    fn take<const LENGTH: usize>(&mut self) -> Step<[u8; LENGTH]> {
        self.advance(LENGTH as u64)?;
        let mut taken = [0; LENGTH];
        self.reader.read_exact(&mut taken)?;
        Ok(taken)
    }

    /// A little-endian number of up to 8 bytes, not negative.
    fn length(&mut self, bytes: usize) -> Step<u64> {
        self.advance(bytes as u64)?;
        let mut number = [0; 8];
        self.reader.read_exact(&mut number[..bytes])?;
        Ok(u64::from_le_bytes(number))
    }

    /// A little-endian number of up to 4 bytes as a value, not negative.
    fn integer(&mut self, bytes: u64) -> Step<Value> {
        if bytes > 4 {
            return Err(wrong("integers of at most 4 bytes", bytes.to_string()));
        }
        let at = self.at;
        Ok(Value::Int { value: self.length(bytes as usize)? as i64, at })
    }

    fn string(&mut self, length_bytes: usize) -> Step<Value> {
        let length = self.length(length_bytes)?;
        let at = self.at;
        self.advance(length)?;
        let mut bytes = Vec::new();
        reserve(&mut bytes, length, self.length)?;
        if ((&mut *self.reader).take(length).read_to_end(&mut bytes)? as u64) < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(Value::Bytes { bytes: Rc::new(bytes), at })
    }

    /// The rest of a line.
    fn line(&mut self) -> Step<Vec<u8>> {
        let mut line = Vec::new();
        (&mut *self.reader).take(LONGEST_NAME).read_until(b'\n', &mut line)?;
        self.advance(line.len() as u64)?;
        if line.pop() == Some(b'\n') {
            return Ok(line);
        }
        // It ends too early, or is no name.
        self.advance(1)?;
        Err(wrong("the name of a function", "a longer line"))
    }

    fn pop(&mut self) -> Step<Value> {
        self.stack.pop().ok_or_else(underflow)
    }

    /// What lies above the last mark, which is removed.
    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or_else(underflow)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn sequence(&mut self, items: Vec<Value>) -> Step<Value> {
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
            Some(Value::Bytes { bytes, .. }) if bytes.len() > LONGEST_KEPT => {}
            Some(value) => drop(self.memo.insert(index, value.clone())),
            None => return Err(underflow()),
        }
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Step<Value> {
        let index = self.length(bytes)?;
        let value = usize::try_from(index).ok().and_then(|index| self.memo.get(&index)).cloned();
        value.ok_or_else(|| wrong("a string or a name in the memo", "nothing of the kind"))
    }
}

fn little_endian(order: Option<&Value>) -> bool {
    matches!(order, Some(Value::Bytes { bytes, .. }) if matches!(bytes.as_slice(), b"|" | b"<"))
}

/// The bytes that UTF-8 text of the characters 0 to 255 stands for, in the memory of the text.
fn latin1(mut text: Vec<u8>) -> Step<Vec<u8>> {
    let (mut read, mut written) = (0, 0);
    while let [first, rest @ ..] = &text[read..] {
        let (byte, length) = match (first, rest) {
            (0..=0x7f, _) => (*first, 1),
            (0xc2..=0xc3, [second @ 0x80..=0xbf, ..]) => (first << 6 | second & 0x3f, 2),
            _ => return Err(wrong("text of the characters 0 to 255", "another one")),
        };
        text[written] = byte;
        read += length;
        written += 1;
    }
    text.truncate(written);
    text.shrink_to_fit();
    Ok(text)
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

fn underflow() -> Stop {
    wrong("a value on the stack", "none")
}
