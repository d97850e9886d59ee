//! Sections in the paper's layout: methods, grids, continual learning, sweeps, indicators.

use super::*;

/// Writes runs with configs of their own.
struct Runs {
    root: TempDir,
    count: usize,
}

const FIRST_PHASE: &str = "[0.1, 0.9]\nnoise = [0.5, 0.0]";

/// Sections of a config on CIFAR-10 at full length.
fn cifar10(phases: &str, method: &str) -> String {
    format!(
        "[data]\nset = \"cifar10\"\ntrain = 0\n[model]\nname = \"resnet18\"\nwidth = 64\n[protocol]\nbase_epochs = 100\n\
         ratios = {phases}\n[intervention]\nmethod = {method}\n"
    )
}

impl Runs {
    fn new() -> Runs {
        Runs { root: TempDir::new().unwrap(), count: 0 }
    }

    /// A run with this test accuracy and a train accuracy of 0.99; without one it is unfinished.
    fn add(&mut self, experiment: &str, sections: &str, seed: usize, accuracy: Option<f64>, metrics: &str) {
        self.count += 1;
        let folder = self.root.path().join("runs").join(experiment).join(self.count.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!("name = \"{experiment}\"\nseed = {seed}\n{sections}");
        std::fs::write(folder.join("config.toml"), config).unwrap();
        std::fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
        if let Some(accuracy) = accuracy {
            let result = format!(
                "{{\"test_accuracy\":{accuracy},\"test_loss\":1,\"train_accuracy\":0.99,\"seconds\":1}}"
            );
            std::fs::write(folder.join("result.json"), result).unwrap();
        }
    }

    fn seeds(&mut self, experiment: &str, sections: &str, accuracies: &[f64]) {
        for (index, accuracy) in accuracies.iter().enumerate() {
            self.add(experiment, sections, index + 1, Some(*accuracy), "");
        }
    }

    fn table(&self, name: &str) -> Vec<HashMap<String, String>> {
        parse_csv(&output(&self.root, &format!("tables/{name}.csv")))
    }

    /// The only table whose name begins so.
    fn table_of(&self, start: &str) -> Vec<HashMap<String, String>> {
        let names = std::fs::read_dir(self.root.path().join("out/tables")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        self.table(names.remove(0).trim_end_matches(".csv"))
    }
}

#[track_caller]
fn row<'a>(rows: &'a [HashMap<String, String>], key: &str, value: &str) -> &'a HashMap<String, String> {
    rows.iter().find(|row| row[key] == value).unwrap_or_else(|| panic!("no {value} in {rows:?}"))
}

