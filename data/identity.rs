//! What a data set is, by its content: a digest, and whether it is the published one.

use crate::checksum::digits;
use crate::examine::OTHER_BEGINNING;
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

impl Origin {
    /// What numbers of images, each found and published, and checksums tell. `verified` is whether the files are those with
    /// the published checksums, or `None` where no checksum is known for the form they are in; of fewer images,
    /// `Some(false)` where they do not begin as the published ones do.
    pub(crate) fn of(counts: &[(usize, usize)], verified: Option<bool>) -> Self {
        if let Some((found, published)) = counts.iter().find(|(found, published)| found > published) {
            return Self::Other(format!("{found} images where {published} are published"));
        }
        let is_part = counts.iter().any(|(found, published)| found < published);
        match verified {
            Some(false) if is_part => Self::Other(format!("fewer images{OTHER_BEGINNING}")),
            _ if is_part => Self::Part,
            Some(true) => Self::Published,
            Some(false) => Self::Other("as many images, but not with the published checksums".to_owned()),
            None => Self::Unverified,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => write!(f, "built in"),
            Self::Published => write!(f, "the published files"),
            Self::Part => write!(f, "a part of the set, or other images: there are fewer than published"),
            Self::Unverified => write!(f, "files without known checksums"),
            Self::Other(why) => write!(f, "not the published images: {why}"),
        }
    }
}

impl DataSet {
    /// SHA-256 of shapes, classes, labels and pixels of both halves, in hexadecimal: equal for equal images, however they
    /// lay in files.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for half in [&self.train, &self.test] {
            add(&mut digest, half);
        }
        digits(&digest.finalize())
    }
}

fn add(digest: &mut Sha256, images: &Images) {
    for number in [images.len(), images.height, images.width, images.channels, images.classes] {
        digest.update((number as u64).to_le_bytes());
    }
    for label in &images.labels {
        digest.update(label.to_le_bytes());
    }
    digest.update(images.pixels.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_checksums_tell_where_a_set_is_from() {
        let of = |train, verified| Origin::of(&[(train, 60_000), (10_000, 10_000)], verified);
        assert_eq!(of(60_000, Some(true)), Origin::Published);
        assert_eq!(of(60_000, None), Origin::Unverified);
        assert!(matches!(of(60_000, Some(false)), Origin::Other(why) if why.contains("checksums")));
        assert_eq!(of(20, None), Origin::Part);
        assert!(matches!(of(20, Some(false)), Origin::Other(why) if why.contains("do not begin as")));
        assert!(matches!(of(60_001, None), Origin::Other(why) if why.contains("60001 images where 60000")));
    }
}
