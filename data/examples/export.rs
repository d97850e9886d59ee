//! Writes a data set as raw bytes, for a look at it with other tools:
//! `cargo run --release -p data --example export -- NAME DATA_FOLDER OUT_FOLDER [SEED]`
//!
//! `train.pixels` and `test.pixels` are bytes `[len, H, W, C]`, `train.labels` and `test.labels` little-endian 32-bit
//! words.

use std::path::PathBuf;
use std::time::Instant;

use data::{LoadOptions, load};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, data, out, seed @ ..] = arguments.as_slice() else {
        return Err("usage: export NAME DATA_FOLDER OUT_FOLDER [SEED]".into());
    };
    let seed = seed.first().map_or(Ok(0), |seed| seed.parse())?;
    let start = Instant::now();
    let set = load(name, &PathBuf::from(data), &LoadOptions { seed, ..LoadOptions::default() })?;
    println!("loaded in {:.3} s; mean {:?}, std {:?}", start.elapsed().as_secs_f64(), set.mean, set.std);
    let out = PathBuf::from(out);
    std::fs::create_dir_all(&out)?;
    for (half, images) in [("train", &set.train), ("test", &set.test)] {
        let (n, h, w, c) = (images.len(), images.height, images.width, images.channels);
        println!("{half}: [{n}, {h}, {w}, {c}], {} classes", images.classes);
        std::fs::write(out.join(format!("{half}.pixels")), images.pixels.as_slice())?;
        let labels: Vec<u8> = images.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        std::fs::write(out.join(format!("{half}.labels")), labels)?;
    }
    Ok(())
}
