//! ResNet-18, VGG-16 and ViT-Tiny through the binary: the same bytes whatever the number of threads, stopped or not,
//! resident or streamed.
#![cfg(unix)]

mod common;

use common::{Place, assert_same, run_words, wgsl_device};

const RESNET: &str = "name = \"tiny\"\n\
    [data]\nset = \"scenes\"\ntrain = 110\ntest = 50\naugment = true\n\
    [model]\nname = \"resnet18\"\nwidth = 8\nhead_hidden = 16\nimage_size = 16\n\
    [optimizer]\nbatch = 32\n\
    [protocol]\nratios = [0.3, 0.7]\nnoise = [0.5, 0.0]\nbase_epochs = 6\nevaluate_every = 1\n\
    [intervention]\nmethod = \"hare-tortoise\"\n";

const VGG: &str = "name = \"tiny\"\n\
    [data]\nset = \"scenes\"\ntrain = 60\ntest = 30\n\
    [model]\nname = \"vgg16\"\nwidth = 16\nhead_hidden = 16\nimage_size = 32\nclasses = 10\nhead_activation = \"crelu\"\n\
    [optimizer]\nbatch = 16\n\
    [protocol]\nratios = [0.3, 0.7]\nnoise = [0.5, 0.0]\nbase_epochs = 6\nevaluate_every = 1\n\
    [intervention]\nmethod = \"ema\"\n";

const VIT: &str = "name = \"tiny\"\n\
    [data]\nset = \"scenes\"\ntrain = 110\ntest = 50\naugment = true\n\
    [model]\nname = \"vit-tiny\"\ndim = 24\nheads = 3\ndepth = 2\nimage_size = 16\nclasses = 10\ndropout = 0.1\n\
    [optimizer]\nbatch = 32\n\
    [protocol]\nratios = [0.3, 0.7]\nnoise = [0.5, 0.0]\nbase_epochs = 6\nevaluate_every = 1\n\
    [intervention]\nmethod = \"hare-tortoise\"\n";

fn the_same_bytes(config: &str, stop_at: (u64, u64)) {
    let place = Place::new();
    place.write("tiny.toml", config);
    let whole = place.finish("whole", "--threads 1");
    assert_same(&whole, &place.finish("threads", "--threads 3"), "three threads");
    assert_same(&whole, &place.finish("stream", "--set run.stream_images=true"), "streamed images");
    assert!(place.finish("seed", "--seed 2").checkpoint != whole.checkpoint, "another seed is another run");

    let command = run_words("cut", "--threads 1 --set run.checkpoint_seconds=0.02");
    let mut run = place.start(&command);
    place.wait_for("cut", &mut run, stop_at.0, stop_at.1);
    run.signal("TERM");
    run.wait().fails(130, &["resume"]);
    place.ht(&command).succeeds();
    assert_same(&whole, &place.left("cut"), "stopped and gone on");
}

#[test]
fn resnet18_gives_the_same_bytes() {
    the_same_bytes(RESNET, (0, 10));
}

#[test]
fn vgg16_gives_the_same_bytes() {
    the_same_bytes(VGG, (1, 30));
}

#[test]
fn vit_tiny_gives_the_same_bytes() {
    the_same_bytes(VIT, (1, 30));
}

fn the_same_bytes_through_wgsl(config: &str) {
    let place = Place::new();
    place.write("tiny.toml", config);
    let words = format!("--set protocol.base_epochs=1 --set data.train=40 --device {}", wgsl_device());
    let first = place.finish("a", &words);
    assert_same(&first, &place.finish("b", &words), "the same run twice");
    let streamed = place.finish("c", &format!("{words} --set run.stream_images=true"));
    assert_same(&first, &streamed, "streamed images");
}

#[test]
fn resnet18_through_wgsl_gives_the_same_bytes() {
    the_same_bytes_through_wgsl(RESNET);
}

#[test]
fn vit_tiny_through_wgsl_gives_the_same_bytes() {
    the_same_bytes_through_wgsl(VIT);
}

#[test]
fn images_of_another_size_than_the_models_are_refused() {
    let place = Place::new();
    place.write("tiny.toml", RESNET);
    place
        .ht(&run_words("runs", "--set model.channels=1"))
        .fails(2, &["16x16x3", "16x16x1", "model.channels"]);
    place.ht(&run_words("runs", "--set model.image_size=20")).fails(2, &["side = 20", "32 x 32 or 16 x 16"]);
    place.ht(&run_words("runs", "--set model.classes=7")).fails(2, &["10 classes", "model.classes"]);
}
