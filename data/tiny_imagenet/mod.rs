//! Tiny ImageNet (Stanford CS231N, 2015): 64x64 colour images of up to 200 classes of ImageNet.
//!
//! It is read from the folder `tiny-imagenet-200`, from its content without that folder, or straight from
//! `tiny-imagenet-200.zip`: `train/CLASS/images/*.JPEG`, and as test images those of `val/images` that
//! `val/val_annotations.txt` gives a class. If `val/images` has none, they are those that somebody sorted into
//! `val/CLASS/images`; before the names of images, `images/` may be left out. A folder that lacks something, as a
//! broken-off extraction does, is passed over for a readable archive; where only that tells, one with fewer images than the
//! archive is read with a note.
//!
//! The classes are the folders of `train` that have images, sorted by name, so that a part of the set can be used; test
//! images of other classes are left out. Training images come class by class in turn, the first of each class, then the
//! second of each; test images in the order of the annotations, or of the numbers in their names, which is the same in
//! the published set. Grey images become RGB with three equal channels.
//!
//! Decoding takes a while and is done once: `tiny-imagenet-200.cache` beside the data, or in the user's cache folder if
//! that is not writable, keeps the pixels. It is used only if it belongs to exactly these files (their names, lengths, and
//! times of modification or checksums) and if its own checksum is right; otherwise it is made anew.

mod cache;
mod decode;
mod listing;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use crate::checksum::md5_of;
use crate::error::{FileError, FileProblem};
use crate::examine::{FileReport, Status};
use crate::identity::Half;
use crate::{DataSet, Error, Images, Name, Origin, available_threads, parallel};
use cache::Decoded;
use listing::{Item, Listing};
use source::{Place, Source};

/// Height and width of an image.
pub const SIDE: usize = 64;
const IMAGE: usize = SIDE * SIDE * 3;
/// Classes of the whole set.
const CLASSES: usize = 200;
/// Images that a thread decodes at a time.
const BLOCK: usize = 32;
/// Damaged images that a check names one by one.
const MOST_NAMED: usize = 20;
/// Numbers of training and test images of the whole set.
const PUBLISHED: [usize; 2] = [100_000, 10_000];
const FOLDER: &str = "tiny-imagenet-200";
const ZIP: &str = "tiny-imagenet-200.zip";

/// The set where it was found, listed.
struct Found {
    place: Place,
    source: Source,
    listing: Listing,
    /// What to do if some of it turns out to be damaged.
    advice: String,
    /// Of an archive: the folder before it, and why that was not read.
    passed_over: Option<(PathBuf, FileError)>,
}

impl Found {
    /// A folder before an archive, but an archive before a folder that lacks something. `None` if there is neither.
    fn find(folders: &[PathBuf]) -> Option<Result<Self, FileError>> {
        let get = Name::TinyImagenet.advice(folders);
        let (folder, archive) = (Place::folder(folders), Place::archive(folders));
        let path = folder.as_ref().map(|place| place.path.clone()).unwrap_or_default();
        // A folder that holds other data too stays where it is.
        let what = if path.ends_with(FOLDER) {
            path.display().to_string()
        } else {
            format!("`train` and `val` in {}", path.display())
        };
        let move_away = match &archive {
            Some(archive) => format!("move {what} away, and {} is read instead", archive.path.display()),
            // It would be read again, whatever is fetched beside it.
            None => format!("move {what} away, and {get}"),
        };
        let open = |place: Place, advice: &str| -> Result<Self, FileError> {
            let source = Source::open(&place)?;
            let listing = Listing::new(&source)?;
            Ok(Self { place, source, listing, advice: advice.to_owned(), passed_over: None })
        };
        let opened = folder.map(|place| open(place, &move_away));
        Some(match (opened, archive) {
            (None, None) => return None,
            (Some(Ok(found)), _) => Ok(found),
            (None, Some(archive)) => open(archive, &get).map_err(|error: FileError| error.advise(&get)),
            (Some(Err(error)), None) => Err(error.advise(&move_away)),
            (Some(Err(error)), Some(archive)) => match open(archive, &get) {
                Ok(found) => Ok(Self { passed_over: Some((path, error)), ..found }),
                Err(packed) => {
                    let (archive, problem) = (packed.path.display(), &packed.problem);
                    Err(error.advise(&format!("{archive} is no help ({problem}): move both away, and {get}")))
                }
            },
        })
    }

