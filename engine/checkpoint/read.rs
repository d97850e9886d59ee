//! Reading safetensors files of any origin: what is wrong with one is named, always the same fault first, and what was
//! converted is noted.

use super::{File, Stored, StoredValues, digest, foreign};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Bytes before the header: its length, little endian.
const PREFIX: usize = 8;
/// What wrappers of PyTorch put into the names: `DataParallel` and its kin, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// The tensors of a file with these bytes, or what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<File, String> {
    // A header begins behind its length, whose bytes may be anything: 640 is those of a pickle.
    let has_header = bytes.get(PREFIX) == Some(&b'{');
    if let Some(format) = foreign::describe(bytes).filter(|_| !has_header) {
        return Err(format);
    }
    check_header(bytes)?;
    let invalid = |error| format!("not a whole safetensors file ({} bytes): {error}", bytes.len());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(invalid)?;
    let state = header.metadata().as_ref().and_then(|map| map.get("state")).map_or("", String::as_str);
    // In the order of their names: that of the file's table is another every time.
    let views: BTreeMap<&str, TensorView<'_>> = tensors.iter().collect();
    let (state, note) = digest::open(state, views.values().map(TensorView::data))?;
    let mut file = File { state, notes: note.into_iter().collect(), ..File::default() };
    let mut converted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (&name, view) in &views {
        let values = match (view.dtype(), kind(view.dtype())) {
            (dtype, Some(kind)) => {
                converted.entry(kind).or_default().push(name);
                narrow(name, dtype, view.data())?
            }
            (dtype, None) => match integers(name, dtype, view.data())? {
                Some(values) => StoredValues::Integers(values),
                None if dtype == Dtype::F32 => {
                    StoredValues::F32(words(view.data()).map(f32::from_le_bytes).collect())
                }
                None => {
                    file.others.insert(name.to_string(), format!("{dtype:?}").to_lowercase());
                    continue;
                }
            },
        };
        file.tensors.insert(name.to_string(), Stored { shape: view.shape().to_vec(), values });
    }
    for (kind, names) in converted {
        file.notes.push(format!("{} {kind} and taken as f32: {}", count(names.len()), list(&names)));
    }
    Ok(file)
}

/// The words of a sentence that begins with a number of tensors.
fn count(tensors: usize) -> String {
    if tensors == 1 { "1 tensor is".into() } else { format!("{tensors} tensors are") }
}

/// The first names, and how many there are besides.
fn list(names: &[&str]) -> String {
    let shown = names[..names.len().min(3)].join(", ");
    if names.len() > 3 { format!("{shown} and {} more", names.len() - 3) } else { shown }
}

/// The name of a float type that is converted.
fn kind(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F64 => Some("f64"),
        Dtype::F16 => Some("f16"),
        Dtype::BF16 => Some("bf16"),
        _ => None,
    }
}

/// Floats of another width as f32; f64 is rounded to the nearest.
fn narrow(name: &str, dtype: Dtype, data: &[u8]) -> Result<StoredValues, String> {
    let values: Vec<f32> = match dtype {
        Dtype::F16 => words(data).map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::BF16 => words(data).map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        _ => words(data).map(|bytes| f64::from_le_bytes(bytes) as f32).collect(),
    };
    if dtype == Dtype::F64 {
        let wide = words(data).map(f64::from_le_bytes);
        let mut pairs = wide.zip(&values).enumerate();
        if let Some((index, (wide, _))) =
            pairs.find(|(_, (wide, value))| wide.is_finite() && value.is_infinite())
        {
            return Err(format!("tensor '{name}' is {wide:e} at index {index}, more than f32 can hold"));
        }
    }
    Ok(StoredValues::F32(values))
}

