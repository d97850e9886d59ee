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
    /// Fewer images than the published files have: how many of which half.
    Part(String),
    /// Files whose checksums nobody published, such as an archive that was unpacked.
    #[default]
    Unverified,
    /// Not the published images: what tells, and of which half.
    Other(String),
}

/// What is known of the images of one half.
pub(crate) struct Half {
    /// `training` or `test`.
    pub(crate) name: &'static str,
    /// Number of images.
    pub(crate) found: usize,
    /// Number of images in the published set.
    pub(crate) published: usize,
    /// Whether they are the published ones, or `None` where no checksum is known for the form they are in; of fewer images,
    /// `Some(false)` where they do not begin as the published ones do.
    pub(crate) verified: Option<bool>,
}

impl Half {
    /// Both halves of a set: each found, published, and verified.
    pub(crate) fn both(found: [usize; 2], published: [usize; 2], verified: [Option<bool>; 2]) -> [Self; 2] {
        [0, 1].map(|half| Self {
            name: ["training", "test"][half],
            found: found[half],
            published: published[half],
            verified: verified[half],
        })
    }

    /// What tells that these are not the published images.
    fn other(&self) -> Option<String> {
        let Self { name, found, published, verified } = self;
        match verified {
            _ if found > published => Some(format!("{found} {name} images where {published} are published")),
            Some(false) if found < published => {
                Some(format!("{found} of {published} {name} images{OTHER_BEGINNING}"))
            }
            Some(false) => Some(format!("as many {name} images, but other ones")),
            _ => None,
        }
    }

    fn part(&self) -> Option<String> {
        let Self { name, found, published, .. } = self;
        (found < published).then(|| format!("{found} of {published} {name} images"))
    }
}

impl Origin {
    /// What is known of both halves together.
    pub(crate) fn of(halves: &[Half; 2]) -> Self {
        let all = |tell: fn(&Half) -> Option<String>| {
            let told: Vec<String> = halves.iter().filter_map(tell).collect();
            (!told.is_empty()).then(|| told.join(" and "))
        };
        if let Some(why) = all(Half::other) {
            return Self::Other(why);
        }
        if let Some(what) = all(Half::part) {
            return Self::Part(what);
        }
        match halves.iter().all(|half| half.verified == Some(true)) {
            true => Self::Published,
            false => Self::Unverified,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => write!(f, "built in"),
            Self::Published => write!(f, "the published files"),
            Self::Part(what) => write!(f, "a part of the set, or other images: {what}"),
            Self::Unverified => {
                write!(f, "files without known checksums: whether they are the published ones cannot be told")
            }
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
    fn counts_and_checksums_tell_where_each_half_is_from() {
        let of = |train, verified: [Option<bool>; 2]| {
            let half = |name, found, published, verified| Half { name, found, published, verified };
            Origin::of(&[
                half("training", train, 60_000, verified[0]),
                half("test", 10_000, 10_000, verified[1]),
            ])
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(of(60_000, [yes, yes]), Origin::Published);
        assert_eq!(of(60_000, [yes, None]), Origin::Unverified);
        let other = |why: &str| Origin::Other(why.to_owned());
        assert_eq!(of(60_000, [yes, no]), other("as many test images, but other ones"));
        let both = "as many training images, but other ones and as many test images, but other ones";
        assert_eq!(of(60_000, [no, no]), other(both));
        assert_eq!(of(20, [None, yes]), Origin::Part("20 of 60000 training images".to_owned()));
        let begin = "20 of 60000 training images, which do not begin as the published ones do";
        assert_eq!(of(20, [no, yes]), other(begin));
        assert_eq!(of(60_001, [None, yes]), other("60001 training images where 60000 are published"));
    }
}