    /// Why a folder was not read, though it is there.
    fn why_passed_over(&self) -> Option<(&PathBuf, String)> {
        let (folder, error) = self.passed_over.as_ref()?;
        let FileError { path, problem, .. } = error;
        Some((
            folder,
            format!("{}: {problem}; {} is read instead", path.display(), self.place.path.display()),
        ))
    }

    /// What a person should know of the images that were taken.
    fn note(&self) -> Option<String> {
        let unfinished =
            self.why_passed_over().map(|(folder, why)| format!("{} is not used: {why}", folder.display()));
        let notes: Vec<String> = unfinished.into_iter().chain(self.listing.left_out()).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// The MD5 of the archive, if it may be the published one: it has as many images.
    fn md5(&self) -> Option<String> {
        if self.counts() == PUBLISHED && self.place.zip { md5_of(&self.place.path).ok() } else { None }
    }

    /// Where the images come from, by their number and the MD5 of their archive.
    fn origin(&self, md5: Option<&str>) -> Origin {
        let found = self.counts();
        let verified = (found == PUBLISHED && md5 == Some(Name::TinyImagenet.files()[0].md5)).then_some(true);
        Origin::of(&Half::both(found, PUBLISHED, [verified; 2]))
    }

    /// Numbers of images of both halves.
    fn counts(&self) -> [usize; 2] {
        [self.listing.train.len(), self.listing.test.len()]
    }

    /// Of a folder, what it has, and a hint to an archive that has more: an extraction may have been broken off unnoticed.
    fn larger_archive(&self, folders: &[PathBuf]) -> Option<String> {
        let archive = Place::archive(folders).filter(|_| !self.place.zip)?;
        let packed = Listing::new(&Source::open(&archive).ok()?).ok()?;
        let images = |listing: &Listing| listing.train.len() + listing.test.len();
        let more = images(&packed) > images(&self.listing);
        more.then(|| format!("{}; {ZIP} has {packed}: {}", self.listing, self.advice))
    }

    /// The images as they were decoded before, or decoded now.
    fn decoded(&self, threads: usize) -> Result<Decoded, FileError> {
        let Listing { train, test, digest, .. } = &self.listing;
        let identity = cache::Identity { train: train.len(), test: test.len(), digest: *digest };
        let places = cache::places(&self.place.home, &identity);
        if let Some(decoded) = places.iter().find_map(|path| cache::read(path, &identity)) {
            return Ok(decoded);
        }
        let pixels = [decode_all(&self.source, train, threads)?, decode_all(&self.source, test, threads)?];
        let archive = self.md5().unwrap_or_else(|| cache::NO_ARCHIVE.to_owned());
        let decoded = Decoded { pixels, archive };
        // Where no place can be written to, the images are decoded again next time.
        let _ = places.iter().find(|path| cache::write(path, &identity, &decoded).is_ok());
        Ok(decoded)
    }
}

/// Loads Tiny ImageNet; see [`crate::load`]. Mean and standard deviation are those of the released Hare & Tortoise code.
pub(crate) fn load(folders: &[PathBuf], threads: usize) -> Result<DataSet, Error> {
    let Some(found) = Found::find(folders) else {
        return Err(Error::Missing {
            name: Name::TinyImagenet,
            missing: vec![FOLDER],
            forms: format!("looked for as a folder, as its content without it, and as {ZIP}").into(),
            looked_in: folders.to_vec(),
            not_read: Name::not_read(folders).into(),
            advice: Name::TinyImagenet.advice(folders),
        });
    };
    let found = found?;
    let decoded = found.decoded(threads).map_err(|error| error.advise(&found.advice))?;
    let origin = found.origin(Some(&decoded.archive));
    let larger = matches!(origin, Origin::Part(_)).then(|| found.larger_archive(folders)).flatten();
    let larger = larger.map(|hint| format!("{} has {hint}", found.place.path.display()));
    let note = larger.or_else(|| found.note());
    let Listing { classes, train, test, .. } = found.listing;
    let half = |half: &str, items: &[Item], pixels| Images {
        name: format!("{} {half}", Name::TinyImagenet),
        height: SIDE,
        width: SIDE,
        channels: 3,
        classes: classes.len(),
        pixels: Arc::new(pixels),
        labels: items.iter().map(|item| item.label).collect(),
    };
    let [train_pixels, test_pixels] = decoded.pixels;
    let (train, test) = (half("train", &train, train_pixels), half("test", &test, test_pixels));
    let set = DataSet::new(train, test, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
    Ok(DataSet { origin, note, ..set })
}

/// The pixels of all items, `[len, 64, 64, 3]`.
fn decode_all(source: &Source, items: &[Item], threads: usize) -> Result<Vec<u8>, FileError> {
    let mut pixels = Vec::new();
    let bytes = items.len() * IMAGE;
    pixels.try_reserve_exact(bytes).map_err(|_| {
        FileError::new(&source.path(), 0, FileProblem::reading(std::io::ErrorKind::OutOfMemory.into()))
    })?;
    pixels.resize(bytes, 0);
    let blocks = pixels.chunks_mut(BLOCK * IMAGE).zip(items.chunks(BLOCK));
    parallel::try_for_each(blocks, threads, |(pixels, items)| {
        items
            .iter()
            .zip(pixels.chunks_mut(IMAGE))
            .try_for_each(|(item, pixels)| decode_one(source, item, pixels))
    })?;
    Ok(pixels)
}

fn decode_one(source: &Source, item: &Item, pixels: &mut [u8]) -> Result<(), FileError> {
    let bytes = source.read(&item.entry)?;
    decode::decode(&bytes, pixels)
        .map_err(|(byte, problem)| FileError::new(&source.path_of(&item.entry.name), byte, problem))
}

/// Looks at the archive, or decodes every image of the folder.
pub(crate) fn check(folders: &[PathBuf]) -> Vec<FileReport> {
    let file = Name::TinyImagenet.files()[0];
    let Some(found) = Found::find(folders) else {
        return vec![FileReport { file: file.name.to_owned(), path: None, status: Status::Missing }];
    };
    let report = |path: PathBuf, status: Status| FileReport {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: Some(path),
        status,
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![report(error.path.clone(), Status::Damaged(error))],
    };
    let unused = found.why_passed_over().map(|(folder, why)| report(folder.clone(), Status::Unused { why }));
    let mut reports: Vec<FileReport> = unused.into_iter().collect();
    let origin = found.origin(found.md5().as_deref());
    if origin == Origin::Published {
        reports.push(report(found.place.path, Status::Ok));
        return reports;
    }
    let Found { place, source, listing, advice, .. } = &found;
    let damage = |error: FileError| report(error.path.clone(), Status::Damaged(error.advise(advice)));
    let items: Vec<&Item> = listing.train.iter().chain(&listing.test).collect();
    let damaged = Mutex::new(Vec::new());
    parallel::for_each(items.chunks(BLOCK).enumerate(), available_threads(), |(block, items)| {
        for (index, item) in items.iter().enumerate() {
            if let Err(error) = decode_one(source, item, &mut [0; IMAGE]) {
                let mut damaged = damaged.lock().unwrap_or_else(PoisonError::into_inner);
                damaged.push((block * BLOCK + index, error));
            }
        }
    });
    let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
    if damaged.is_empty() {
        let status = match origin {
            Origin::Part(_) => {
                Status::Part { what: found.larger_archive(folders).unwrap_or_else(|| listing.to_string()) }
            }
            Origin::Other(why) => Status::Other { why },
            _ => Status::Unpacked,
        };
        reports.push(report(place.path.clone(), status));
        return reports;
    }
    damaged.sort_by_key(|(index, _)| *index);
    let more = damaged.len().saturating_sub(MOST_NAMED);
    let named = damaged.into_iter().take(MOST_NAMED).map(|(_, error)| error);
    reports.extend(named.map(damage));
    if more > 0 {
        let found = format!("{more} more that are damaged");
        let error = FileError::format(&place.path, 0, "images that can be decoded", found);
        reports.push(damage(error));
    }
    reports
}

#[cfg(test)]
mod tests;