#[test]
fn methods_stand_beside_the_papers_numbers() {
    let mut runs = Runs::new();
    let strong = "\"l2\"\nweight_decay = 0.1";
    runs.seeds("warm", &cifar10(FIRST_PHASE, "\"none\"\nweight_decay = 0.1"), &[0.70, 0.71, 0.72]);
    // The same runs of another experiment count once.
    runs.seeds("again", &cifar10(FIRST_PHASE, "\"none\"\nweight_decay = 0.1"), &[0.70, 0.71, 0.72]);
    runs.seeds("warm", &cifar10(FIRST_PHASE, strong), &[0.73, 0.75]);
    runs.seeds("warm", &cifar10(FIRST_PHASE, "\"l2\"\nweight_decay = 0.01"), &[0.72, 0.72]);
    runs.seeds("warm", &cifar10(FIRST_PHASE, "\"hare-tortoise\""), &[0.8]);
    runs.seeds("fresh", &cifar10("[1.0]\nnoise = [0.0]", "\"none\""), &[0.83, 0.85]);
    runs.add("warm", &cifar10(FIRST_PHASE, strong), 3, None, "");
    runs.add("warm", &cifar10(FIRST_PHASE, "\"regen\""), 1, None, "");
    make(&runs.root);

    let rows = runs.table_of("methods-");
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str()).collect();
    assert_eq!(names, ["WS", "w/o WS", "L2", "Regen", "H&T"]);
    let plain = row(&rows, "method", "WS");
    close(&plain["test_accuracy_percent_mean"], 71.0);
    close(&plain["test_accuracy_percent_std"], 1.0);
    close(&plain["test_accuracy_percent_paper"], 70.4);
    close(&plain["test_accuracy_difference"], 0.6);
    close(&plain["train_accuracy_difference"], 99.0 - 99.8);
    assert_eq!((plain["seeds"].as_str(), plain["configurations"].as_str()), ("3", "1"));
    let l2 = row(&rows, "method", "L2");
    assert_eq!((l2["with"].as_str(), l2["configurations"].as_str()), ("l2.weight_decay=0.1", "2"));
    close(&l2["test_accuracy_percent_mean"], 74.0);
    close(&l2["test_accuracy_percent_std"], 2.0_f64.sqrt());
    close(&l2["test_accuracy_difference"], 0.5);
    close(&row(&rows, "method", "w/o WS")["test_accuracy_difference"], 0.5);
    assert_eq!(row(&rows, "method", "H&T")["test_accuracy_percent_paper"], "");
    assert_eq!(row(&rows, "method", "Regen")["seeds"], "0");

    let table = runs.table("table-7");
    assert_eq!(row(&table, "figure", "ours")["WS"], "71.00 ± 1.00");
    assert_eq!(row(&table, "figure", "seeds")["L2"], "2");
    assert_eq!(row(&table, "figure", "paper")["SnP+L2+Aug"], "91.0");
    assert_eq!(row(&table, "figure", "difference")["WS"], "+0.60");
    assert_eq!(row(&table, "figure", "difference")["H&T"], "");
    assert_eq!(row(&runs.table("table-6"), "figure", "difference")["WS"], "\u{2212}0.80");

    let page = output(&runs.root, "index.html");
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("Not finished: L2 (2 of 3 runs finished), Regen (0 of 1 runs finished)."));
    assert!(
        !page.contains("<script")
            && !page.contains("<link")
            && !page.contains("<img")
            && !page.contains("Shortened")
    );
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn shortened_runs_are_called_so_and_keep_the_papers_numbers() {
    let mut runs = Runs::new();
    let short = |method: &str| cifar10(FIRST_PHASE, method).replace("train = 0", "train = 4000");
    runs.seeds("quick", &short("\"none\""), &[0.30]);
    runs.seeds("quick", &short("\"ema\""), &[0.35]);
    runs.seeds("full", &cifar10(FIRST_PHASE, "\"none\""), &[0.70]);
    make(&runs.root);
    let markdown = output(&runs.root, "report.md");
    let note = "Shortened: 4000 training images. The paper's numbers are published at full length.";
    assert!(markdown.contains(note), "{markdown}");
    let table = runs.table("table-7");
    let ours: Vec<_> =
        table.iter().map(|row| (row["pair"].as_str(), row["figure"].as_str(), row["WS"].as_str())).collect();
    assert!(ours.contains(&("CIFAR-10, ResNet-18 (shortened)", "difference", "\u{2212}40.40")), "{ours:?}");
    assert!(ours.contains(&("CIFAR-10, ResNet-18", "difference", "\u{2212}0.40")), "{ours:?}");
}

#[test]
fn grids_stand_beside_tables_4_and_5() {
    let mut runs = Runs::new();
    for (ratio, rest, noise, accuracies) in
        [(0.1, 0.9, 0.0, [0.97, 0.98]), (0.1, 0.9, 0.5, [0.95, 0.96]), (1.0, 0.0, 0.5, [0.96, 0.97])]
    {
        for (method, more) in [("none", 0.0), ("ema", 0.01)] {
            let sections = format!(
                "[data]\nset = \"mnist\"\n[model]\nname = \"mlp\"\nhidden = [100, 100]\n[protocol]\nbase_epochs = 100\n\
                 ratios = [{ratio:?}, {rest:?}]\nnoise = [{noise:?}, 0.0]\n[intervention]\nmethod = \"{method}\"\n"
            );
            runs.seeds("grid", &sections, &accuracies.map(|accuracy| accuracy + more));
        }
    }
    make(&runs.root);
    let rows = runs.table("grid-test-mnist-mlp-100-100");
    let cells: Vec<_> =
        rows.iter().map(|row| (row["subset_ratio"].as_str(), row["label_noise"].as_str())).collect();
    assert_eq!(cells, [("0.1", "0"), ("0.1", "0.5"), ("1", "0.5")]);
    for (row, ws, paper) in [(&rows[0], 97.5, 98.0), (&rows[1], 95.5, 97.0), (&rows[2], 96.5, 97.0)] {
        close(&row["WS_mean"], ws);
        close(&row["WS_std"], 0.5_f64.sqrt());
        close(&row["WS_paper"], paper);
        close(&row["WS_difference"], ws - paper);
        close(&row["EMA_mean"], ws + 1.0);
        assert_eq!(row["EMA_seeds"], "2");
    }
    let train = runs.table("grid-train-mnist-mlp-100-100");
    close(&train[0]["WS_difference"], -1.0);
    let map = output(&runs.root, "figures/grid-test-mnist-mlp-100-100.svg");
    assert!(map.contains("WS, paper") && map.contains("label noise") && map.contains("97.50"), "{map}");
}

