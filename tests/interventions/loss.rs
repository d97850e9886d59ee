//! Methods in the loss.

use super::*;

#[test]
fn the_tortoise_of_self_distillation_averages_and_teaches_but_does_not_predict() {
    let run = Experiment::new(&["intervention.method=self-distillation"]);
    let mut last = run.before(0);
    for step in 1..5 {
        let now = run.before(step);
        assert_blend(&now.tortoise, 0.9, &last.tortoise, &now.hare, &format!("before step {step}"));
        last = now;
    }
    let plain = Experiment::new(&["intervention.method=ema"]);
    assert_ne!(bits(&last.hare), bits(&plain.before(4).hare), "it teaches");
    run.at_the_end();
    let folder = lifecycle::path_of(&run.config, run.out.path());
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert!(
        metrics.contains("\"test_accuracy\"") && !metrics.contains("tortoise_test_accuracy"),
        "{metrics}"
    );
    // Joined with EMA there is one tortoise, and it predicts.
    let both = Experiment::new(&["intervention.method=self-distillation+ema"]);
    both.at_the_end();
    assert_eq!(bits(&both.state_now().tortoise), bits(&run.state_now().tortoise));
    let folder = lifecycle::path_of(&both.config, both.out.path());
    assert!(
        std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap().contains("tortoise_test_accuracy")
    );
}

#[test]
fn methods_in_the_loss_change_nothing_at_strength_0_and_the_logged_loss_at_others() {
    let method = "intervention.method=spectral-decoupling+self-distillation+regen";
    let keys = ["spectral-decoupling.strength", "self-distillation.strength", "regen.strength"];
    let plain = Experiment::new(&[]);
    plain.at_the_end();
    let loss = |run: &Experiment| {
        let folder = lifecycle::path_of(&run.config, run.out.path());
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let line = metrics.lines().filter(|line| line.contains("train_loss")).nth(1).unwrap().to_string();
        line.parse::<serde_json::Value>().unwrap()["train_loss"].as_f64().unwrap()
    };
    for strong in [None, Some(0), Some(1), Some(2)] {
        let sets: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| format!("intervention.{key}={}", if strong == Some(i) { 10 } else { 0 }))
            .collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).chain([method]).collect();
        let run = Experiment::new(&sets);
        let end = run.at_the_end();
        match strong {
            None => assert_eq!(end.hare, plain.state_now().hare),
            Some(_) => assert!(loss(&run) > loss(&plain) + 1e-3, "{sets:?}: {}", loss(&run)),
        }
    }
}
