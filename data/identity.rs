//! What a data set is, by its content: a digest, and whether it is the published one.

use crate::{DataSet, Images};
use sha2::{Digest, Sha256};

/// Where the images of a set come from, as far as their bytes tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Drawn by this program.
    BuiltIn,
    /// The published files: their checksums are known.
    Published,
    /// Fewer images than the published files have.
    Part,
    /// Files whose checksums nobody published, such as an archive that was unpacked.
    #[default]
    Unverified,
    /// Not the published images: what tells.
    Other(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => write!(f, "built in"),
            Self::Published => write!(f, "the published files"),
            Self::Part => write!(f, "a part of the set"),
            Self::Unverified => write!(f, "files without known checksums"),
            Self::Other(why) => write!(f, "not the published images: {why}"),
        }
    }
}

impl DataSet {
    /// SHA-256 of shapes, classes, labels and pixels of both halves, in hexadecimal: equal for equal images, however they lay
    /// in files.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for half in [&self.train, &self.test] {
            add(&mut digest, half);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn add(digest: &mut Sha256, images: &Images) {
    for number in [images.len(), images.height, images.width, images.channels, images.classes] {
        digest.update((number as u64).to_le_bytes());
    }
    for label in &images.labels {
        digest.update(label.to_le_bytes());
    }
    digest.update(&images.pixels);
}