#[test]
fn continual_learning_has_averages_and_drops() {
    let mut runs = Runs::new();
    let phases = "[0.4, 0.3, 0.3]\nnoise = [0.0, 0.0, 0.0]\nbuffer = 5000";
    let accuracies =
        [(0, 0, 0, 0.1), (10, 1, 0, 0.5), (10, 1, 1, 0.4), (20, 2, 1, 0.7), (20, 2, 2, 0.4), (30, 3, 2, 0.9)];
    for method in ["none", "shrink-perturb"] {
        let sections = cifar10(phases, &format!("\"{method}\""));
        runs.add("stream", &sections, 1, Some(0.9), &metrics(&accuracies));
    }
    make(&runs.root);
    let rows =
        runs.table("continual-cifar-10-resnet-18-continual-learning-in-3-phases-5000-earlier-images-kept");
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str()).collect();
    assert_eq!(names, ["no method", "SnP"]);
    // Ends of phases 0.5, 0.7, 0.9; drops 0.1 and 0.3; all six evaluations sum to 3.
    for (figure, expected) in
        [("final", 90.0), ("average", 70.0), ("online", 50.0), ("mean_drop", 20.0), ("largest_drop", 30.0)]
    {
        close(&rows[1][&format!("{figure}_percent_mean")], expected);
    }
    let phases = runs.table_of(
        "continual-cifar-10-resnet-18-continual-learning-in-3-phases-5000-earlier-images-kept-phases",
    );
    close(&phases[0]["phase_2_percent_mean"], 70.0);
}

#[test]
fn sweeps_are_lines_and_heat_maps() {
    let mut runs = Runs::new();
    for (momentum, interval, accuracy) in [(0.9, 1, 0.5), (0.9, 10, 0.6), (0.99, 1, 0.7), (0.99, 10, 0.8)] {
        let method = format!("\"hare-tortoise\"\nmomentum = {momentum}\nreset_interval = {interval}");
        runs.seeds("fig9", &cifar10(FIRST_PHASE, &method), &[accuracy]);
    }
    // One number at a time around (0.9, 0.999, 1e-8).
    for (beta1, beta2, eps) in [
        ("0.9", "0.999", "1e-8"),
        ("0.8", "0.999", "1e-8"),
        ("0.9", "0.99", "1e-8"),
        ("0.9", "0.999", "1e-4"),
    ] {
        let optimizer = format!("[optimizer]\nbeta1 = {beta1}\nbeta2 = {beta2}\neps = {eps}\n");
        runs.seeds("fig3", &(cifar10(FIRST_PHASE, "\"none\"") + &optimizer), &[0.7]);
    }
    let made = make(&runs.root);
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_string();
    let figures: Vec<String> = made
        .files
        .iter()
        .map(name)
        .filter(|name| name.starts_with("sweep-") && name.ends_with("svg"))
        .collect();
    assert_eq!(figures.len(), 4, "{figures:?}");
    let map = figures
        .iter()
        .find(|name| name.starts_with("sweep-hare-tortoise.momentum-hare-tortoise.reset-interval"))
        .unwrap();
    let map = output(&runs.root, &format!("figures/{map}"));
    assert!(["50.00", "60.00", "70.00", "80.00"].iter().all(|cell| map.contains(cell)), "{map}");
    let eps = figures.iter().find(|name| name.ends_with("-eps.svg")).unwrap();
    let eps = output(&runs.root, &format!("figures/{eps}"));
    assert!(eps.contains(">1e-8<") && eps.contains("beta1 = 0.9, beta2 = 0.999"), "{eps}");
    let rows = runs.table_of("sweep-hare-tortoise.momentum-hare-tortoise.reset-interval");
    assert_eq!(
        (
            rows[1]["intervention.hare-tortoise.momentum"].as_str(),
            rows[1]["intervention.hare-tortoise.reset_interval"].as_str()
        ),
        ("0.9", "10")
    );
    close(&rows[1]["test_accuracy_percent_mean"], 60.0);
}

