//! The numbers of the paper's tables 4 to 7, as fractions (Lee and others 2024, arXiv 2406.02596, appendix B).
//!
//! Tables 4 and 5 have final train and test accuracy of a plain warm start for 36 pairs of subset ratio and label noise;
//! tables 6 and 7 those of twelve methods at subset ratio 0.1 and label noise 0.5. The figures' numbers are not published.

mod grids;
mod methods;

pub(crate) use grids::{NOISE, RATIOS};
pub(crate) use methods::COLUMNS;

/// A number of the paper, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) mean: f64,
    /// What stands behind the sign ±, where there is one; the paper does not say which deviation it is.
    pub(crate) spread: Option<f64>,
}

/// Which accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accuracy {
    Train,
    Test,
}

/// The number in table 4 or 5 for a plain warm start; `None` if the paper has none.
pub(crate) fn warm_start(
    accuracy: Accuracy,
    set: &str,
    model: &str,
    ratio: f64,
    noise: f64,
) -> Option<Number> {
    let (train, test) = match (set, model) {
        ("mnist", "mlp") => (&grids::TRAIN_MNIST, &grids::TEST_MNIST),
        ("cifar10", "resnet18") => (&grids::TRAIN_CIFAR10, &grids::TEST_CIFAR10),
        ("cifar100", "vit-tiny") => (&grids::TRAIN_CIFAR100, &grids::TEST_CIFAR100),
        ("tiny-imagenet", "vgg16") => (&grids::TRAIN_TINY_IMAGENET, &grids::TEST_TINY_IMAGENET),
        _ => return None,
    };
    let at = |values: [f64; 6], value: f64| values.iter().position(|&listed| (listed - value).abs() < 1e-9);
    let (row, column) = (at(RATIOS, ratio)?, at(NOISE, noise)?);
    let (mean, spread) = if accuracy == Accuracy::Train { train } else { test }[row][column];
    Some(Number { mean, spread: Some(spread) })
}

/// The number in table 6 or 7 for a method, by the name of its column; `None` if the paper has none.
pub(crate) fn method(accuracy: Accuracy, set: &str, model: &str, column: &str) -> Option<Number> {
    let rows = if accuracy == Accuracy::Train { &methods::TRAIN } else { &methods::TEST };
    let row = rows.iter().find(|row| (row.0, row.1) == (set, model))?;
    let column = COLUMNS.iter().position(|&name| name == column)?;
    Some(Number { mean: row.2[column], spread: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells picked by hand from the paper's text.
    #[test]
    fn numbers_lie_where_the_paper_has_them() {
        let grid = |accuracy, set, model, ratio, noise| {
            warm_start(accuracy, set, model, ratio, noise).map(|number| (number.mean, number.spread))
        };
        assert_eq!(grid(Accuracy::Test, "cifar10", "resnet18", 0.1, 0.2), Some((0.71, Some(0.0123))));
        assert_eq!(grid(Accuracy::Test, "cifar100", "vit-tiny", 1.0, 0.5), Some((0.40, Some(0.0376))));
        assert_eq!(grid(Accuracy::Train, "tiny-imagenet", "vgg16", 0.4, 0.1), Some((0.99, Some(0.0002))));
        assert_eq!(grid(Accuracy::Train, "cifar100", "vit-tiny", 0.8, 0.5), Some((0.91, Some(0.0051))));
        assert_eq!(grid(Accuracy::Test, "tiny-imagenet", "vgg16", 0.2, 0.0), Some((0.24, Some(0.0008))));
        assert_eq!(grid(Accuracy::Test, "cifar10", "vgg16", 0.1, 0.5), None);
        assert_eq!(grid(Accuracy::Test, "cifar10", "resnet18", 0.3, 0.5), None);
        for (row, ratio) in RATIOS.iter().enumerate() {
            for (column, noise) in NOISE.iter().enumerate() {
                let mnist = |accuracy| warm_start(accuracy, "mnist", "mlp", *ratio, *noise).map(|n| n.mean);
                let test = if column == 0 { 0.98 } else { 0.97 };
                assert_eq!(
                    (mnist(Accuracy::Train), mnist(Accuracy::Test)),
                    (Some(1.0), Some(test)),
                    "{row} {column}"
                );
            }
        }

        let table = |accuracy, set, model, name| method(accuracy, set, model, name).map(|number| number.mean);
        assert_eq!(table(Accuracy::Test, "cifar10", "resnet18", "WS"), Some(0.704));
        assert_eq!(table(Accuracy::Test, "cifar100", "vit-tiny", "SnP+L2+Aug"), Some(0.536));
        assert_eq!(table(Accuracy::Test, "tiny-imagenet", "vgg16", "HR"), Some(0.177));
        assert_eq!(table(Accuracy::Train, "tiny-imagenet", "vgg16", "L2"), Some(0.925));
        assert_eq!(table(Accuracy::Train, "cifar100", "vit-tiny", "w/o WS+Aug"), Some(0.852));
        assert_eq!(table(Accuracy::Test, "cifar10", "resnet18", "H&T"), None);
        assert_eq!(table(Accuracy::Test, "mnist", "mlp", "WS"), None);
    }
}
