//! The curvature of agents' networks, and of random walks beside them: Fig. 2 and 19 to 22 of Lyle and others 2023.

use super::{section, stem};
use crate::group::Group;
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::cosines::{CosineMatrix, side_by_side};
use crate::plots::lines::{Horizontal, Lines, Point, Series, Vertical};
use crate::read::{Look, Run};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "The agent's network, and where there is one a random walk, which begins with the same weights and takes steps of the \
    lengths of the agent's updates. They are looked at with the loss mean (f(X) - stop(f(X)) + e)² with e ~ N(0, 1), on the same examples: the \
    density of the eigenvalues of its Hessian, and the cosines between the gradients of the examples, sorted by cluster. The \
    first run of each configuration is shown.";

/// Below this a density is drawn as this: beyond the outermost eigenvalues it falls to nothing.
const LEAST_DENSITY: f64 = 1e-6;

/// What the two networks are called in metrics, and in words.
const NETWORKS: [(&str, &str); 2] = [("agent", "agent"), ("walk", "random walk")];

/// The networks that are to be told apart after so many updates: before the first they are one.
fn seen_at(updates: u64) -> &'static [(&'static str, &'static str)] {
    if updates == 0 { &NETWORKS[..1] } else { &NETWORKS }
}

fn named(words: &str, updates: u64) -> String {
    if updates == 0 { "first weights".into() } else { format!("{words}, {updates} updates") }
}

/// A block for each configuration that was looked at.
pub(crate) fn make(agents: &[Group]) -> Option<Section> {
    let of = |group: &Group| {
        let run = group.drawn().iter().find(|run| !run.looks.is_empty())?;
        let words =
            [&[group.experiment.clone(), group.model.clone(), group.method.clone()], &group.settings[..]];
        Some(block(&words.concat().join(", "), run))
    };
    section("Curvature of agents", INTRO, agents.iter().filter_map(of).collect())
}

fn block(title: &str, run: &Run) -> Block {
    let name = stem(&["curvature", title]);
    let last = run.looks.last_key_value().filter(|_| run.looks.len() > 1);
    let ends: Vec<(&u64, &BTreeMap<String, Look>)> =
        run.looks.first_key_value().into_iter().chain(last).collect();
    let seed = run.seed;
    let mut figures = vec![Figure {
        stem: format!("{name}-spectrum"),
        caption: format!("Density of the eigenvalues of the Hessian: {title}, seed {seed}."),
        svg: densities(title, &ends),
    }];
    for (updates, look) in &ends {
        figures.push(Figure {
            stem: format!("{name}-gradients-{updates}"),
            caption: format!("Cosines between gradients after {updates} updates: {title}, seed {seed}."),
            svg: matrices(**updates, look),
        });
    }
    Block { title: title.to_string(), figures, sheets: vec![sheet(name, run)], ..Block::default() }
}

fn densities(title: &str, ends: &[(&u64, &BTreeMap<String, Look>)]) -> crate::plots::Svg {
    let mut series = Vec::new();
    for (updates, look) in ends {
        for (key, words) in seen_at(**updates) {
            let Some(Look { density, hessian_largest, .. }) = look.get(*key) else { continue };
            if !(density.to - density.from).is_finite() {
                continue;
            }
            let count = density.values.len().saturating_sub(1).max(1) as f64;
            let point = |(index, value): (usize, &f64)| Point {
                x: density.from + (density.to - density.from) * index as f64 / count,
                mean: value.max(LEAST_DENSITY).log10(),
                std: None,
                shown: true,
            };
            series.push(Series {
                label: named(words, **updates),
                detail: format!("largest eigenvalue {hessian_largest:.4}"),
                points: density.values.iter().enumerate().map(point).collect(),
            });
        }
    }
    let lines = Lines {
        title: title.to_string(),
        vertical: Vertical::Number("density, power of ten"),
        horizontal: Horizontal::Number("eigenvalue"),
        series,
        boundaries: BTreeSet::new(),
    };
    lines.draw()
}

fn matrices(updates: u64, look: &BTreeMap<String, Look>) -> crate::plots::Svg {
    let found = seen_at(updates).iter().filter_map(|(key, words)| Some((look.get(*key)?, *words)));
    let drawn: Vec<_> = found
        .map(|(look, words)| {
            // A matrix that is not square, of a damaged file, is drawn as far as it goes.
            let side = look.cells.len().isqrt();
            let cosines: Vec<f64> =
                look.cells[..side * side].iter().map(|&cell| f64::from(cell) / 100.0).collect();
            let all = look.clusters.iter().fold(0, |sum: usize, size| sum.saturating_add(*size)).max(1);
            let mut at = 0usize;
            let groups = look.clusters.iter().map(|size| {
                let from = at;
                at = at.saturating_add(*size);
                let cell = |row: usize| row.saturating_mul(side) / all;
                cell(at).saturating_sub(cell(from))
            });
            let groups: Vec<usize> = groups.collect();
            let negative = 100.0 * look.negative_share;
            let caption = format!("mean cosine {:.4}, {negative:.1} % of pairs negative", look.mean_cosine);
            (named(words, updates), caption, cosines, groups)
        })
        .collect();
    let matrices: Vec<_> = drawn
        .iter()
        .map(|(title, caption, cosines, groups)| CosineMatrix { title, caption, cosines, groups })
        .collect();
    side_by_side(&matrices)
}

fn sheet(stem: String, run: &Run) -> Sheet {
    let number = |decimals| Kind::Number { decimals, signed: false };
    let columns = vec![
        Column::new("network", "network", Kind::Text),
        Column::new("updates", "updates", Kind::Count),
        Column::new("largest eigenvalue", "hessian_largest", number(4)),
        Column::new("smallest eigenvalue", "hessian_smallest", number(4)),
        Column::new("mean cosine", "mean_cosine", number(4)),
        Column::new("negative pairs [%]", "negative_pairs_percent", number(1)),
        Column::new("distance from first weights", "distance", number(3)),
    ];
    let mut rows = Vec::new();
    for (key, words) in NETWORKS {
        for (updates, look) in
            run.looks.iter().filter_map(|(updates, looks)| Some((updates, looks.get(key)?)))
        {
            let numbers = [
                look.hessian_largest,
                look.hessian_smallest,
                look.mean_cosine,
                100.0 * look.negative_share,
                look.distance,
            ];
            let mut row = vec![Cell::Text(words.into()), Cell::Count(*updates as usize)];
            row.extend(numbers.map(|number| Cell::Number(Some(number))));
            rows.push(row);
        }
    }
    Sheet { stem, caption: "Both networks at each look.".into(), columns, rows }
}
