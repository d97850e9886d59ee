//! Runs of several versions, devices and data side by side.

use super::*;

/// A config as revision 39c77da wrote it, and the same in today's form.
fn configs(seed: usize) -> [String; 2] {
    let head = |version: &str| {
        format!(
            "name = \"warm\"\nseed = {seed}\n{version}[data]\nset = \"mnist\"\n[model]\nname = \"mlp\"\nhidden = [100]\n\
             [protocol]\nratios = [0.1, 0.9]\nnoise = [0.5, 0.0]\nbase_epochs = 100\n[intervention]\n"
        )
    };
    let old = "method = \"l2+ema\"\nmomentum = 0.9\nreset_interval = 10\nweight_decay = 0.1\nkeep = 0.2\n";
    let new =
        "method = \"ema+l2\"\n[intervention.ema]\nmomentum = 0.9\n[intervention.l2]\nweight_decay = 0.1\n";
    [head("") + old, head("version = 2\n") + new]
}

fn write(root: &Path, id: &str, config: &str, result: &str) -> PathBuf {
    let folder = root.join("runs").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), config).unwrap();
    std::fs::write(folder.join("result.json"), result).unwrap();
    std::fs::write(folder.join("metrics.jsonl"), metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.9)])).unwrap();
    folder
}

fn result(accuracy: f64, more: &str) -> String {
    format!("{{\"test_accuracy\":{accuracy},\"test_loss\":1,\"train_accuracy\":1,\"seconds\":1{more}}}")
}

#[test]
fn versions_are_never_averaged_together() {
    let root = TempDir::new().unwrap();
    for seed in 1..=3 {
        for (version, (config, accuracy)) in configs(seed).iter().zip([0.5, 0.7]).enumerate() {
            write(root.path(), &format!("v{version}-{seed}"), config, &result(accuracy, ""));
        }
    }
    let none = |config: &str| {
        let start = config.split("[intervention]").next().unwrap();
        format!("{start}[intervention]\nmethod = \"none\"\n")
    };
    for (version, config) in configs(1).iter().enumerate() {
        write(root.path(), &format!("none-{version}"), &none(config), &result(0.4, ""));
    }
    // Another spelling of the old methods, and other values of what took no part: the same configuration.
    let again = configs(4)[0].replace("l2+ema", "ema + l2").replace("keep = 0.2", "keep = 0.9");
    write(root.path(), "v0-4", &again, &result(0.5, ""));
    let made = make(&root);

    let rows = parse_csv(&output(&root, "tables/results.csv"));
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row["method"].as_str(), row["settings"].as_str(), row["seeds"].as_str()))
        .collect();
    let expected = [
        ("none", "version 1", "1"),
        ("none", "version 2", "1"),
        ("ema+l2", "version 1", "4"),
        ("ema+l2", "version 2", "3"),
    ];
    assert_eq!(shown, expected);
    close(&rows[2]["test_accuracy_percent_mean"], 50.0);
    close(&rows[2]["test_accuracy_percent_std"], 0.0);
    close(&rows[3]["test_accuracy_percent_mean"], 70.0);
    assert!(
        made.text.contains("no mean is over both:\n  version 1: 5 runs\n  version 2: 4 runs\n"),
        "{}",
        made.text
    );
    let page = output(&root, "index.html");
    assert!(page.contains("no mean is over both") && page.contains("MNIST, MLP 100; version 1"), "{page}");
    for (version, mean) in [("1", 50.0), ("2", 70.0)] {
        let table =
            format!("methods-mnist-mlp-100-version-{version}-warm-start-on-10-of-the-images-50-wrong-labels");
        let rows = parse_csv(&output(&root, &format!("tables/{table}.csv")));
        assert_eq!((rows.len(), rows[1]["method"].as_str()), (2, "EMA+L2"));
        close(&rows[1]["test_accuracy_percent_mean"], mean);
    }

    // One version alone needs no word.
    let alone = report(&[root.path().join("runs/v0-1"), root.path().join("runs/v0-2")], None).unwrap();
    assert!(!alone.text.contains("version"), "{}", alone.text);
}

#[test]
fn devices_revisions_and_data_are_told() {
    let root = TempDir::new().unwrap();
    let segment = |device: &str, revision: &str, dirty: bool, steps: [u64; 2]| {
        format!(
            "{{\"device\":\"{device}\",\"instruction_set\":\"avx2\",\"revision\":\"{revision}\",\"dirty\":{dirty},\
             \"from_step\":{},\"to_step\":{}}}",
            steps[0], steps[1]
        )
    };
    let more = |digest: &str, origin: &str, segments: &[String]| {
        let digest = digest.repeat(64);
        let segments = segments.join(",");
        format!(",\"data_digest\":\"{digest}\",\"data_origin\":\"{origin}\",\"segments\":[{segments}]")
    };
    let whole = || segment("cpu", "aaaa", false, [0, 20]);
    let moved_segments = [segment("cpu", "aaaa", false, [0, 12]), segment("cpu", "bbbb", true, [12, 20])];
    let known = more("0", "the published files", &[whole()]);
    let moved = more("0", "the published files", &moved_segments);
    let other = more("1", "not the published images: 9 of 10 differ", &[whole()]);
    let mut folders = Vec::new();
    for (seed, more) in [(1, &known), (2, &moved), (3, &other)] {
        folders.push(write(root.path(), &format!("r{seed}"), &configs(seed)[1], &result(0.5, more)));
    }
    let made = make(&root);
    for line in [
        "on different devices or revisions:\n  warm, mlp 100, ema+l2: aaaa and bbbb with changes\n".to_string(),
        format!(
            "as each segment was computed:\n  {}: steps 0 to 12 on cpu (avx2), revision aaaa; steps 12 to 20 on cpu \
             (avx2), revision bbbb with changes\n",
            folders[1].display()
        ),
        "trained on different data:\n  warm, mlp 100, ema+l2: seeds 1, 2 on 000000000000... (the published files); seed 3 \
         on 111111111111... (not the published images: 9 of 10 differ)\n"
            .to_string(),
        "not known to be the published ones:\n  warm, mlp 100, ema+l2: not the published images: 9 of 10 differ (seed \
         3)\n"
            .to_string(),
    ] {
        assert!(made.text.contains(&line), "{line}in\n{}", made.text);
    }

    // The same configuration of another experiment shares the means, and so the notes.
    let built_in = more("2", "built in", &[whole()]);
    let elsewhere = configs(4)[1].replace("name = \"warm\"", "name = \"again\"");
    write(root.path(), "r4", &elsewhere, &result(0.5, &built_in));
    let paths = [folders[0].clone(), root.path().join("runs/r4")];
    let text = report(&paths, None).unwrap().text;
    assert!(text.contains("again and warm, mlp 100, ema+l2: seed 1 on 0000"), "{text}");
    assert!(!text.contains("not known to be"), "{text}");
}
