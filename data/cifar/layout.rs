//! The two ways in which CIFAR is published, and where one of them lies.

use std::path::{Path, PathBuf};

use crate::catalogue::{self, Name, PublishedFile, entry, is_there};

/// How the images and labels of a file are arranged.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Records with this many label bytes, of which the last counts.
    Binary { label_bytes: usize },
    /// A pickle with the labels under this key.
    Python { labels: &'static str },
}

/// One of the two ways a set is published.
pub(super) struct Layout {
    pub(super) form: Form,
    pub(super) archive: PublishedFile,
    /// The folder in the archive.
    pub(super) folder: &'static str,
    pub(super) train: &'static [&'static str],
    pub(super) test: &'static str,
    /// The md5 of each of the files, where it is known.
    pub(super) batches: &'static [&'static str],
}

pub(super) const CIFAR10: [Layout; 2] = [
    Layout {
        form: Form::Binary { label_bytes: 1 },
        archive: catalogue::CIFAR10_BINARY,
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        batches: &[],
    },
    Layout {
        form: Form::Python { labels: "labels" },
        archive: catalogue::CIFAR10_PYTHON,
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        batches: &catalogue::CIFAR10_BATCHES,
    },
];

pub(super) const CIFAR100: [Layout; 2] = [
    Layout {
        form: Form::Binary { label_bytes: 2 },
        archive: catalogue::CIFAR100_BINARY,
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        batches: &[],
    },
    Layout {
        form: Form::Python { labels: "fine_labels" },
        archive: catalogue::CIFAR100_PYTHON,
        folder: "cifar-100-python",
        train: &["train"],
        test: "test",
        batches: &catalogue::CIFAR100_BATCHES,
    },
];

impl Layout {
    pub(super) fn files(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test])
    }

    /// Number of images in a published file.
    pub(super) fn published(&self, file: &str) -> usize {
        if file == self.test { 10_000 } else { 50_000 / self.train.len() }
    }
}

pub(super) fn layouts(name: Name) -> (&'static [Layout; 2], usize) {
    if name == Name::Cifar100 { (&CIFAR100, 100) } else { (&CIFAR10, 10) }
}

/// Where a set was found: the folder of its files, or its archive.
pub(super) struct Location {
    pub(super) layout: &'static Layout,
    pub(super) path: PathBuf,
    /// Of a folder: the archive beside it. Of an archive: `None`.
    pub(super) archive: Option<PathBuf>,
    pub(super) packed: bool,
    /// Before an archive: a folder that lacks files, as an extraction leaves it that was broken off.
    pub(super) passed_over: Option<Unfinished>,
}

/// A folder with some of the files.
pub(super) struct Unfinished {
    layout: &'static Layout,
    pub(super) path: PathBuf,
}

impl Layout {
    /// The files that `folder` lacks.
    fn missing(&self, folder: &Path) -> Vec<&'static str> {
        self.files().filter(|file| !is_there(&entry(folder, file))).collect()
    }
}

impl Unfinished {
    /// Which files are missing, and what is read instead.
    pub(super) fn why(&self, archive: &Path) -> String {
        let missing = self.layout.missing(&self.path).join(", ");
        format!("without {missing}; {} is read instead", archive.display())
    }
}

impl Location {
    /// The files that it lacks.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        if self.packed { Vec::new() } else { self.layout.missing(&self.path) }
    }

    /// What to do when one of its files is damaged. An archive is read where the folder is no longer whole.
    pub(super) fn advice(&self, name: Name, folders: &[PathBuf]) -> String {
        let fetch = name.advice(folders);
        match &self.archive {
            Some(archive) => format!("move it away, and {} is read instead", archive.display()),
            None if self.packed => fetch,
            None => format!("move it away, and {fetch}"),
        }
    }

    /// What a person should know of why this place was taken; `part` is whether images are missing in it.
    pub(super) fn note(&self, part: bool) -> Option<String> {
        if let Some(unfinished) = &self.passed_over {
            return Some(format!("{} is {}", unfinished.path.display(), unfinished.why(&self.path)));
        }
        let archive = self.archive.as_ref().filter(|_| part)?;
        let path = self.path.display();
        Some(format!("read from {path}; without its files, {} would be read", archive.display()))
    }
}

/// A whole folder before an archive, an archive before a folder that an extraction left unfinished.
pub(super) fn locate(name: Name, folders: &[PathBuf]) -> Option<Location> {
    let (layouts, _) = layouts(name);
    let (mut whole, mut archive, mut unfinished) = (None, None, None);
    for (folder, layout) in
        folders.iter().flat_map(|folder| layouts.iter().map(move |layout| (folder, layout)))
    {
        let inner = entry(folder, layout.archive.name.trim_end_matches(".tar.gz"));
        let named = entry(folder, layout.folder);
        for path in [entry(&named, layout.folder), named, folder.clone(), entry(&inner, layout.folder), inner]
        {
            let missing = layout.missing(&path).len();
            if missing == 0 {
                whole = whole.or(Some((layout, path)));
            } else if missing < layout.files().count() {
                unfinished = unfinished.or(Some(Unfinished { layout, path }));
            }
        }
        for name in [layout.archive.name, layout.archive.unpacked_name()] {
            let path = entry(folder, name);
            if is_there(&path) {
                archive = archive.or(Some((layout, path)));
            }
        }
    }
    let folder = |layout, path, archive| Location { layout, path, archive, packed: false, passed_over: None };
    match (whole, archive, unfinished) {
        (Some((layout, path)), archive, _) => Some(folder(layout, path, archive.map(|(_, path)| path))),
        (None, Some((layout, path)), passed_over) => {
            Some(Location { layout, path, archive: None, packed: true, passed_over })
        }
        (None, None, unfinished) => unfinished.map(|Unfinished { layout, path }| folder(layout, path, None)),
    }
}

/// Folders of other names below `folders` that hold all files of a set. They may hold anything, so that they are named, and
/// read only where a person names them.
pub(crate) fn elsewhere(name: Name, folders: &[PathBuf]) -> Vec<PathBuf> {
    let entries = folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    let holds = |path: &Path, layout: &Layout| {
        [path.to_path_buf(), entry(path, layout.folder)].iter().any(|path| layout.missing(path).is_empty())
    };
    found.retain(|path| layouts(name).0.iter().any(|layout| holds(path, layout)));
    found.sort();
    found.dedup();
    found
}
