//! Layers of TOML tables: checked against the known keys, laid over each other.

use super::intervention::new_name;
use super::similar::nearest_key;
use super::words::{read, toml_value};
use super::{Error, Method, Methods};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A table of keys that is laid over others, and where it is from.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Preset, file or `--set`, for messages.
    pub origin: String,
    /// The keys.
    pub table: Table,
    /// Texts are words of a command line, which the key that they belong to turns into a value.
    words: bool,
    use_of: UseOf,
}

/// Whether a layer may have keys of methods that do not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UseOf {
    /// It speaks of one run: no.
    Run,
    /// It is a preset or a file, a base for runs with other methods: yes, unless it chose the methods itself.
    File,
    /// It is part of a sweep, which looks at all of its runs.
    Sweep,
}

impl Layer {
    /// The keys of a preset or file.
    pub fn file(origin: impl Into<String>, table: Table) -> Self {
        Self { origin: origin.into(), table, words: false, use_of: UseOf::File }
    }

    /// The same keys as part of a sweep, whose runs may have different methods.
    pub(crate) fn in_sweep(self) -> Self {
        Self { use_of: UseOf::Sweep, ..self }
    }

    /// Its keys as values of the kinds that the known keys have.
    ///
    /// # Errors
    /// An unknown key; a value of another kind.
    pub(super) fn typed(&self, known: &Table) -> Result<Table, Error> {
        self.typed_section("", known, &self.table, known)
    }

    fn typed_section(&self, prefix: &str, known: &Table, given: &Table, all: &Table) -> Result<Table, Error> {
        let mut typed = Table::new();
        for (key, value) in given {
            let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let value = match (known.get(key), value) {
                (None, _) => return Err(self.unknown(dotted, all)),
                (Some(Value::Table(known)), Value::Table(given)) => {
                    Value::Table(self.typed_section(&dotted, known, given, all)?)
                }
                (Some(like), Value::String(word)) if self.words => {
                    read(word, like).and_then(|value| same_kind(&value, like)).ok_or_else(|| {
                        self.wrong_kind(dotted, &toml_value(word).unwrap_or_else(|| value.clone()), like)
                    })?
                }
                (Some(like), value) => {
                    same_kind(value, like).ok_or_else(|| self.wrong_kind(dotted, value, like))?
                }
            };
            typed.insert(key.clone(), value);
        }
        Ok(typed)
    }

    fn unknown(&self, key: String, known: &Table) -> Error {
        let origin = self.origin.clone();
        match new_name(&key) {
            Some(now) => Error::Renamed { origin, key, now },
            None => {
                let known: Vec<String> = flattened(known).into_keys().collect();
                let hint = nearest_key(&key, &known);
                Error::UnknownKey { origin, key, hint }
            }
        }
    }

    fn wrong_kind(&self, key: String, value: &Value, like: &Value) -> Error {
        let expected = match like {
            Value::Integer(_) => "a whole number of at least 0",
            // Lists of whole numbers are the widths of layers.
            Value::Array(known) if known.iter().any(Value::is_integer) => "a list of whole numbers",
            Value::Array(_) => "a list of numbers",
            like => describe(like),
        };
        let got = match value {
            Value::Table(_) => describe(value).to_string(),
            value => format!("{} {value}", describe(value)),
        };
        Error::WrongType { origin: self.origin.clone(), key, got, expected: expected.into() }
    }

    /// The methods whose keys it sets although they are not among `methods`.
    pub(crate) fn unused(&self, methods: &Methods) -> Vec<Method> {
        let Some(given) = self.table.get("intervention").and_then(Value::as_table) else { return vec![] };
        let sets = |method: &&Method| {
            given.get(method.name()).is_some_and(|keys| keys != &Value::Table(Table::new()))
        };
        Method::ALL.iter().filter(sets).filter(|method| !methods.has(**method)).copied().collect()
    }

