//! A random walk beside an agent, and looks that no run would write.

use super::*;

fn look(largest: f64, clusters: &str, cells: &str, from: f64) -> String {
    format!(
        "{{\"hessian_largest\":{largest},\"hessian_smallest\":-1.5,\"mean_cosine\":0.25,\"negative_share\":0.125,\
         \"distance\":2,\"density\":{{\"from\":{from},\"to\":2.0,\"values\":[0.0,1.0,0.5]}},\
         \"clusters\":{clusters},\"cells\":{cells}}}"
    )
}

fn drawn(looks: &[(u64, String, String)]) -> (TempDir, Vec<HashMap<String, String>>) {
    let root = TempDir::new().unwrap();
    let line = |(updates, agent, walk): &(u64, String, String)| {
        format!(
            "{{\"step\":{updates},\"updates\":{updates},\"curvature\":{{\"agent\":{agent},\"walk\":{walk}}}}}\n"
        )
    };
    let metrics = looks.iter().map(line).collect::<String>() + "{\"step\":9,\"reward_per_step\":0.5}\n";
    let sections = "[environment]\nset = \"mnist\"\ntask = \"true\"\n[agent]\nsteps = 9\n".to_string();
    RunFolder { sections, metrics, ..RunFolder::new("walk", "r1", 1) }.write(&root.path().join("runs"));
    make(&root);
    let rows = parse_csv(&output(&root, "tables/curvature-walk-mlp-512-256-none.csv"));
    (root, rows)
}

#[test]
fn both_networks_have_rows_and_a_picture_each() {
    let of = |largest| look(largest, "[1,1]", "[100,-50,-50,100]", -2.0);
    let (root, rows) = drawn(&[(0, of(1.0), of(1.0)), (8, of(3.5), of(1.25))]);
    let found: Vec<_> = rows.iter().map(|row| (row["network"].as_str(), row["updates"].as_str())).collect();
    let [descent, walk] = ["agent", "random walk"];
    assert_eq!(found, [(descent, "0"), (descent, "8"), (walk, "0"), (walk, "8")]);
    close(&rows[1]["hessian_largest"], 3.5);
    close(&rows[3]["hessian_largest"], 1.25);
    close(&rows[1]["negative_pairs_percent"], 12.5);
    let picture = |name: &str| output(&root, &format!("figures/curvature-walk-mlp-512-256-none-{name}.svg"));
    let (first, last) = (picture("gradients-0"), picture("gradients-8"));
    assert!(first.contains("first weights") && !first.contains("random walk"), "one network");
    assert!(last.contains("agent, 8 updates") && last.contains("random walk, 8 updates"));
    texts_are_apart("gradients-8", &last);
    let spectrum = picture("spectrum");
    texts_are_apart("spectrum", &spectrum);
    assert!(spectrum.contains("first weights") && spectrum.contains("largest eigenvalue 3.5000"));
}

#[test]
fn looks_that_cannot_be_are_drawn_as_far_as_they_go() {
    let most = u64::MAX.to_string();
    let odd = look(1e300, &format!("[{most},{most}]"), "[1,2,3]", -1.7e308);
    let (_, rows) = drawn(&[(3, odd, look(1.0, "[]", "[]", 2.0))]);
    assert_eq!(rows.len(), 2);
}
