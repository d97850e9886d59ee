use std::collections::HashSet;

use super::*;

fn digest(images: &Images) -> String {
    use md5::Digest;
    let mut hash = md5::Md5::new();
    hash.update(images.pixels.as_slice());
    images.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
    crate::checksum::digits(&hash.finalize())
}

fn train(count: usize, seed: u64, side: usize, threads: usize) -> Images {
    draw(Purpose::ScenesTrain, "train", count, seed, &Difficulty::STANDARD, side, threads)
}

#[test]
fn bytes_are_pinned() {
    // If this fails, the set called `scenes` has changed and results on it cannot be compared with older ones.
    let options = LoadOptions { seed: 0, train: 500, test: 100, ..LoadOptions::default() };
    let set = load(&options).unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.train.image_len()), (500, 100, 32 * 32 * 3));
    assert_eq!(digest(&set.train), "a822462c97bf50529d1bf08cf846d708");
    assert_eq!(digest(&set.test), "96617abeb0fec6dfe107d7c657c6d394");
    let small = load(&LoadOptions { side: Some(16), ..options }).unwrap();
    assert_eq!((small.train.height, small.train.width), (16, 16));
    assert_eq!(small.train.labels, set.train.labels);
}

#[test]
fn neither_threads_nor_the_size_of_the_set_matter() {
    for side in SIDES {
        let reference = train(100, 1, side, 1);
        assert_eq!(train(100, 1, side, 3), reference);
        let short = train(33, 1, side, 2);
        assert_eq!(*short.pixels, reference.pixels[..33 * side * side * 3]);
    }
}

#[test]
fn seeds_and_halves_differ() {
    let test = draw(Purpose::ScenesTest, "test", 100, 1, &Difficulty::STANDARD, 16, 1);
    let all = [train(100, 1, 16, 1), train(100, 2, 16, 1), test];
    let distinct: HashSet<&[u8]> = all.iter().flat_map(|images| images.pixels.chunks(768)).collect();
    assert_eq!(distinct.len(), 300);
}

#[test]
fn classes_are_balanced_and_have_no_colour_of_their_own() {
    let images = train(5000, 3, 16, 2);
    let mut sums = [[0.0; 4]; CLASSES];
    for (index, &label) in images.labels.iter().enumerate() {
        let sum = &mut sums[label as usize];
        sum[3] += 1.0;
        for (i, &byte) in images.image(index).iter().enumerate() {
            sum[i % 3] += f64::from(byte) / 256.0;
        }
    }
    for [red, green, blue, count] in sums {
        // The standard deviation of a count is 21, that of a class's mean colour about 1.5.
        assert!((count - 500.0).abs() < 110.0, "{count}");
        for channel in [red, green, blue] {
            assert!((channel / count - 127.0).abs() < 9.0, "{}", channel / count);
        }
    }
}

#[test]
fn shapes_fill_their_box_and_differ() {
    let grid = |shape: shapes::Shape| -> Vec<bool> {
        let at = |i: usize| (i as f32 + 0.5) / 16.0 - 1.0;
        (0..1024).map(|i| shape(at(i % 32), at(i / 32))).collect()
    };
    let all = shapes::SHAPES.map(grid);
    for (index, shape) in all.iter().enumerate() {
        let inside = shape.iter().filter(|&&inside| inside).count();
        assert!((256..800).contains(&inside), "shape {index}: {inside}");
        let wide = |i: usize| (0..1024).filter(|j| [j % 32, j / 32][i] < 6).any(|j| shape[j]);
        assert!(wide(0) && wide(1), "shape {index} does not reach its box");
        for other in &all[..index] {
            let differing = shape.iter().zip(other).filter(|(a, b)| a != b).count();
            assert!(differing > 100, "shape {index} resembles another");
        }
    }
}

#[test]
fn unusable_sizes_are_refused() {
    let default = LoadOptions::default();
    let error = load(&LoadOptions { side: Some(20), ..default }).unwrap_err();
    assert_eq!(error.to_string(), "side = 20: scenes can be drawn with 32 x 32 or 16 x 16");
    let error = load(&LoadOptions { test: 0, ..default }).unwrap_err();
    assert!(matches!(error, Error::Size { option: "test", .. }), "{error}");
}
