//! Tiny ImageNet (Stanford CS231N, 2015): 64x64 colour images of up to 200 classes of ImageNet.
//!
//! It is read from the folder `tiny-imagenet-200`, from its content without that folder, or straight from
//! `tiny-imagenet-200.zip`: `train/CLASS/images/*.JPEG`, and as test images those of `val/images` that
//! `val/val_annotations.txt` gives a class. The classes are the folders of `train` that have images, sorted by name, so
//! that a part of the set can be used; test images of other classes are left out. Training images come class by class
//! in turn, the first of each class, then the second of each; test images in the order of the annotations. Grey images
//! become RGB with three equal channels.
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

use crate::check::{FileReport, Status, md5_of};
use crate::error::FileError;
use crate::{DataSet, Error, Images, Name, available_threads, parallel};
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
const FOLDER: &str = "tiny-imagenet-200";
const ZIP: &str = "tiny-imagenet-200.zip";

/// Loads Tiny ImageNet; see [`crate::load`]. Mean and standard deviation are those of the released Hare & Tortoise code.
pub(crate) fn load(folders: &[PathBuf], threads: usize) -> Result<DataSet, Error> {
    let Some(place) = Place::find(folders) else {
        return Err(Error::Missing {
            name: Name::TinyImagenet.as_str(),
            missing: vec![FOLDER],
            forms: format!("looked for as a folder, as its content without it, and as {ZIP}"),
            looked_in: folders.to_vec(),
            advice: Name::TinyImagenet.advice(folders),
        });
    };
    Ok(load_from(&place, threads).map_err(|error| error.advise(&Name::TinyImagenet.advice(folders)))?)
}

fn load_from(place: &Place, threads: usize) -> Result<DataSet, FileError> {
    let source = Source::open(place)?;
    let Listing { classes, train, test, digest } = Listing::new(&source)?;
    let identity = cache::Identity { train: train.len(), test: test.len(), digest };
    let places = cache::places(&place.home, &identity);
    let [train_pixels, test_pixels] = match places.iter().find_map(|path| cache::read(path, &identity)) {
        Some(pixels) => pixels,
        None => {
            let pixels = [decode_all(&source, &train, threads)?, decode_all(&source, &test, threads)?];
            // Where no place can be written to, the images are decoded again next time.
            let _ = places.iter().find(|path| cache::write(path, &identity, &pixels).is_ok());
            pixels
        }
    };
    let half = |half: &str, items: &[Item], pixels| Images {
        name: format!("{} {half}", Name::TinyImagenet),
        height: SIDE,
        width: SIDE,
        channels: 3,
        classes: classes.len(),
        pixels: Arc::new(pixels),
        labels: items.iter().map(|item| item.label).collect(),
    };
    let (train, test) = (half("train", &train, train_pixels), half("test", &test, test_pixels));
    Ok(DataSet::new(train, test, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]))
}

/// The pixels of all items, `[len, 64, 64, 3]`.
fn decode_all(source: &Source, items: &[Item], threads: usize) -> Result<Vec<u8>, FileError> {
    let mut pixels = vec![0; items.len() * IMAGE];
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
    let Some(place) = Place::find(folders) else {
        return vec![FileReport { file: file.name.to_owned(), path: None, status: Status::Missing }];
    };
    let report = |path: PathBuf, status: Status| FileReport {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: Some(path),
        status: status.advise(&Name::TinyImagenet.advice(folders)),
    };
    if place.zip && md5_of(&place.path).is_ok_and(|md5| md5 == file.md5) {
        return vec![report(place.path, Status::Ok)];
    }
    let listed = Source::open(&place).and_then(|source| Ok((Listing::new(&source)?, source)));
    let (listing, source) = match listed {
        Ok(listed) => listed,
        Err(error) => return vec![report(error.path.clone(), Status::Damaged(error))],
    };
    let items: Vec<&Item> = listing.train.iter().chain(&listing.test).collect();
    let damaged = Mutex::new(Vec::new());
    parallel::for_each(items.chunks(BLOCK).enumerate(), available_threads(), |(block, items)| {
        for (index, item) in items.iter().enumerate() {
            if let Err(error) = decode_one(&source, item, &mut [0; IMAGE]) {
                let mut damaged = damaged.lock().unwrap_or_else(PoisonError::into_inner);
                damaged.push((block * BLOCK + index, error));
            }
        }
    });
    let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
    if damaged.is_empty() {
        let whole = listing.classes.len() == CLASSES
            && listing.train.len() == 100_000
            && listing.test.len() == 10_000;
        let status = if whole { Status::Unpacked } else { Status::Part { what: listing.to_string() } };
        return vec![report(place.path, status)];
    }
    damaged.sort_by_key(|(index, _)| *index);
    let more = damaged.len().saturating_sub(MOST_NAMED);
    let named = damaged.into_iter().take(MOST_NAMED).map(|(_, error)| error);
    let mut reports: Vec<_> = named.map(|error| report(error.path.clone(), Status::Damaged(error))).collect();
    if more > 0 {
        let found = format!("{more} more that are damaged");
        let error = FileError::format(&place.path, 0, "images that can be decoded", found);
        reports.push(report(place.path, Status::Damaged(error)));
    }
    reports
}

#[cfg(test)]
mod tests;
