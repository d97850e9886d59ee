//! Values as people write them on a command line: `.01`, `1.`, `+5`, `1e3`, and names without quotes.

use toml::{Table, Value};

/// A value that is TOML; `None` if it is not.
pub(super) fn toml_value(word: &str) -> Option<Value> {
    format!("value = {word}").parse::<Table>().ok()?.remove("value")
}

/// A word as a value of the same kind as `like`; `None` if it is none.
pub(super) fn read(word: &str, like: &Value) -> Option<Value> {
    match like {
        Value::String(_) => Some(Value::String(word.into())),
        Value::Float(_) => number(word).map(Value::Float),
        Value::Integer(_) => whole(word).map(Value::Integer),
        Value::Array(_) => toml_value(word).filter(Value::is_array).or_else(|| list(word)),
        Value::Boolean(_) | Value::Datetime(_) => toml_value(word),
        Value::Table(_) => None,
    }
}

fn number(word: &str) -> Option<f64> {
    match toml_value(word) {
        Some(Value::Float(number)) => Some(number),
        Some(Value::Integer(number)) => Some(number as f64),
        _ => word.parse().ok(),
    }
}

fn whole(word: &str) -> Option<i64> {
    const EXACT: f64 = (1u64 << 53) as f64;
    match toml_value(word) {
        Some(Value::Integer(number)) => Some(number),
        _ => number(word).filter(|n| n.fract() == 0.0 && n.abs() <= EXACT).map(|n| n as i64),
    }
}

/// Numbers between brackets that are not all TOML.
fn list(word: &str) -> Option<Value> {
    let inner = word.strip_prefix('[')?.strip_suffix(']')?.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    let item = |item: &str| toml_value(item).or_else(|| number(item).map(Value::Float));
    Some(Value::Array(inner.split(',').map(|word| item(word.trim())).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let float = |word| read(word, &Value::Float(0.0)).and_then(|value| value.as_float());
        for (word, value) in [
            (".01", 0.01),
            ("1.", 1.0),
            ("1", 1.0),
            ("+5", 5.0),
            ("-.5", -0.5),
            ("1e-3", 1e-3),
            ("1E3", 1e3),
            ("1_000.5", 1000.5),
            ("inf", f64::INFINITY),
        ] {
            assert_eq!(float(word), Some(value), "{word}");
        }
        assert!(float("nan").unwrap().is_nan());
        for word in ["", "fast", "1,5", "0.1.2", "true", "[1]", "1 2"] {
            assert_eq!(float(word), None, "{word}");
        }
        let whole = |word| read(word, &Value::Integer(0)).and_then(|value| value.as_integer());
        for (word, value) in [("+5", 5), ("1e3", 1000), ("64.", 64), ("007", 7), ("0x10", 16), ("-1", -1)] {
            assert_eq!(whole(word), Some(value), "{word}");
        }
        for word in ["1.5", "1e30", "inf", "nan", "ten", "99999999999999999999"] {
            assert_eq!(whole(word), None, "{word}");
        }
        let list = |word| read(word, &Value::Array(vec![])).map(|value| value.to_string());
        assert_eq!(list("[.1, .9]").as_deref(), Some("[0.1, 0.9]"));
        assert_eq!(list("[8,6,]").as_deref(), Some("[8, 6]"));
        assert_eq!(list("[]").as_deref(), Some("[]"));
        assert_eq!((list("[a]"), list("0.1,0.9"), list("[.1")), (None, None, None));
    }
}
