//! ReDo for agents: scores over the states of the batch of the last update, in evaluation mode; else as
//! [`crate::interventions::Redo`] has it, whose launches recycle.

use super::super::place::Place;
use crate::error::{Error, Result};
use crate::interventions::recycling;
use crate::trainer::unit_slices;
use engine::device::ALIGNMENT;
use engine::{Graph, Launch, Memory, NetworkId, Plan, Slice, Workspace};
use kernels::arena::Fill;
use kernels::reduce::Activity;
use kernels::units::Dormant;
use std::sync::Arc;

/// The launches that find dormant units and recycle them.
pub(super) fn launches(
    place: &Place<'_>,
    states: &Slice,
    threshold: f64,
    workspace: &mut Workspace,
) -> Result<Vec<Launch>> {
    let (device, model) = (place.device, place.model);
    let input = model.input();
    let pixels = input.image_size * input.image_size * input.channels;
    let mut graph = Graph::evaluation(model.parameters());
    graph.set_winograd(place.winograd);
    let shape = [states.words / pixels, input.image_size, input.image_size, input.channels];
    let seen = graph.input("x", &shape);
    model.forward(&mut graph, seen)?;
    let groups = graph.units(NetworkId::FIRST);
    if groups.is_empty() {
        return Err(Error::Mismatch(
            "redo, but the model has no layer whose units could be recycled: give it a hidden layer without layer \
             normalisation"
                .into(),
        ));
    }
    let (sums, activity) = unit_slices(device, "activity of units", &groups)?;
    let (_, dormant) = unit_slices(device, "dormant units", &groups)?;
    let counts = device.buffer("numbers of dormant units", groups.len() * ALIGNMENT)?;
    let clear = Fill { len: sums.words(), value: 0.0 };
    let mut launches = vec![Launch::new("clear activity", Arc::new(clear), vec![sums.all()])];

    let names: Vec<String> = groups.iter().map(|group| format!("activity {}", group.layer)).collect();
    for (group, name) in groups.iter().zip(&names) {
        graph.measure(group, Activity::Magnitude, name);
    }
    let mut inputs = vec![("x", states.clone())];
    inputs.extend(names.iter().map(String::as_str).zip(activity.iter().cloned()));
    let memory = Memory { networks: &[(place.online, None)], inputs: &inputs };
    launches.extend(Plan::new(&graph).bind(device, &memory, workspace)?.launches);
    for (index, group) in groups.iter().enumerate() {
        let kernel = Dormant { units: group.count, values: group.values, threshold: threshold as f32 };
        let count = counts.slice(index * ALIGNMENT, 1);
        let slices = vec![activity[index].clone(), dormant[index].clone(), count];
        launches.push(Launch::new(format!("dormant units {}", group.layer), Arc::new(kernel), slices));
    }
    let moments: Vec<_> = place.moments.iter().map(|(_, arena)| arena).collect();
    launches.extend(recycling(place.online, &moments, &groups, &dormant));
    Ok(launches)
}