#[test]
fn indicators_are_correlated_with_the_final_accuracy() {
    let mut runs = Runs::new();
    // Deviations as in the test of Pearson's r: 0.8. What the last phase logs does not count.
    for (seed, (rank, accuracy)) in [(1, 0.1), (2, 0.3), (3, 0.2), (4, 0.4)].into_iter().enumerate() {
        let line = |phase: usize, step: usize, rank: usize| {
            format!(
                "{{\"step\":{step},\"epoch\":{step},\"phase\":{phase},\"test_accuracy\":0.5,\"test_loss\":1,\"srank\":{rank},\
                 \"zero_gradient_ratio\":0.0}}\n"
            )
        };
        let metrics = line(0, 0, 100) + &line(0, 10, rank) + &line(1, 10, 50) + &line(1, 20, 10 - rank);
        runs.add("indicators", &cifar10(FIRST_PHASE, "\"none\""), seed, Some(accuracy), &metrics);
    }
    make(&runs.root);
    let rows = runs.table("indicators-cifar-10-resnet-18");
    let names: Vec<&str> = rows.iter().map(|row| row["indicator"].as_str()).collect();
    assert_eq!(names, ["zero_gradient_ratio", "srank"]);
    close(&rows[1]["pearson_r"], 0.8);
    assert_eq!((rows[0]["pearson_r"].as_str(), rows[0]["runs"].as_str()), ("", "4"));
    let figure = output(&runs.root, "figures/indicators-cifar-10-resnet-18.svg");
    assert!(figure.contains("r = 0.80 (n = 4)") && figure.contains("no r (n = 4)"), "{figure}");
    assert_eq!(runs.table("indicators-cifar-10-resnet-18-runs").len(), 4);
}

#[test]
fn texts_of_figures_do_not_overlap() {
    let methods = [
        "none",
        "l2",
        "ema",
        "hare-tortoise",
        "spectral-decoupling",
        "regen",
        "redo",
        "head-reset",
        "shrink-perturb",
        "optimizer-reset",
        "self-distillation",
        "shrink-perturb+l2",
        "hare-tortoise+spectral-decoupling+regen",
        "ema+head-reset",
        "hare-tortoise+shrink-perturb",
    ];
    for count in [4, 15] {
        let mut runs = Runs::new();
        let accuracies = [
            (0, 0, 0, 0.1),
            (100, 1, 0, 0.5),
            (100, 1, 1, 0.4),
            (200, 2, 1, 0.7),
            (200, 2, 2, 0.4),
            (300, 3, 2, 0.9),
        ];
        for (index, method) in methods.iter().enumerate().take(count) {
            let accuracy = 0.5 + 0.03 * index as f64;
            let method = format!("\"{method}\"");
            runs.seeds("warm", &cifar10(FIRST_PHASE, &method), &[accuracy, accuracy + 0.01]);
            let stream = cifar10("[0.4, 0.3, 0.3]\nnoise = [0.0, 0.0, 0.0]", &method);
            runs.add("stream", &stream, 1, Some(0.9), &metrics(&accuracies));
            for (ratio, rest) in [
                ("0.1", "0.9"),
                ("0.2", "0.8"),
                ("0.4", "0.6"),
                ("0.6", "0.4"),
                ("0.8", "0.2"),
                ("1.0", "0.0"),
            ] {
                for noise in ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"] {
                    let phases = format!("[{ratio}, {rest}]\nnoise = [{noise}, 0.0]\nlast_phase = \"base\"");
                    let indicators = "{\"step\":0,\"epoch\":0,\"phase\":0,\"test_accuracy\":0.5,\"srank\":3}\n\
                                      {\"step\":9,\"epoch\":1,\"phase\":1,\"test_accuracy\":0.5}\n";
                    runs.add("grid", &cifar10(&phases, &method), 1, Some(accuracy), indicators);
                }
            }
        }
        let made = make(&runs.root);
        let figures =
            made.files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "svg"));
        let mut seen = 0;
        for figure in figures {
            let name = figure.file_name().unwrap().to_str().unwrap();
            texts_are_apart(name, &std::fs::read_to_string(figure).unwrap());
            seen += 1;
        }
        assert!(seen > 5, "{seen} figures");
    }
}
