//! Layers of TOML tables: checked against the known keys, laid over each other.

use super::{Config, Engine, Error};
use models::ModelConfig;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// One `--set section.key=value` as a table: the value is TOML, or else a plain word.
///
/// # Errors
/// No `=`.
pub fn parse_set(text: &str) -> Result<(String, Table), Error> {
    let origin = format!("--set {text}");
    let Some((key, value)) = text.split_once('=') else {
        return Err(Error::Syntax { origin, message: "section.key=value expected".into() });
    };
    let (key, value) = (key.trim(), value.trim());
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    Ok((origin, nested(key, parsed.unwrap_or_else(|| Value::String(value.to_string())))))
}

/// The table that has `value` under a dotted key.
pub(crate) fn nested(key: &str, value: Value) -> Table {
    let (outer, rest) = key.split_once('.').map_or((key, None), |(outer, rest)| (outer, Some(rest)));
    let value = rest.map_or_else(|| value.clone(), |rest| Value::Table(nested(rest, value.clone())));
    Table::from_iter([(outer.trim().to_string(), value)])
}

/// The values of a table under their dotted keys, those of inner tables too.
pub(crate) fn flattened(table: &Table) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(
                    flattened(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)),
                );
            }
            value => {
                flat.insert(key.clone(), value.clone());
            }
        }
    }
    flat
}

/// The sections `[model]` and `[engine]` alone: a model by name, overlaid by `--set model.key=value` and
/// `--set engine.key=value`.
///
/// # Errors
/// As [`Config::resolve`]; also a `--set` of another section.
pub fn resolve_model(name: &str, sets: &[String]) -> Result<(ModelConfig, Engine), Error> {
    let named = Table::from_iter([("name".to_string(), Value::String(name.to_string()))]);
    let mut layers =
        vec![(format!("model {name}"), Table::from_iter([("model".to_string(), Value::Table(named))]))];
    for set in sets {
        let (origin, table) = parse_set(set)?;
        if let Some(key) = table.keys().find(|&key| key != "model" && key != "engine") {
            let hint = ": only model.* and engine.* can be set here".to_string();
            return Err(Error::UnknownKey { origin, key: key.clone(), hint });
        }
        layers.push((origin, table));
    }
    let config = Config::resolve(&layers)?;
    Ok((config.model, config.engine))
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

/// Every key of `layer` must be in `known`, with a value of the same kind.
pub(super) fn check_keys(origin: &str, prefix: &str, known: &Table, layer: &Table) -> Result<(), Error> {
    for (key, value) in layer {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let Some(reference) = known.get(key) else {
            let candidates: Vec<String> = known
                .keys()
                .map(|known| if prefix.is_empty() { known.clone() } else { format!("{prefix}.{known}") })
                .collect();
            let hint = nearest(&dotted, candidates.iter().map(String::as_str));
            return Err(Error::UnknownKey { origin: origin.into(), key: dotted, hint });
        };
        match (reference, value) {
            (Value::Table(known), Value::Table(layer)) => check_keys(origin, &dotted, known, layer)?,
            (Value::Float(_), Value::Integer(_)) => {}
            (Value::Array(known), Value::Array(values)) => {
                // Lists of whole numbers are the widths of layers; an empty default is a list of floats.
                let whole = known.iter().any(Value::is_integer);
                let fits = |value: &Value| value.is_integer() || (!whole && value.is_float());
                if let Some(value) = values.iter().find(|value| !fits(value)) {
                    let expected = if whole { "a list of whole numbers" } else { "a list of numbers" };
                    return Err(wrong_type(origin, dotted, value, expected));
                }
            }
            (reference, value) if reference.same_type(value) => {}
            (reference, value) => return Err(wrong_type(origin, dotted, value, describe(reference))),
        }
        if value.as_integer().is_some_and(|n| n < 0) && reference.is_integer() {
            return Err(wrong_type(origin, dotted, value, "a whole number, not negative,"));
        }
    }
    Ok(())
}

fn wrong_type(origin: &str, key: String, value: &Value, expected: &str) -> Error {
    let got = format!("{} {value}", describe(value));
    Error::WrongType { origin: origin.into(), key, got, expected: expected.into() }
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

/// Whole numbers where floats are meant (`lr = 1`), so that equal configs are equal text.
pub(super) fn coerce(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => coerce(inner),
            Value::Array(values) if key != "hidden" => {
                for value in values {
                    if let Value::Integer(n) = value {
                        *value = Value::Float(*n as f64);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `; did you mean 'x'?` if something is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean '{candidate}'?"))
}
