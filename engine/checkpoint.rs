//! Tensors in safetensors files, written whole or not at all.

use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Contents.
    pub values: StoredValues,
}

/// Contents of a stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredValues {
    /// Floats.
    F32(Vec<f32>),
    /// Labels and other integers; i64, i32 and u32 in the file.
    Integers(Vec<i64>),
}

/// The tensors of a file by name, and its one metadata entry, `state`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
    /// Text of the metadata entry `state`; empty if there is none.
    pub state: String,
}

impl File {
    /// Adds a tensor of floats.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) {
        self.tensors.insert(name.into(), Stored { shape: shape.to_vec(), values: StoredValues::F32(values) });
    }

    /// Shape and values of a tensor of floats; `None` if there is none of that name and type.
    pub fn floats(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        match self.tensors.get(name)? {
            Stored { shape, values: StoredValues::F32(values) } => Some((shape.clone(), values.clone())),
            Stored { .. } => None,
        }
    }

    /// Whether every float of the file is finite.
    pub fn all_finite(&self) -> bool {
        self.tensors.values().all(|tensor| match &tensor.values {
            StoredValues::F32(values) => values.iter().all(|value| value.is_finite()),
            StoredValues::Integers(_) => true,
        })
    }

    /// Writes the file beside `path`, makes it durable, and moves it into place: a crash leaves the old file.
    ///
    /// The same contents give the same bytes.
    ///
    /// # Errors
    /// The file cannot be written (no permission, no space, ...); the old one is untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let (dtype, bytes): (_, &[u8]) = match &tensor.values {
                StoredValues::F32(values) => (Dtype::F32, bytemuck::cast_slice(values)),
                StoredValues::Integers(values) => (Dtype::I64, bytemuck::cast_slice(values)),
            };
            let view = TensorView::new(dtype, tensor.shape.clone(), bytes)
                .map_err(|error| Error::file(path, format!("tensor '{name}': {error}")))?;
            views.push((name.as_str(), view));
        }
        // One entry only: the order of several is not fixed.
        let metadata =
            (!self.state.is_empty()).then(|| HashMap::from([("state".to_string(), self.state.clone())]));
        let bytes = safetensors::serialize(views, metadata)
            .map_err(|error| Error::file(path, format!("cannot be encoded: {error}")))?;
        files::write(path, &bytes).map_err(|source| Error::Io { action: "write", path: path.into(), source })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is cut short or corrupt, or holds a tensor of a type that is not supported.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        let corrupt = |error| {
            Error::file(path, format!("not a whole safetensors file ({} bytes): {error}", bytes.len()))
        };
        let parsed = SafeTensors::deserialize(&bytes).map_err(corrupt)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(corrupt)?;
        let state = header.metadata().as_ref().and_then(|map| map.get("state")).cloned().unwrap_or_default();
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.iter() {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => StoredValues::F32(words(data).map(f32::from_le_bytes).collect()),
                Dtype::I32 => {
                    StoredValues::Integers(words(data).map(|b| i32::from_le_bytes(b).into()).collect())
                }
                Dtype::U32 => {
                    StoredValues::Integers(words(data).map(|b| u32::from_le_bytes(b).into()).collect())
                }
                Dtype::I64 => StoredValues::Integers(words(data).map(i64::from_le_bytes).collect()),
                other => {
                    return Err(Error::file(
                        path,
                        format!("tensor '{name}' is {other:?}; f32, i32, u32 and i64 are known"),
                    ));
                }
            };
            tensors.insert(name.to_string(), Stored { shape: view.shape().to_vec(), values });
        }
        Ok(Self { tensors, state })
    }
}

/// The file's numbers, byte by byte, so that their alignment in it does not matter.
fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    data.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> File {
        let mut file = File { state: "{\"step\":3}".into(), ..File::default() };
        file.insert("head.fc.weight", &[2, 3], vec![1.0, -2.5, 0.0, f32::MIN_POSITIVE, 1e30, -0.0]);
        let labels = Stored { shape: vec![2], values: StoredValues::Integers(vec![7, -1]) };
        file.tensors.insert("y".into(), labels);
        file
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("hare-tortoise-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_comes_back_and_equal_contents_are_equal_bytes() {
        let folder = folder("roundtrip");
        let (a, b) = (folder.join("a"), folder.join("b"));
        example().save(&a).unwrap();
        File::load(&a).unwrap().save(&b).unwrap();
        assert_eq!(File::load(&b).unwrap(), example());
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_cut_or_corrupt_file_is_an_error_that_names_it() {
        let folder = folder("corrupt");
        let path = folder.join("weights.safetensors");
        example().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 5, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = File::load(&path).unwrap_err().to_string();
            assert!(error.contains("weights.safetensors"), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = folder("failed");
        let path = folder.join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "old").unwrap();
        assert!(example().save(&path).is_err());
        assert_eq!(std::fs::read_to_string(path.join("inside")).unwrap(), "old");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file stays");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
