//! Tensors in safetensors files, written whole or not at all.

mod digest;
mod foreign;
mod read;

use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, TensorView};
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
    /// Floats; f32, f64, f16 or bf16 in the file.
    F32(Vec<f32>),
    /// Labels and other integers; of any width in the file, i64 in one that is written.
    Integers(Vec<i64>),
}

/// The tensors of a file by name, and its one metadata entry, `state`; and what was found when it was read.
///
/// A file with a state has a digest of both before it, so that a flipped bit is noticed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
    /// Text of the metadata entry `state`; empty if there is none.
    pub state: String,
    /// The type of each tensor that is neither floats nor integers, such as `bool`: it is not read, and not written.
    pub others: BTreeMap<String, String>,
    /// What was converted when the file was read, in sentences for people.
    pub notes: Vec<String>,
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
        self.tensors.values().all(|tensor| tensor.first_non_finite().is_none())
    }

    /// The file without the words that PyTorch's wrappers put into names (`module.`, `_orig_mod.`), with a note.
    ///
    /// # Errors
    /// Two tensors that have one name then; `path` names the file.
    pub fn without_wrappers(self, path: &Path) -> Result<Self> {
        read::unwrap_names(self).map_err(|message| Error::file(path, message))
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
        // Weights for others have no state and need no digest. One entry only: the order of several is not fixed.
        let sealed = (!self.state.is_empty())
            .then(|| digest::seal(&self.state, views.iter().map(|(_, view)| view.data())));
        let metadata = sealed.map(|state| HashMap::from([("state".to_string(), state)]));
        let bytes = safetensors::serialize(views, metadata)
            .map_err(|error| Error::file(path, format!("cannot be encoded: {error}")))?;
        files::write(path, &bytes).map_err(|source| Error::Io { action: "write", path: path.into(), source })
    }

    /// Reads a file. Floats of other widths become f32, which [`File::notes`] says.
    ///
    /// # Errors
    /// It cannot be read, is cut short or corrupt, names a tensor twice, holds a number that f32 or i64 cannot hold, or is
    /// no safetensors file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            files::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        Self::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// As [`File::load`], from a file's contents.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        read::parse(bytes)
    }
}

impl Stored {
    /// Where the first float that is not finite is, one index per axis, and what it is.
    pub fn first_non_finite(&self) -> Option<(Vec<usize>, f32)> {
        let StoredValues::F32(values) = &self.values else { return None };
        let mut rest = values.iter().position(|value| !value.is_finite())?;
        let value = values[rest];
        let mut index = vec![0; self.shape.len()];
        for (at, &length) in index.iter_mut().zip(&self.shape).rev() {
            (*at, rest) = (rest % length, rest / length);
        }
        Some((index, value))
    }
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
    fn a_flipped_bit_anywhere_in_a_checkpoint_is_noticed() {
        let folder = folder("flipped");
        let path = folder.join("checkpoint.safetensors");
        example().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let data = whole.len() - 6 * 4 - 2 * 8;
        for at in data..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            let message = File::from_bytes(&bytes).unwrap_err();
            assert!(message.starts_with("damaged"), "byte {at}: {message}");
        }
        let state = whole.windows(8).position(|window| window == b"step\\\":3").unwrap();
        let mut bytes = whole;
        bytes[state + 7] = b'4';
        assert!(File::from_bytes(&bytes).unwrap_err().starts_with("damaged"), "the state");
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
