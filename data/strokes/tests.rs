use super::*;

fn digest(images: &Images) -> String {
    use md5::Digest;
    let mut hash = md5::Md5::new();
    hash.update(images.pixels.as_slice());
    images.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
    crate::checksum::digits(&hash.finalize())
}

fn train(count: usize, seed: u64, threads: usize) -> Images {
    draw(Purpose::StrokesTrain, "train", count, seed, &Difficulty::STANDARD, threads)
}

#[test]
fn bytes_are_pinned() {
    // If this fails, the set called `strokes` has changed and results on it cannot be compared with older ones.
    let set = load(&LoadOptions { seed: 0, ..LoadOptions::default() }).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (10_000, 2_000));
    assert_eq!(digest(&set.train), "7bf5792d4c8fa97edcd8a3f502ce624a");
    assert_eq!(digest(&set.test), "f29b10124991e6e384e029a10386cd00");
    assert_eq!(
        set.mean.iter().chain(&set.std).map(|value| format!("{value:.4}")).collect::<Vec<_>>(),
        ["0.1670", "0.2128"]
    );
}

#[test]
fn neither_threads_nor_the_size_of_the_set_matter() {
    let reference = train(300, 1, 1);
    for threads in [0, 2, 3, 16] {
        assert_eq!(train(300, 1, threads), reference, "{threads} threads");
    }
    let short = train(65, 1, 2);
    assert_eq!(*short.pixels, reference.pixels[..65 * 784]);
    assert_eq!(short.labels, reference.labels[..65]);
}

#[test]
fn seeds_and_halves_differ() {
    let test = draw(Purpose::StrokesTest, "test", 100, 1, &Difficulty::STANDARD, 1);
    let all = [train(100, 1, 1), train(100, 2, 1), test];
    let mut seen = std::collections::HashSet::new();
    for images in &all {
        for index in 0..images.len() {
            assert!(seen.insert(images.image(index).to_vec()), "an image appears twice");
        }
    }
}

#[test]
fn classes_are_balanced_and_images_show_something() {
    let images = train(5000, 3, 2);
    let mut counts = [0i32; CLASSES];
    images.labels.iter().for_each(|&label| counts[label as usize] += 1);
    // The standard deviation of a count is 21.
    assert!(counts.iter().all(|count| (count - 500).abs() < 110), "{counts:?}");
    for index in 0..images.len() {
        let pixels = images.image(index);
        let bright = pixels.iter().filter(|&&pixel| pixel > 100).count();
        assert!((20..500).contains(&bright), "{bright} bright pixels in image {index}");
    }
}

#[test]
fn a_clean_digit_is_drawn_where_it_should_be() {
    let plain = Difficulty {
        rotation: 0.0,
        shear: 0.0,
        height: (20.0, 20.0),
        aspect: (1.0, 1.0),
        translation: 0.0,
        jitter: 0.0,
        radius: (1.0, 1.0),
        softness: (1.0, 1.0),
        ink: (1.0, 1.0),
        background: 0.0,
        strays: 0,
        stray_length: 0.0,
        speckles: 0,
        noise: 0.0,
    };
    let images = draw(Purpose::StrokesTrain, "plain", 200, 0, &plain, 1);
    let zero = images.image(images.labels.iter().position(|&label| label == 0).unwrap());
    let at = |x: usize, y: usize| zero[y * SIDE + x];
    // The box is 4 to 24; the ring touches 5 % from its top and bottom and 15 % from its sides.
    for (x, y) in [(13, 4), (13, 22), (6, 13), (21, 13)] {
        assert!(at(x, y) > 200, "{} at {x} {y}", at(x, y));
    }
    assert_eq!([at(13, 13), at(1, 1), at(26, 13), at(13, 0)], [0; 4]);
    // Left and right halves mirror each other: no bias of half a pixel.
    for y in 0..SIDE {
        for x in 0..SIDE / 2 {
            assert!(at(x, y).abs_diff(at(SIDE - 1 - x, y)) <= 1, "{x} {y}");
        }
    }
    // Without randomness there are as many different images as ways of writing.
    let distinct: std::collections::HashSet<&[u8]> = (0..200).map(|index| images.image(index)).collect();
    assert_eq!(distinct.len(), glyphs::GLYPHS.iter().map(|variants| variants.len()).sum::<usize>());
}

#[test]
fn unusable_sizes_are_refused() {
    for (train, test, option) in [(0, 1, "train"), (1, 0, "test"), (usize::MAX, 1, "train")] {
        let error = load(&LoadOptions { train, test, ..LoadOptions::default() }).unwrap_err();
        assert!(matches!(error, Error::Size { option: found, .. } if found == option), "{error}");
    }
    assert_eq!(
        load(&LoadOptions { train: 1, test: 1, threads: 0, seed: 9, side: None }).unwrap().train.len(),
        1
    );
}
