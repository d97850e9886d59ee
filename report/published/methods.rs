//! Tables 6 and 7: final train and test accuracy of twelve methods, after a first phase on a tenth of the images with half
//! of the labels wrong.

/// The columns in the paper's order.
pub(crate) const COLUMNS: [&str; 12] = [
    "WS",
    "w/o WS",
    "w/o WS+Aug",
    "L2",
    "Aug",
    "Spectral",
    "Regen",
    "ReDo",
    "CReLU",
    "HR",
    "SnP",
    "SnP+L2+Aug",
];

/// Data set, model, and a number per column.
pub(super) type Row = (&'static str, &'static str, [f64; 12]);

/// Table 6.
#[rustfmt::skip]
pub(super) const TRAIN: [Row; 3] = [
    ("cifar10", "resnet18",
        [0.998, 0.998, 0.994, 0.990, 0.993, 0.997, 0.996, 0.998, 0.997, 0.997, 0.997, 0.994]),
    ("cifar100", "vit-tiny",
        [0.907, 0.912, 0.852, 0.865, 0.867, 0.913, 0.906, 0.908, 0.890, 0.911, 0.915, 0.872]),
    ("tiny-imagenet", "vgg16",
        [0.972, 0.984, 0.974, 0.925, 0.963, 0.997, 0.979, 0.972, 0.964, 0.979, 0.981, 0.970]),
];

/// Table 7.
#[rustfmt::skip]
pub(super) const TEST: [Row; 3] = [
    ("cifar10", "resnet18",
        [0.704, 0.835, 0.924, 0.735, 0.840, 0.705, 0.701, 0.682, 0.678, 0.693, 0.771, 0.910]),
    ("cifar100", "vit-tiny",
        [0.442, 0.500, 0.555, 0.457, 0.511, 0.444, 0.447, 0.445, 0.440, 0.445, 0.467, 0.536]),
    ("tiny-imagenet", "vgg16",
        [0.115, 0.439, 0.463, 0.221, 0.227, 0.118, 0.127, 0.118, 0.118, 0.177, 0.229, 0.376]),
];
