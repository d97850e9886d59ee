//! Rows of a matrix in clusters, so that those that are alike lie side by side.

use kernels::random::{pcg4d, unit};

/// The stream of the first centres: the third word of every counter.
const STREAM: u32 = 0x3000_0000;

/// Rounds after which the search ends even if rows still change places.
const MOST_ROUNDS: usize = 300;

/// Rows sorted by cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The rows, those of a cluster side by side in their own order; larger clusters come first.
    pub order: Vec<usize>,
    /// Rows of each cluster that has any.
    pub sizes: Vec<usize>,
}

/// Clusters of the rows of `[rows, columns]` by k-means (Lloyd 1982), from first centres that are rows drawn with
/// probabilities in proportion to their squared distance from the nearest one before (k-means++, Arthur and Vassilvitskii
/// 2007). The same seed gives the same clusters; ties go to the centre that was drawn first.
pub fn k_means(matrix: &[f64], rows: usize, clusters: usize, seed: u32) -> Clusters {
    let columns = matrix.len() / rows.max(1);
    let row = |index: usize| &matrix[index * columns..(index + 1) * columns];
    let mut centres = first_centres(row, rows, clusters, seed);
    let mut of_row = vec![usize::MAX; rows];
    for _ in 0..MOST_ROUNDS {
        let nearest: Vec<usize> = (0..rows).map(|index| nearest(row(index), &centres)).collect();
        if nearest == of_row {
            break;
        }
        of_row = nearest;
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members: Vec<usize> = (0..rows).filter(|&index| of_row[index] == cluster).collect();
            // A centre that lost all its rows stays where it is.
            for (column, value) in centre.iter_mut().enumerate().filter(|_| !members.is_empty()) {
                let sum: f64 = members.iter().map(|&member| row(member)[column]).sum();
                *value = sum / members.len() as f64;
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); centres.len()];
    (0..rows).for_each(|index| groups[of_row[index]].push(index));
    groups.retain(|group| !group.is_empty());
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    Clusters { sizes: groups.iter().map(Vec::len).collect(), order: groups.concat() }
}

/// Rows as first centres: fewer than asked for where there are not so many different ones.
fn first_centres<'m>(
    row: impl Fn(usize) -> &'m [f64],
    rows: usize,
    clusters: usize,
    seed: u32,
) -> Vec<Vec<f64>> {
    let mut centres: Vec<Vec<f64>> = Vec::new();
    let mut weights = vec![1.0; rows];
    for index in 0..clusters.max(1).min(rows) {
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            break;
        }
        let target = total * f64::from(unit(pcg4d([index as u32, 0, STREAM, seed])[0]));
        let mut sum = 0.0;
        let drawn = weights.iter().position(|&weight| {
            sum += weight;
            weight > 0.0 && sum > target
        });
        // Rounding may leave the target just beyond the sum.
        let drawn = drawn.or(weights.iter().rposition(|&weight| weight > 0.0)).unwrap_or(0);
        let centre = row(drawn).to_vec();
        for (index, weight) in weights.iter_mut().enumerate() {
            let distance = distance(row(index), &centre);
            *weight = if centres.is_empty() { distance } else { weight.min(distance) };
        }
        centres.push(centre);
    }
    centres
}

/// The first of the nearest centres.
fn nearest(row: &[f64], centres: &[Vec<f64>]) -> usize {
    let distances = centres.iter().map(|centre| distance(row, centre)).enumerate();
    distances.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(index, _)| index)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three heaps of 6, 4 and 2 points in the plane, dealt out in turns.
    fn heaps() -> (Vec<f64>, Vec<usize>) {
        let of_row = vec![0, 1, 0, 2, 1, 0, 0, 1, 2, 0, 1, 0];
        let at = [(0.0, 0.0), (10.0, 1.0), (3.0, 9.0)];
        let point = |(index, &heap): (usize, &usize)| {
            let (x, y): (f64, f64) = at[heap];
            [x + 0.1 * index as f64, y - 0.05 * index as f64]
        };
        (of_row.iter().enumerate().flat_map(point).collect(), of_row)
    }

    #[test]
    fn heaps_are_found_whatever_the_seed_and_lie_in_order() {
        let (points, of_row) = heaps();
        for seed in 0..20 {
            let clusters = k_means(&points, 12, 3, seed);
            assert_eq!(clusters.sizes, [6, 4, 2], "seed {seed}");
            let heaps: Vec<usize> = clusters.order.iter().map(|&row| of_row[row]).collect();
            assert_eq!(heaps, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
            assert_eq!(clusters.order[..6], [0, 2, 5, 6, 9, 11]);
            assert_eq!(clusters, k_means(&points, 12, 3, seed));
        }
    }

    #[test]
    fn every_row_has_a_place_with_any_number_of_clusters() {
        let (points, _) = heaps();
        for clusters in [1, 2, 5, 12, 40] {
            let mut order = k_means(&points, 12, clusters, 1).order;
            order.sort_unstable();
            assert_eq!(order, (0..12).collect::<Vec<_>>());
        }
        // Equal rows are one cluster.
        assert_eq!(k_means(&[2.0; 14], 7, 3, 1), Clusters { order: (0..7).collect(), sizes: vec![7] });
        assert_eq!(k_means(&[], 0, 3, 1), Clusters { order: vec![], sizes: vec![] });
    }
}
