//! Writes the built-in set as four IDX files, for a look at it with other tools:
//! `cargo run --release -p data --example export_strokes -- FOLDER [SEED]`

use std::path::PathBuf;
use std::time::Instant;

use data::{LoadOptions, idx, load};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: export_strokes FOLDER [SEED]")?);
    let seed = match arguments.next() {
        Some(seed) => seed.to_string_lossy().parse()?,
        None => LoadOptions::default().seed,
    };
    let start = Instant::now();
    let set = load("strokes", &folder, &LoadOptions { seed, ..LoadOptions::default() })?;
    println!(
        "drawn in {:.3} s; mean {:.4}, std {:.4}",
        start.elapsed().as_secs_f64(),
        set.mean[0],
        set.std[0]
    );
    std::fs::create_dir_all(&folder)?;
    for (half, images) in [("train", &set.train), ("t10k", &set.test)] {
        std::fs::write(folder.join(format!("{half}-images-idx3-ubyte")), idx::image_file(images))?;
        std::fs::write(folder.join(format!("{half}-labels-idx1-ubyte")), idx::label_file(images))?;
    }
    Ok(())
}
