//! The gradient rules of operations on images against central differences on the CPU device.

mod common;

use common::differences::check;
use common::network::{Forward, Network, batch_norm, bias, filters, weight};
use engine::{Activation, Graph, Parameters, Result, Tensor};

const CLASSES: usize = 4;

/// An operation on `[N, H, W, C]`.
type Op = Box<dyn Fn(&mut Graph<'_>, Tensor) -> Result<Tensor>>;

/// `op` on images `[N, H, W, C]` that a linear layer makes, so that they depend on parameters; its output of `features`
/// elements per image goes through a linear layer to the loss.
fn around(
    seed: u32,
    images: [usize; 4],
    features: usize,
    register: impl FnOnce(&mut Parameters) -> Op,
) -> Network {
    let mut parameters = Parameters::new();
    let [batch, height, width, channels] = images;
    let first = weight(&mut parameters, "first", [height * width * channels, 2]);
    let op = register(&mut parameters);
    let last = weight(&mut parameters, "last", [CLASSES, features]);
    let forward: Forward = Box::new(move |graph, x| {
        let x = graph.linear(x, first, None, Activation::None)?;
        let x = graph.reshape(x, &images)?;
        let y = op(graph, x)?;
        let y = graph.reshape(y, &[batch, features])?;
        graph.linear(y, last, None, Activation::None)
    });
    Network::new(parameters, [batch, 2], CLASSES, seed, forward)
}

#[test]
fn conv2d_of_every_size_and_stride() {
    // Images, output channels, filter, stride, padding, elements of an output image.
    for (seed, images, outputs, kernel, stride, padding, features) in [
        (1, [3, 5, 4, 2], 3, 3, 1, 1, 60),
        (2, [3, 5, 6, 2], 3, 3, 2, 1, 27),
        (3, [2, 5, 4, 3], 2, 3, 1, 0, 12),
        (4, [3, 3, 4, 3], 4, 1, 1, 0, 48),
        (5, [3, 5, 4, 3], 4, 1, 2, 0, 24),
        (6, [2, 6, 5, 2], 2, 5, 1, 2, 60),
        (7, [2, 7, 8, 1], 3, 5, 2, 0, 12),
        (8, [3, 4, 5, 1], 2, 2, 1, 1, 60),
        (9, [5, 1, 1, 4], 3, 3, 1, 1, 3),
    ] {
        for winograd in [true, false] {
            let network = around(seed, images, features, |parameters| {
                let w = filters(parameters, "op", [outputs, images[3], kernel]);
                // A bias with every second shape.
                let b = (seed % 2 == 0).then(|| bias(parameters, "op", outputs));
                Box::new(move |graph, x| {
                    graph.set_winograd(winograd);
                    graph.conv2d(x, w, b, stride, padding)
                })
            });
            let what = format!("conv2d {images:?} -> {outputs}, {kernel}x{kernel} s{stride} p{padding}");
            check(&format!("{what}, winograd {winograd}"), &network);
        }
    }
}

#[test]
fn conv2d_whose_filters_are_used_twice() {
    let network = around(10, [3, 4, 3, 2], 24, |parameters| {
        let (w, b) = (filters(parameters, "op", [2, 2, 3]), bias(parameters, "op", 2));
        Box::new(move |graph, x| {
            let y = graph.conv2d(x, w, Some(b), 1, 1)?;
            graph.conv2d(y, w, Some(b), 1, 1)
        })
    });
    check("conv2d used twice", &network);
}

#[test]
fn max_pool_with_and_without_overlap() {
    // Images, window, stride, padding, elements of an output image.
    for (seed, images, kernel, stride, padding, features) in [
        (11, [3, 4, 6, 3], 2, 2, 0, 18),
        (12, [3, 5, 5, 2], 2, 2, 0, 8),
        (13, [2, 5, 6, 2], 3, 2, 1, 18),
        (14, [2, 4, 4, 5], 3, 1, 0, 20),
    ] {
        let network = around(seed, images, features, |_| {
            Box::new(move |graph, x| graph.max_pool(x, kernel, stride, padding))
        });
        check(&format!("max_pool {images:?}, {kernel}x{kernel} s{stride} p{padding}"), &network);
    }
}

#[test]
fn average_pool_of_windows_and_of_whole_images() {
    for (seed, images, kernel, stride, padding, features) in
        [(15, [3, 4, 6, 3], 2, 2, 0, 18), (16, [2, 5, 6, 2], 3, 2, 1, 18)]
    {
        let network = around(seed, images, features, |_| {
            Box::new(move |graph, x| graph.average_pool(x, kernel, stride, padding))
        });
        check(&format!("average_pool {images:?}, {kernel}x{kernel} s{stride} p{padding}"), &network);
    }
    let network = around(17, [3, 5, 5, 4], 4, |_| Box::new(|graph, x| graph.global_average_pool(x)));
    check("global_average_pool", &network);
}

#[test]
fn crelu_of_rows_and_of_images() {
    let network = around(18, [5, 1, 1, 6], 12, |_| {
        Box::new(|graph, x| {
            let x = graph.reshape(x, &[5, 6])?;
            graph.crelu(x)
        })
    });
    check("crelu [N, C]", &network);
    check("crelu [N, H, W, C]", &around(19, [3, 2, 3, 3], 36, |_| Box::new(|graph, x| graph.crelu(x))));
}

#[test]
fn a_small_residual_network() {
    let network = around(20, [4, 4, 4, 3], 4, |parameters| {
        let stem = filters(parameters, "stem", [4, 3, 3]);
        let norms = [1, 2, 3, 4].map(|k| batch_norm(parameters, &format!("bn{k}"), 4));
        let convs = [1, 2].map(|k| filters(parameters, &format!("conv{k}"), [4, 4, 3]));
        let downsample = filters(parameters, "downsample", [4, 4, 1]);
        Box::new(move |graph, x| {
            let z = graph.conv2d(x, stem, None, 1, 1)?;
            let x = graph.batch_norm(z, &norms[0], true, None)?;
            let z = graph.conv2d(x, downsample, None, 2, 0)?;
            let shortcut = graph.batch_norm(z, &norms[1], false, None)?;
            let z = graph.conv2d(x, convs[0], None, 2, 1)?;
            let y = graph.batch_norm(z, &norms[2], true, None)?;
            let z = graph.conv2d(y, convs[1], None, 1, 1)?;
            let x = graph.batch_norm(z, &norms[3], true, Some(shortcut))?;
            graph.global_average_pool(x)
        })
    });
    check("a residual network", &network);
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_them() {
    let mut parameters = Parameters::new();
    let w = filters(&mut parameters, "conv", [4, 3, 5]);
    let plain = weight(&mut parameters, "fc", [4, 3]);
    let mut graph = Graph::training(&parameters);
    let image = graph.input("x", &[2, 4, 6, 3]);
    let rows = graph.input("rows", &[2, 3]);
    let message = |outcome: Result<Tensor>| outcome.unwrap_err().to_string();
    for (message, word) in [
        (message(graph.conv2d(rows, w, None, 1, 0)), "[N, H, W, C]"),
        (message(graph.conv2d(image, plain, None, 1, 0)), "[O, C, K, K]"),
        (message(graph.conv2d(image, w, None, 1, 0)), "5x5"),
        (message(graph.conv2d(image, w, None, 0, 2)), "stride 0"),
        (message(graph.conv2d(image, w, None, 1, 5)), "padding 5"),
        (message(graph.max_pool(rows, 2, 2, 0)), "[N, H, W, C]"),
        (message(graph.max_pool(image, 5, 1, 0)), "5x5"),
        (message(graph.max_pool(image, 2, 1, 2)), "padding 2"),
        (message(graph.average_pool(image, 0, 1, 0)), "0x0"),
        (message(graph.global_average_pool(image)), "not square"),
        (message(graph.global_average_pool(rows)), "[N, H, W, C]"),
    ] {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}
