//! The last layer, weight and bias, gets first weights of a draw of its own each time; what Adam keeps for it becomes 0.
//!
//! The paper resets the last layer at each target update and says no more. In the supervised experiments a head reset copies
//! the run's first weights back, which here would undo the same way a hundred times.

use super::super::place::Place;
use super::cleared;
use crate::error::Result;
use crate::interventions::perturbation;
use engine::Launch;

/// The launches of a reset.
pub(super) fn launches(place: &Place<'_>) -> Result<Vec<Launch>> {
    let parameters = place.model.parameters();
    let segments = parameters.trained();
    let last = segments.last().map_or("", |segment| segment.layer());
    let first = segments.iter().find(|segment| segment.layer() == last);
    let range = first.map_or(0, |segment| segment.offset)..parameters.words();
    let arena = &place.online.parameters;
    let mut launches = vec![perturbation(place.device, parameters, arena, range.clone(), (0.0, 1.0))?];
    launches.extend(place.moments.iter().map(|(_, arena)| cleared(arena, range.clone())));
    Ok(launches)
}
