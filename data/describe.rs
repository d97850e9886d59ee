//! The list of data sets, for people.

use crate::{LoadOptions, Name, scenes, strokes};

/// What a person wants to know about a data set before using it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: Name,
    /// What it shows, in a few words.
    pub content: &'static str,
    /// Shape of an image: height, width, channels.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Number of training images; of a built-in set, by default.
    pub train: usize,
    /// Number of test images; of a built-in set, by default.
    pub test: usize,
    /// Who made it, and where it is downloaded from.
    pub source: String,
    /// What is known about its licence.
    pub licence: &'static str,
    /// Number of files; 0 if it is built in.
    pub files: usize,
    /// Bytes to download.
    pub bytes: u64,
}

/// All data sets, built-in and published.
pub fn list() -> Vec<Description> {
    Name::ALL.into_iter().map(describe).collect()
}

fn describe(name: Name) -> Description {
    let options = LoadOptions::default();
    let (content, authors, licence) = match name {
        Name::Mnist => (
            "handwritten digits",
            "LeCun, Cortes, Burges 1998",
            "none stated by the authors; often passed on under CC BY-SA 3.0",
        ),
        Name::FashionMnist => ("articles of clothing", "Xiao, Rasul, Vollgraf 2017 (Zalando)", "MIT"),
        Name::Cifar10 => ("photographs of animals and vehicles", "Krizhevsky 2009", "none stated"),
        Name::Cifar100 => {
            ("photographs of animals, plants, people and things", "Krizhevsky 2009", "none stated")
        }
        Name::Svhn => (
            "digits of house numbers in the street",
            "Netzer, Wang, Coates, Bissacco, Wu, Ng 2011",
            "for non-commercial use",
        ),
        Name::TinyImagenet => (
            "photographs, a part of ImageNet made small",
            "Stanford CS231N 2015; ImageNet: Deng and others 2009",
            "for non-commercial research and teaching",
        ),
        Name::Strokes => ("digits of a few strokes among clutter", "", "that of this program"),
        Name::Scenes => ("textured shapes in colour among clutter", "", "that of this program"),
    };
    let (side, channels, classes) = match name {
        Name::Mnist | Name::FashionMnist => (28, 1, 10),
        Name::Cifar10 | Name::Svhn => (32, 3, 10),
        Name::Cifar100 => (32, 3, 100),
        Name::TinyImagenet => (64, 3, 200),
        Name::Strokes => (strokes::SIDE, 1, strokes::CLASSES),
        Name::Scenes => (scenes::SIDES[0], 3, scenes::CLASSES),
    };
    let (train, test) = match name {
        Name::Mnist | Name::FashionMnist => (60_000, 10_000),
        Name::Cifar10 | Name::Cifar100 => (50_000, 10_000),
        Name::Svhn => (73_257, 26_032),
        Name::TinyImagenet => (100_000, 10_000),
        Name::Strokes | Name::Scenes => (options.train, options.test),
    };
    let source = if name.is_built_in() {
        "built in, drawn from a seed".to_owned()
    } else {
        format!("{authors}; {}", name.mirrors().join(", "))
    };
    let files = name.files();
    Description {
        name,
        content,
        shape: [side, side, channels],
        classes,
        train,
        test,
        source,
        licence,
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    }
}
