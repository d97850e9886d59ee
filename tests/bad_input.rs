//! What is wrong is said once, by name, with what to do about it: exit 2 for misuse, 1 for failure, never a panic.

mod common;

use common::{Place, assert_same, gzip, has_gpu, idx, run_words, small_mnist};

/// Long enough to be met while it runs.
const LONG: &str = "--set protocol.base_epochs=2000 --set protocol.evaluate_every=5 --threads 1";

#[test]
fn misuse_is_named_and_exits_with_2() {
    let place = Place::new();
    place.write("bad.toml", "seed = = 1");
    place.write("key.toml", "[data]\nset = \"strokes\"\nsize = 3\n");
    for (words, says) in [
        (
            "run warm-start-mnits",
            vec!["'warm-start-mnits'", "did you mean 'warm-start-mnist'?", "ht presets"],
        ),
        ("run missing.toml", vec!["missing.toml", "No such file"]),
        ("run .", vec!["cannot read ."]),
        ("run bad.toml", vec!["bad.toml is not TOML", "line 1"]),
        ("run key.toml", vec!["key.toml", "'data.size'", "did you mean 'data.set'?"]),
        ("run tiny.toml --set optimizer.learning=1", vec!["'optimizer.learning'"]),
        ("run tiny.toml --set optimiser.lr=1", vec!["'optimiser'", "did you mean 'optimizer'?"]),
        ("run tiny.toml --set optimizer.lr", vec!["optimizer.lr", "section.key=value"]),
        ("run tiny.toml --set optimizer.lr=fast", vec!["'optimizer.lr'", "\"fast\"", "a number expected"]),
        ("run tiny.toml --set optimizer.batch=0", vec!["optimizer.batch = 0", "at least 1"]),
        ("run tiny.toml --set optimizer.lr=-1", vec!["optimizer.lr = -1", "greater than 0"]),
        ("run tiny.toml --set seed=5000000000", vec!["seed = 5000000000", "4294967295"]),
        ("run tiny.toml --set seed=-1", vec!["'seed'", "-1", "at least 0"]),
        ("run tiny.toml --seed -1", vec!["'-1'", "--seed", "0..=4294967295"]),
        ("run tiny.toml --set name=..", vec!["name = \"..\"", "begin with a dot"]),
        ("run tiny.toml --set intervention.momentum=0.9", vec!["'intervention.hare-tortoise.momentum'"]),
        (
            "run tiny.toml --set intervention.redo.interval=3",
            vec!["intervention.redo.interval is set", "\"none\" has no redo"],
        ),
        ("run tiny.toml --set run.checkpoint_seconds=1e300", vec!["run.checkpoint_seconds", "at most"]),
        ("run tiny.toml --set protocol.noise=[0.5]", vec!["protocol.noise", "per phase"]),
        (
            "run tiny.toml --set protocol.noise_labels=some",
            vec!["protocol.noise_labels", "some", "other-classes"],
        ),
        (
            "run tiny.toml --set protocol.base_epochs=1000000000000000000",
            vec!["protocol.base_epochs", "steps"],
        ),
        ("run tiny.toml --set intervention.method=tortoise", vec!["intervention.method", "hare-tortoise"]),
        ("run tiny.toml --set intervention.method=L2", vec!["\"L2\" is none of", "did you mean 'l2'?"]),
        ("run tiny.toml --set data.downsample=2", vec!["strokes can be drawn with 28 x 28"]),
        ("run tiny.toml --set Optimizer.LR=1", vec!["'Optimizer'", "did you mean 'optimizer'?"]),
        ("run tiny.toml --set model.hidden=[1000000000000]", vec!["model.hidden", "parameters"]),
        (
            "run tiny.toml --set model.classes=7",
            vec!["10 classes", "in 7", "set model.image_size", "model.classes"],
        ),
        ("run tiny.toml --set data.set=strokse", vec!["`strokse`", "did you mean `strokes`?"]),
        ("run tiny.toml --device nonesuch", vec!["'nonesuch'", "cpu", "ht devices"]),
        ("run tiny.toml --threads many", vec!["--threads", "many"]),
        ("data fetch mnits", vec!["`mnits`", "did you mean `mnist`?"]),
        ("bench mlp --batch 8 --set optimizer.lr=1", vec!["'optimizer'", "only model.*"]),
        ("bench mlp --batch 0", vec!["--batch", "0"]),
    ] {
        place.ht(words).fails(2, &says);
    }
}