/// Integers of any width; `None` for another type.
fn integers(name: &str, dtype: Dtype, data: &[u8]) -> Result<Option<Vec<i64>>, String> {
    Ok(Some(match dtype {
        Dtype::U8 => data.iter().map(|&byte| byte.into()).collect(),
        Dtype::I8 => words(data).map(|bytes| i8::from_le_bytes(bytes).into()).collect(),
        Dtype::U16 => words(data).map(|bytes| u16::from_le_bytes(bytes).into()).collect(),
        Dtype::I16 => words(data).map(|bytes| i16::from_le_bytes(bytes).into()).collect(),
        Dtype::U32 => words(data).map(|bytes| u32::from_le_bytes(bytes).into()).collect(),
        Dtype::I32 => words(data).map(|bytes| i32::from_le_bytes(bytes).into()).collect(),
        Dtype::I64 => words(data).map(i64::from_le_bytes).collect(),
        Dtype::U64 => {
            let values = words(data).map(u64::from_le_bytes).enumerate();
            let narrow = values.map(|(index, value)| {
                i64::try_from(value).map_err(|_| {
                    format!("tensor '{name}' is {value} at index {index}, more than i64 can hold")
                })
            });
            narrow.collect::<Result<_, _>>()?
        }
        _ => return Ok(None),
    }))
}

/// The file's numbers, byte by byte, so that their alignment in it does not matter.
fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    data.as_chunks::<N>().0.iter().copied()
}

/// Faults of the header that the format's library does not name: names given twice, and where a file was cut.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let cut = |needed: u64| {
        let here = bytes.len();
        format!("not a whole safetensors file: {here} of {needed} bytes are here; copy or download it again")
    };
    let Some((length, rest)) = bytes.split_first_chunk::<PREFIX>() else { return Err(cut(PREFIX as u64)) };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let Some(header) = header else {
        // The header of a file that was cut is there in part; anything else is no such file.
        return Err(match rest.first() {
            Some(b'{') | None => cut(length.saturating_add(PREFIX as u64)),
            Some(_) => "not a whole safetensors file: it does not begin with the length of a header".into(),
        });
    };
    let entries = serde_json::Deserializer::from_slice(header)
        .deserialize_map(Entries)
        .map_err(|error| format!("no valid safetensors file; its header: {error}"))?;
    let mut ranges: Vec<_> = entries.iter().filter_map(|(name, entry)| Some((range(entry)?, name))).collect();
    ranges.sort_unstable();
    let data = (rest.len() - header.len()) as u64;
    let mut end = 0;
    for ((from, to), name) in ranges {
        if from != end || to < from {
            return Err(format!("tensor '{name}' lies at bytes {from} to {to}, it must begin at byte {end}"));
        }
        end = to;
    }
    if end > data {
        return Err(cut(end.saturating_add(length).saturating_add(PREFIX as u64)));
    }
    if end < data {
        return Err(format!("{} bytes follow the last tensor; copy or download the file again", data - end));
    }
    Ok(())
}

fn range(entry: &Value) -> Option<(u64, u64)> {
    let offsets = entry.get("data_offsets")?;
    Some((offsets.get(0)?.as_u64()?, offsets.get(1)?.as_u64()?))
}

/// The entries of a header, each name once.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, entry)) = map.next_entry::<String, Value>()? {
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("it names '{name}' twice")));
            }
            entries.insert(name, entry);
        }
        Ok(entries)
    }
}

/// Takes the names of wrappers out of the names of tensors, and notes it.
pub(super) fn unwrap_names(file: File) -> Result<File, String> {
    let unwrapped =
        |name: &str| name.split('.').filter(|word| !WRAPPERS.contains(word)).collect::<Vec<_>>().join(".");
    let all = || file.tensors.keys().chain(file.others.keys());
    let (mut seen, mut changed) = (BTreeSet::new(), Vec::new());
    for name in all() {
        let new = unwrapped(name);
        if new != *name {
            changed.push(name.as_str());
        }
        if !seen.insert(new.clone()) {
            return Err(format!(
                "two tensors are called '{new}' without the words of wrappers in their names"
            ));
        }
    }
    let mut notes = file.notes.clone();
    if !changed.is_empty() {
        notes.push(format!(
            "{} named by a wrapper; 'module.' and '_orig_mod.' are left out: {}",
            count(changed.len()),
            list(&changed)
        ));
    }
    Ok(File {
        tensors: file.tensors.into_iter().map(|(name, tensor)| (unwrapped(&name), tensor)).collect(),
        others: file.others.into_iter().map(|(name, kind)| (unwrapped(&name), kind)).collect(),
        state: file.state,
        notes,
    })
}
