//! Curves over label sets.

use super::*;

#[test]
fn a_label_set_counts_at_its_end_and_only_where_it_was_trained_on() {
    let root = TempDir::new().unwrap();
    let line = |step: u64, set: u64, accuracy: f64, dead: f64| {
        format!(
            "{{\"step\":{step},\"epoch\":{step},\"phase\":{set},\"test_accuracy\":0.1,\
             \"label_set_accuracy\":{accuracy},\"dead_unit_share\":{dead}}}\n"
        )
    };
    for (id, seed, shift) in [("r1", 1, 0.0), ("r2", 2, 0.1)] {
        // The third label set has begun and no more.
        let lines =
            [(0, 0, 0.1, 0.0), (10, 0, 0.8, 0.1), (10, 1, 0.1, 0.1), (20, 1, 0.5, 0.3), (20, 2, 0.1, 0.3)];
        let metrics =
            lines.map(|(step, set, accuracy, dead)| line(step, set, accuracy + shift, dead)).concat();
        let sections = "[protocol]\nratios = [1.0]\nnoise = [0.0]\nlabel_sets = 3\n".to_string();
        let folder = RunFolder { sections, metrics, ..RunFolder::new("memorise", id, seed) };
        folder.write(&root.path().join("runs"));
    }
    make(&root);
    let rows = parse_csv(&output(&root, "tables/memorisation-memorise.csv"));
    assert_eq!(rows.len(), 2);
    for (row, set, accuracy, dead) in [(&rows[0], "1", 85.0, 10.0), (&rows[1], "2", 55.0, 30.0)] {
        assert_eq!((row["label_set"].as_str(), row["seeds"].as_str()), (set, "2"));
        close(&row["accuracy_percent_mean"], accuracy);
        close(&row["accuracy_percent_std"], 0.005_f64.sqrt() * 100.0);
        close(&row["dead_units_percent_mean"], dead);
    }
    let last = parse_csv(&output(&root, "tables/memorisation-memorise-last.csv"));
    assert_eq!((last.len(), last[0]["label_set"].as_str()), (1, "2"));
    for name in ["accuracy", "dead-units"] {
        let svg = output(&root, &format!("figures/memorisation-{name}-memorise.svg"));
        texts_are_apart(name, &svg);
        assert!(svg.contains("label set") && svg.contains("n = 2"), "{svg}");
    }
}