#[test]
fn a_last_batch_of_one_is_refused_before_training_starts() {
    // 180 examples in the first phase are one batch; the 600 of the second are one batch and an example.
    let place = Place::new();
    let words = "--set optimizer.batch=599";
    let says = ["phase 1, 600 examples in batches of 599", "batch_norm backbone.bn1", "another batch size"];
    place.ht(&run_words("runs", words)).fails(2, &says);
    assert!(!place.path().join("runs").exists(), "a config that is refused leaves no folder");
    // Without batch norm it is a batch as any other.
    place.ht(&run_words("plain", &format!("{words} --set model.batch_norm=false"))).succeeds();
    place
        .ht(&run_words("one", "--set optimizer.batch=1 --threads 1"))
        .fails(2, &["batches of 1:", "batch size"]);
}

#[test]
fn a_batch_larger_than_the_set_is_one_batch() {
    let place = Place::new();
    place.ht(&run_words("runs", "--set optimizer.batch=1000000000000")).succeeds();
}

#[test]
fn no_real_gpu_is_diagnosed() {
    let place = Place::new();
    let ended = place.ht("run tiny.toml --device gpu");
    if has_gpu() {
        ended.succeeds();
    } else {
        ended.fails(1, &["no usable GPU adapter", "--device cpu", "adapter"]);
    }
}

fn mnist(place: &Place, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        place.write(&format!("data/mnist/{name}"), bytes);
    }
}

const ON_MNIST: &str = "--data data --set data.set=mnist";

#[test]
fn files_of_a_data_set_are_read_and_what_is_wrong_with_them_is_said() {
    let good = small_mnist();
    let run = |files: &[(&str, Vec<u8>)], words: &str| {
        let place = Place::new();
        mnist(&place, files);
        place.ht(&run_words("runs", &format!("{ON_MNIST} {words}")))
    };
    run(&good, "").succeeds();
    let packed =
        [("train-images-idx3-ubyte.gz", gzip(&good[0].1)), good[1].clone(), good[2].clone(), good[3].clone()];
    run(&packed, "").succeeds();

    run(&good, "--set data.train=601").fails(2, &["data.train = 601", "mnist train has 600 images"]);
    run(&good[..2], "").fails(1, &["missing t10k-images-idx3-ubyte, t10k-labels", "ht data fetch mnist"]);

    let mut files = packed.clone();
    files[0].1.truncate(100_000);
    run(&files, "").fails(1, &["train-images-idx3-ubyte.gz", "byte 100000", "ht data fetch mnist"]);
    let mut files = packed.clone();
    files[0].1[200_000] ^= 1;
    run(&files, "").fails(1, &["train-images-idx3-ubyte.gz", "checksum", "ht data fetch mnist"]);
    let mut files = good.clone();
    files[0].1.truncate(100_000);
    run(&files, "").fails(1, &["train-images-idx3-ubyte", "byte 100000"]);
    let mut files = good.clone();
    files[1].1[8 + 5] = 10;
    run(&files, "").fails(1, &["train-labels-idx1-ubyte", "byte 13", "10"]);
    let mut files = good.clone();
    files[1].1 = idx(0x801, &[599], &[1; 599]);
    run(&files, "").fails(1, &["600", "599", "train-labels-idx1-ubyte"]);
    let mut files = good.clone();
    files[2].1 = b"<html>".to_vec();
    run(&files, "").fails(1, &["t10k-images-idx3-ubyte", "byte 0"]);
}