    /// Refuses keys of methods that are not among `methods`, where this layer may not have any.
    pub(super) fn check_use(&self, methods: &Methods) -> Result<(), Error> {
        let own =
            self.table.get("intervention").and_then(|given| given.get("method")).and_then(Value::as_str);
        let binding = match self.use_of {
            UseOf::Run => true,
            UseOf::File => own.is_some_and(|text| text.parse::<Methods>().is_ok_and(|own| own == *methods)),
            UseOf::Sweep => false,
        };
        match self.unused(methods).first() {
            Some(method) if binding => Err(Error::WithoutEffect {
                origin: self.origin.clone(),
                key: self.key_of(*method),
                choice: format!("intervention.method = \"{methods}\""),
                part: method.name().into(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether it speaks of one run, so that what it sets must have an effect: a file does where no layer chooses what
    /// decides that.
    pub(super) fn is_of_one_run(&self, chosen: bool) -> bool {
        match self.use_of {
            UseOf::Run => true,
            UseOf::File => !chosen,
            UseOf::Sweep => false,
        }
    }

    /// The first key that it sets of a method, dotted.
    pub(crate) fn key_of(&self, method: Method) -> String {
        let section = format!("intervention.{}", method.name());
        let mut keys = flattened(&self.table).into_keys();
        keys.find(|key| key.strip_prefix(&section).is_some_and(|rest| rest.starts_with('.')))
            .unwrap_or(section)
    }
}

/// One `--set section.key=value`. The value is TOML or a plain word, and numbers may be written as people write them.
///
/// # Errors
/// No `=`; a line break.
pub fn parse_set(text: &str) -> Result<Layer, Error> {
    let fail = |message: &'static str| Err(Error::Set { text: text.escape_debug().to_string(), message });
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return fail("one key and its value in one line expected");
    }
    let Some((key, value)) = text.split_once('=') else {
        return fail("section.key=value expected");
    };
    let (key, word) = (key.trim(), value.trim());
    let value = match toml_value(word) {
        Some(value @ (Value::String(_) | Value::Table(_))) => value,
        _ => Value::String(word.to_string()),
    };
    Ok(Layer { origin: format!("--set {text}"), table: nested(key, value), words: true, use_of: UseOf::Run })
}

/// No key of a config has more parts, or a longer section: what has is unknown, and is not taken apart for every key in it.
const MOST_PARTS: usize = 8;
const LONGEST_SECTION: usize = 128;

/// The table that has `value` under a dotted key.
pub(crate) fn nested(key: &str, value: Value) -> Table {
    let mut parts: Vec<&str> = key.splitn(MOST_PARTS, '.').map(str::trim).collect();
    let innermost = Table::from_iter([(parts.pop().unwrap_or_default().to_string(), value)]);
    parts
        .into_iter()
        .rfold(innermost, |inner, part| Table::from_iter([(part.to_string(), Value::Table(inner))]))
}

/// The values of a table under their dotted keys, those of inner tables too.
pub(crate) fn flattened(table: &Table) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    flatten("", table, &mut flat);
    flat
}

fn flatten(section: &str, table: &Table, flat: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let dotted = format!("{section}{key}");
        match value {
            Value::Table(inner) if dotted.len() < LONGEST_SECTION => flatten(&(dotted + "."), inner, flat),
            value => drop(flat.insert(dotted, value.clone())),
        }
    }
}

/// Lays a table over another: sections are merged, other values replaced.
pub(crate) fn overlay(base: &mut Table, layer: &Table) {
    for (key, value) in layer {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(layer)) => overlay(base, layer),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A value of the kind of `like`, in its one form, so that equal configs are equal text: whole numbers as floats where
/// floats are meant, 0 without a sign. `None` for another kind.
fn same_kind(value: &Value, like: &Value) -> Option<Value> {
    match (value, like) {
        (Value::Integer(number), Value::Integer(_)) => (*number >= 0).then(|| value.clone()),
        (Value::Integer(number), Value::Float(_)) => Some(Value::Float(*number as f64)),
        (Value::Float(number), Value::Float(_)) => Some(Value::Float(number + 0.0)),
        (Value::Array(values), Value::Array(known)) => {
            // An empty default is a list of floats.
            let like =
                if known.iter().any(Value::is_integer) { Value::Integer(0) } else { Value::Float(0.0) };
            Some(Value::Array(values.iter().map(|value| same_kind(value, &like)).collect::<Option<_>>()?))
        }
        (Value::String(_), Value::String(_)) | (Value::Boolean(_), Value::Boolean(_)) => Some(value.clone()),
        _ => None,
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        Value::Datetime(_) => "a date",
    }
}
