//! Agents as runs: what `ht run` leaves, and that stopping and going on shows nowhere.
#![cfg(unix)]

mod common;

use common::{Place, assert_same};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// A second or two on one thread.
const SHORT: &str = "run mdp-strokes --device cpu --threads 1 --set environment.images=500 --set agent.steps=3000 \
                     --set agent.learning_starts=300 --set agent.capacity=700 --set agent.log_every=250 \
                     --set model.hidden=[32,32] --set environment.task=sparse \
                     --set probe.every=1000 --set probe.functions=2 --set probe.steps=60 --set probe.inputs=64";

fn json(path: &Path) -> Value {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn transitions(place: &Place, out: &str) -> Vec<u8> {
    std::fs::read(place.run_folder(out).join("transitions.bin")).unwrap()
}

#[test]
fn an_agent_leaves_what_the_page_says() {
    let place = Place::new();
    let said = place.ht(&format!("{SHORT} --out whole")).succeeds().stdout;
    let run = place.run_folder("whole");
    let result = json(&run.join("result.json"));
    assert_eq!((&result["steps"], &result["updates"]), (&3000.into(), &2701.into()));
    assert_eq!(result["updates_per_step"], 1.0);
    let best = result["best_reward_per_step"].as_f64().unwrap();
    let share = result["reward_per_step"].as_f64().unwrap() / best;
    approx::assert_relative_eq!(result["share_of_best"].as_f64().unwrap(), share);
    assert!(said.contains("per step") && said.contains("of the best"), "{said}");
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| line.parse().unwrap());
    let (probes, lines): (Vec<Value>, Vec<Value>) =
        lines.partition(|line: &Value| line.get("probe").is_some());
    assert_eq!(lines.len(), 12);
    let updates: Vec<&Value> = probes.iter().map(|line| &line["updates"]).collect();
    assert_eq!(updates, [0, 1000, 2000, 2701], "before the first update, every thousand, at the end");
    for line in &probes {
        let probe = &line["probe"];
        assert_eq!(probe["losses"].as_array().unwrap().len(), 2);
        let loss =
            probe["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).sum::<f64>() / 2.0;
        approx::assert_relative_eq!(probe["loss"].as_f64().unwrap(), loss, max_relative = 1e-12);
        assert_eq!(probe["curve"].as_array().unwrap().len(), 2, "steps 0 and 50");
        assert!(probe["fresh"][0]["plasticity"].is_f64() && probe["feature_rank"].as_f64().unwrap() >= 1.0);
    }
    let change = probes[3]["probe"]["plasticity"].as_f64().unwrap()
        - probes[0]["probe"]["plasticity"].as_f64().unwrap();
    approx::assert_relative_eq!(result["plasticity_change"].as_f64().unwrap(), change, epsilon = 1e-12);
    assert!(lines[0].get("td_loss").is_none(), "no update yet");
    assert_eq!((&lines[11]["step"], &lines[11]["updates"]), (&3000.into(), &2701.into()));
    assert_eq!(lines[11]["target_updates"], 5);
    assert_eq!(transitions(&place, "whole").len(), 3000 * 20);
    // The rewards that were logged are those of the transitions.
    let bytes = transitions(&place, "whole");
    let rewards =
        bytes.as_chunks::<20>().0.iter().map(|row| f32::from_le_bytes(row[12..16].try_into().unwrap()));
    let logged: f64 = lines.iter().map(|line| line["reward_per_step"].as_f64().unwrap() * 250.0).sum();
    approx::assert_relative_eq!(logged, rewards.map(f64::from).sum::<f64>(), epsilon = 1e-6);
    // The same command does nothing again.
    let again = place.ht(&format!("{SHORT} --out whole")).succeeds().stdout;
    assert!(again.contains("already finished"), "{again}");
}

#[test]
fn stopping_killing_and_going_on_shows_nowhere() {
    for optimizer in ["adam", "sgd --set optimizer.momentum=0.9", "rmsprop --set optimizer.centered=true"] {
        stopped_and_killed(&format!("{SHORT} --set optimizer.lr=1e-4 --set optimizer.kind={optimizer}"));
    }
}

fn stopped_and_killed(words: &str) {
    let place = Place::new();
    place.ht(&format!("{words} --out whole")).succeeds();
    let whole = place.left("whole");
    let command = format!("{words} --out cut --set run.checkpoint_seconds=0.02");
    let mut goes_on = 0;
    for (signal, milliseconds) in
        [("TERM", 250), ("KILL", 300), ("KILL", 350), ("TERM", 400), ("KILL", 450), ("INT", 500)]
    {
        let mut run = place.start(&command);
        std::thread::sleep(Duration::from_millis(milliseconds));
        if run.is_running() {
            run.signal(signal);
            goes_on += 1;
        }
        run.wait();
    }
    assert!(goes_on >= 2, "it was stopped {goes_on} times: a longer run");
    place.ht(&command).succeeds();
    assert_eq!(json(&place.run_folder("cut").join("result.json"))["resumed"], true);
    assert_same(&whole, &place.left("cut"), &command);
    assert!(transitions(&place, "whole") == transitions(&place, "cut"), "the transitions differ");
}

#[test]
fn stopping_shows_nowhere_in_agents_of_pictures_and_numbers_either() {
    let common = "--device cpu --threads 1 --set agent.steps=3000 --set agent.learning_starts=100 \
                  --set agent.capacity=150 --set agent.log_every=100 --set model.hidden=[16]";
    for (name, preset) in [
        (
            "chain",
            "chain --set environment.time_limit=12 --set agent.n_step=3 --set agent.output=categorical \
                   --set agent.support=[0,1] --set agent.bins=11",
        ),
        ("board", "catch"),
        (
            "pixels",
            "catch-pixels --set environment.size=[12,12] --set model.image_size=12 --set model.width=4",
        ),
    ] {
        let place = Place::new();
        let command = |out: &str| format!("run {preset} {common} --out {out}");
        place.ht(&command("whole")).succeeds();
        let words = format!("{} --set run.checkpoint_seconds=0.005", command("cut"));
        let mut goes_on = 0;
        for milliseconds in [40, 80, 120, 160] {
            let mut run = place.start(&words);
            std::thread::sleep(Duration::from_millis(milliseconds));
            if run.is_running() {
                run.signal("KILL");
                goes_on += 1;
            }
            run.wait();
        }
        place.ht(&words).succeeds();
        assert!(goes_on >= 1, "{name} was never stopped: a longer run");
        assert_same(&place.left("whole"), &place.left("cut"), name);
        assert!(transitions(&place, "whole") == transitions(&place, "cut"), "{name}: the transitions differ");
        let lines = std::fs::read_to_string(place.run_folder("whole").join("metrics.jsonl")).unwrap();
        let returns = lines.lines().filter(|line| line.contains("mean_return")).count();
        assert!(returns > 15, "{name}: {returns} of 30 lines have a mean return");
    }
}

#[test]
fn shaders_go_on_with_the_same_bits_too() {
    let place = Place::new();
    let short = format!(
        "{SHORT} --device {} --set agent.steps=400 --set agent.learning_starts=100 --set probe.every=100 \
         --set agent.log_every=50 --set curvature.every=100 --set curvature.examples=16 --set curvature.clusters=3 \
         --set curvature.hessian_steps=5 --set curvature.walk=true",
        common::wgsl_device()
    );
    let short = short.replacen("--device cpu ", "", 1);
    place.ht(&format!("{short} --out whole")).succeeds();
    let whole = place.left("whole");
    let command = format!("{short} --out cut --set run.checkpoint_seconds=0.01");
    for (signal, milliseconds) in [("KILL", 900), ("TERM", 1_200)] {
        let mut run = place.start(&command);
        std::thread::sleep(Duration::from_millis(milliseconds));
        if run.is_running() {
            run.signal(signal);
        }
        run.wait();
    }
    place.ht(&command).succeeds();
    assert_same(&whole, &place.left("cut"), &command);
    assert!(transitions(&place, "whole") == transitions(&place, "cut"), "the transitions differ");
}

#[test]
fn lost_transitions_and_foreign_checkpoints_are_named() {
    let place = Place::new();
    let command = format!("{SHORT} --out lost");
    place.ht(&command).succeeds();
    let run = place.run_folder("lost");
    std::fs::remove_file(run.join("result.json")).unwrap();
    std::fs::write(run.join("transitions.bin"), [0; 100]).unwrap();
    place
        .ht(&command)
        .fails(1, &["transitions.bin", "has 100 bytes", "after 3000 transitions", "checkpoint.safetensors"]);
    std::fs::remove_file(run.join("transitions.bin")).unwrap();
    place.ht(&command).fails(1, &["transitions are lost"]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_built() {
    let place = Place::new();
    for (set, words) in [
        ("agent.discount=1", vec!["agent.discount = 1", "has no end"]),
        ("agent.capacity=31", vec!["agent.capacity = 31", "optimizer.batch, 32"]),
        ("agent.learning_starts=31", vec!["agent.learning_starts = 31", "a batch to draw"]),
        ("agent.target_period=0", vec!["agent.target_period = 0"]),
        ("agent.epsilon=1.5", vec!["agent.epsilon = 1.5", "[0, 1]"]),
        ("agent.replay_ratio=0", vec!["agent.replay_ratio = 0"]),
        ("agent.replay_ratio=1e18", vec!["agent.replay_ratio", "at most 10000"]),
        ("optimizer.kind=adamw", vec!["optimizer.kind", "adam, sgd, rmsprop"]),
        ("optimizer.momentum=0.9", vec!["--set optimizer.momentum=0.9", "\"adam\" has no momentum"]),
        ("agent.bins=11", vec!["agent.bins = 11", "no effect", "scalar"]),
        ("agent.support=[0,9]", vec!["agent.support", "no effect"]),
        ("environment.after_last=uniform", vec!["environment.after_last", "sparse"]),
        ("run.stream_images=true", vec!["run.stream_images", "on the device"]),
        ("agent.discont=.9", vec!["no key 'agent.discont'", "agent.discount"]),
        ("environment.task=hard", vec!["environment.task", "hard"]),
        ("environment.task=chain", vec!["environment.task", "chain", "environment.set", "no effect"]),
        (
            "environment.time_limit=5",
            vec!["environment.task", "environment.time_limit", "no effect", "chain"],
        ),
        ("environment.size=[84,84]", vec!["environment.size", "no effect", "catch"]),
        ("agent.n_step=0", vec!["agent.n_step = 0", "1 to 100"]),
        ("environment.images=1e9", vec!["environment.images = 1000000000", "at most the 10000"]),
        ("protocol.ratios=[1]", vec!["no key 'protocol"]),
        ("probe.inputs=0", vec!["probe.inputs = 0", "at least 1"]),
        ("probe.functions=0", vec!["probe.functions = 0", "at least 1"]),
        ("probe.fresh=1001", vec!["probe.fresh = 1001"]),
    ] {
        let out = place.ht(&format!("run mdp-strokes --device cpu --threads 1 --out bad --set {set}"));
        let code = out.code;
        assert!(matches!(code, Some(1 | 2)), "{set}: {code:?}");
        out.fails(code.unwrap(), &words);
        assert!(!place.path().join("bad").exists(), "{set} leaves no folder");
    }
    for (set, words) in [
        ("chain --set agent.discount=1.5", vec!["agent.discount = 1.5", "[0, 1]"]),
        ("chain --set environment.set=mnist", vec!["environment.set", "no effect"]),
        ("chain --set environment.states=1", vec!["environment.states = 1", "2 to 1000"]),
        (
            "chain --set environment.states=11",
            vec!["numbers", "model.image_size = 1 and model.channels = 11"],
        ),
        ("chain --set model.classes=3", vec!["3 outputs", "2 actions"]),
        ("catch --set environment.size=[9,5]", vec!["environment.size = 9 x 5"]),
        ("catch-pixels --set environment.size=[20,20]", vec!["model.image_size = 20 and model.channels = 1"]),
        ("catch --set agent.n_step=101", vec!["agent.n_step = 101"]),
        ("catch --set agent.output=two-hot", vec!["agent.support", "such as [-1, 1]"]),
        (
            "catch --set agent.output=categorical --set agent.support=[-1,1] --set agent.criterion=huber",
            vec!["agent.criterion", "cross-entropy"],
        ),
    ] {
        let out = place.ht(&format!("run {set} --device cpu --threads 1 --out bad"));
        let code = out.code;
        assert!(matches!(code, Some(1 | 2)), "{set}: {code:?}");
        out.fails(code.unwrap(), &words);
        assert!(!place.path().join("bad").exists(), "{set} leaves no folder");
    }
    // Ten classes, and a network of seven outputs.
    place
        .ht("run mdp-strokes --device cpu --threads 1 --out bad --set model.classes=7")
        .fails(2, &["7 outputs", "10 actions"]);
}

#[test]
fn a_sweep_takes_agents() {
    let place = Place::new();
    place.write(
        "tasks.toml",
        "# Two tasks.\npreset = \"mdp-strokes\"\nseeds = [1, 2]\n[set]\nagent.steps = 400\nagent.learning_starts = 100\n\
         model.hidden = [8]\nenvironment.images = 200\nagent.log_every = 100\n[grid]\nenvironment.task = [\"true\", \"random\"]\n",
    );
    let listed = place.ht("sweep tasks.toml --dry-run").succeeds().stdout;
    assert!(listed.contains("4 runs, 0 of them finished; 1600 steps"), "{listed}");
    place.ht("sweep tasks.toml --out s --device cpu --threads 2").succeeds();
    let again = place.ht("sweep tasks.toml --dry-run --out s").succeeds().stdout;
    assert!(again.contains("4 runs, 4 of them finished"), "{again}");
    place.write(
        "chains.toml",
        "# Two chains.\npreset = \"chain\"\n[set]\nagent.steps = 600\n[grid]\nagent.n_step = [1, 2]\n",
    );
    let listed = place.ht("sweep chains.toml --dry-run").succeeds().stdout;
    assert!(listed.contains("2 runs, 0 of them finished; 1200 steps"), "{listed}");
    place.ht("sweep chains.toml --out s --device cpu --threads 2").succeeds();
}