/// A stopped run in `runs`, and the bytes of its whole twin.
fn stopped(place: &Place, words: &str) -> common::Left {
    let words = format!("{words} --set protocol.base_epochs=200 --set protocol.evaluate_every=5 --threads 1");
    let whole = place.finish("whole", &words);
    let mut run = place.start(&run_words("runs", &words));
    place.wait_for("runs", &mut run, 0, 100);
    run.signal("TERM");
    run.wait().fails(130, &[]);
    whole
}

const STOPPED: &str = "--set protocol.base_epochs=200 --set protocol.evaluate_every=5 --threads 1";

#[test]
#[cfg(unix)]
fn a_damaged_checkpoint_is_refused_and_left_alone() {
    let place = Place::new();
    let whole = stopped(&place, "");
    let path = place.run_folder("runs").join("checkpoint.safetensors");
    let metrics = place.run_folder("runs").join("metrics.jsonl");
    let (good, lines) = (std::fs::read(&path).unwrap(), std::fs::read(&metrics).unwrap());
    let resume = || place.ht(&run_words("runs", STOPPED));

    let state_at = good.windows(9).position(|bytes| bytes == b"\"state\":\"").unwrap();
    let mut no_state = good.clone();
    no_state[state_at + 1..state_at + 6].copy_from_slice(b"other");
    let name_at = good.windows(12).position(|bytes| bytes == b"head.fc.bias").unwrap();
    let mut no_tensor = good.clone();
    no_tensor[name_at..name_at + 12].copy_from_slice(b"head.fc.bizz");
    for (bytes, says) in [
        (&good[..good.len() - 1], "not a whole safetensors file"),
        (&good[..good.len() / 2], "not a whole safetensors file"),
        (&good[..3], "not a whole safetensors file"),
        (&[], "not a whole safetensors file"),
        (&[0xff; 5000][..], "not a whole safetensors file"),
        (&no_state[..], "no training state"),
        (&no_tensor[..], "head.fc.bias"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        resume()
            .fails(1, &["checkpoint.safetensors", says, "remove it to start this run from the beginning"]);
        assert!(std::fs::read(&path).unwrap() == bytes, "it was left as it is");
        assert!(std::fs::read(&metrics).unwrap() == lines, "nothing already written is lost");
    }
    // The checkpoint of another run, with the same and with another model.
    for words in ["--seed 2", "--set model.hidden=[5]"] {
        let out = format!("other{}", words.len());
        place.finish(&out, words);
        std::fs::copy(place.run_folder(&out).join("checkpoint.safetensors"), &path).unwrap();
        resume().fails(1, &["checkpoint.safetensors", "belongs to the run none-seed", "remove it"]);
    }

    std::fs::write(&path, &good).unwrap();
    std::fs::write(&metrics, &lines[..10]).unwrap();
    resume().fails(1, &["metrics.jsonl", "has 10 bytes", "lines are lost", "remove checkpoint.safetensors"]);

    std::fs::write(&metrics, &lines).unwrap();
    resume().succeeds();
    assert_same(&whole, &place.left("runs"), "restored");
    std::fs::write(place.run_folder("runs").join("result.json"), "{").unwrap();
    resume().fails(1, &["result.json", "remove it"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    place.write("taken", "a file");
    place.ht("run tiny.toml --device cpu --out taken").fails(1, &["taken/tiny", "Not a directory"]);
    place.ht("demo --device cpu --out taken").fails(1, &["taken/", "Not a directory"]);
    place.write("runs/tiny", "a file where the experiment's folder should be");
    place.ht("run tiny.toml --device cpu").fails(1, &["runs/tiny", "Not a directory"]);
}

#[test]
#[cfg(unix)]
fn two_processes_do_not_share_a_run_folder() {
    let place = Place::new();
    let command = run_words("runs", LONG);
    let mut first = place.start(&command);
    place.wait_for("runs", &mut first, 0, 0);
    place.ht(&command).fails(1, &["runs/tiny/none-seed1-", "in use by another process", "--out"]);
    assert!(first.is_running(), "the first is unharmed");
    first.signal("TERM");
    first.wait().fails(130, &[]);
    assert!(place.run_folder("runs").join("checkpoint.safetensors").exists());
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_spares_what_was_good() {
    let place = Place::new();
    let bad = "--set optimizer.lr=1e30 --set optimizer.warmup=0 --set optimizer.clip=0";
    place
        .ht(&run_words("early", bad))
        .fails(1, &["step 1 ", "phase 0", "epoch 1", "in step", "no checkpoint", "lr"]);

    // The rate rises through the phase, so that it goes well at first; a checkpoint before every step.
    let late = "--set optimizer.lr=1e37 --set optimizer.warmup=1 --set optimizer.weight_decay=1e-36 \
                --set optimizer.clip=0 --set run.checkpoint_seconds=1e-9 --set model.batch_norm=false";
    let message = place
        .ht(&run_words("late", late))
        .fails(1, &["not finite at step", "last good checkpoint is kept in"]);
    let folder = place.run_folder("late");
    let file = engine::checkpoint::File::load(&folder.join("checkpoint.safetensors")).unwrap();
    assert!(file.all_finite(), "the kept checkpoint is good");
    let step = file.state.parse::<serde_json::Value>().unwrap()["step"].as_u64().unwrap();
    assert!(step > 0, "it was made after some steps: {}", message.stderr);
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert!(metrics.ends_with('\n'), "whole lines");
    assert!(metrics.lines().all(|line| line.parse::<serde_json::Value>().is_ok()));
    assert!(!folder.join("result.json").exists());
    // Started again it comes to the same end.
    let again = place.ht(&run_words("late", late));
    assert_eq!((again.code, again.stderr), (Some(1), message.stderr));
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_said_and_the_old_checkpoint_stays() {
    let place = Place::new();
    let whole = stopped(&place, "");
    let folder = place.run_folder("runs");
    let files = ["checkpoint.safetensors", "config.toml"].map(|name| folder.join(name));
    let old = files.each_ref().map(|file| std::fs::read(file).unwrap());
    let words = run_words("runs", &format!("{STOPPED} --set run.checkpoint_seconds=0.001"));
    // No file may grow beyond 8 KiB, which fails as a full disk does, but for the words of the system.
    let ht = place.command(&words);
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(ht.get_program())
        .args(ht.get_args());
    let ended = shell.current_dir(place.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: cannot write") && stderr.contains("File too large"), "{stderr}");
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "no temporary file stays: {names:?}");
    assert!(
        files.each_ref().map(|file| std::fs::read(file).unwrap())[0] == old[0],
        "the old checkpoint stays"
    );
    place.ht(&words).succeeds();
    assert_same(&whole, &place.left("runs"), "after room was made");
}

/// What comes of a last step is looked at as its loss is: nothing later would notice.
#[test]
fn a_step_whose_outcome_is_not_finite_is_a_failure_that_names_the_tensor() {
    use engine::checkpoint::{File, Stored, StoredValues};
    let place = Place::new();
    let mut batch = File::default();
    batch.insert("x", &[4, 1, 2, 2], (0..16).map(|i| i as f32 / 8.0 - 1.0).collect());
    let labels = Stored { shape: vec![4], values: StoredValues::Integers(vec![0, 1, 2, 0]) };
    batch.tensors.insert("y".into(), labels);
    batch.save(&place.path().join("batch.safetensors")).unwrap();
    let words = "step --model mlp --set model.hidden=[5] --set model.image_size=2 --set model.channels=1 \
                 --set model.classes=3 --batch batch.safetensors --out after.safetensors --device cpu --lr";
    place.ht(&format!("{words} 1e39")).fails(1, &["'param.", "--lr"]);
    place.ht(&format!("{words} 1e30")).fails(1, &["'eval_logits' is ", "at [0, 0]", "--lr"]);
    assert!(!place.path().join("after.safetensors").exists());
    place.ht(&format!("{words} 1e-3")).succeeds();
}
