//! An update as launches: a batch of the replay, both networks, target, loss, gradient, optimiser, average.

use super::diagnostics::{RING_ROWS, ROW_WORDS};
use super::observations::Observations;
use super::options::Options;
use super::output::Next;
use super::place::Place;
use super::synchronise::{Target, follow};
use crate::error::Result;
use engine::ops::Outcomes;
use engine::optim::{Optimizer, OptimizerMemory};
use engine::{Buffer, Device, Graph, Launch, Memory, Mode, NetworkId, Plan, Slice, Wanted, Workspace};
use kernels::replay::{Draw, Fetch, Ring};
use kernels::value::RecordValues;
use std::sync::Arc;

/// A batch of transitions, taken apart; the launches draw it.
pub(super) struct Fetched {
    pub(super) launches: Vec<Launch>,
    pub(super) state: Slice,
    pub(super) next_state: Slice,
    pub(super) action: Slice,
    pub(super) reward: Slice,
    pub(super) discount: Slice,
}

/// A batch from a replay.
pub(super) fn fetch(device: &Device, (replay, ring): (&Buffer, Ring), batch: usize) -> Result<Fetched> {
    let vector = |name: &str| -> Result<Slice> { Ok(device.buffer(name, batch)?.slice(0, batch)) };
    let observations = |name: &str| -> Result<Slice> {
        let words = batch * ring.observation;
        Ok(device.buffer(name, words)?.slice(0, words))
    };
    let (index, state, next_state) =
        (vector("drawn")?, observations("states")?, observations("next states")?);
    let (action, reward, discount) = (vector("actions")?, vector("rewards")?, vector("discounts")?);
    let parts = [&index, &state, &next_state, &action, &reward, &discount].map(Slice::clone);
    let slices = std::iter::once(replay.slice(0, ring.len())).chain(parts).collect();
    let launches = vec![
        Launch::new("draw", Arc::new(Draw { batch, capacity: ring.capacity }), vec![index]),
        Launch::new("fetch", Arc::new(Fetch { ring, batch }), slices),
    ];
    Ok(Fetched { launches, state, next_state, action, reward, discount })
}

/// The launches of an update, and the inputs of the batch's states, which stay until the next one.
pub(super) fn update(
    place: &Place<'_>,
    options: &Options,
    (observations, replay, ring): (&Observations, &Buffer, Ring),
    workspace: &mut Workspace,
) -> Result<(Vec<Launch>, Slice)> {
    let Place { device, model, online, target, moments, winograd, diagnostics } = *place;
    let (parameters, input, batch) = (model.parameters(), model.input(), options.batch);
    let pixels = input.image_size * input.image_size * input.channels;
    let Fetched { mut launches, state, next_state, action, reward, discount } =
        fetch(device, (replay, ring), batch)?;
    let [x, next_x] = ["images", "next images"].map(|name| device.buffer(name, batch * pixels));
    let (x, next_x) = (x?.slice(0, batch * pixels), next_x?.slice(0, batch * pixels));

    launches.extend(observations.launches(device, state, x.clone())?);
    launches.extend(observations.launches(device, next_state, next_x.clone())?);

    let mut graph = Graph::training(parameters);
    graph.set_winograd(winograd);
    let network = graph.network("target", parameters);
    let shape = [batch, input.image_size, input.image_size, input.channels];
    let (seen, next_seen) = (graph.input("x", &shape), graph.input("next_x", &shape));
    let taken = graph.input("action", &[batch]);
    let outcomes =
        Outcomes { reward: graph.input("reward", &[batch]), discount: graph.input("discount", &[batch]) };
    let mut next_outputs =
        |network| graph.with(network, Mode::Evaluation, |graph| model.forward(graph, next_seen));
    let next = Next {
        outcomes,
        outputs: next_outputs(network)?,
        selector: options.double.then(|| next_outputs(NetworkId::FIRST)).transpose()?,
    };
    let outputs = model.forward(&mut graph, seen)?;
    let loss = options.output.loss(&mut graph, outputs, taken, next, options.criterion)?;
    graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
    let q = options.output.values(&mut graph, outputs)?;
    graph.output("q", q);
    graph.output("row_loss", loss.row_loss);

    let words = parameters.words();
    let gradients = device.buffer("gradients", words)?;
    let memory = Memory {
        networks: &[(online, Some(&gradients)), (target, None)],
        inputs: &[
            ("x", x.clone()),
            ("next_x", next_x),
            ("action", action),
            ("reward", reward),
            ("discount", discount),
        ],
    };
    let bound = Plan::new(&graph).bind(device, &memory, workspace)?;
    launches.extend(bound.launches);
    let actions = input.classes / options.output.width();
    launches.push(Launch::new(
        "record",
        Arc::new(RecordValues { rows: batch, actions, ring_rows: RING_ROWS, words: ROW_WORDS }),
        vec![
            bound.outputs["row_loss"].clone(),
            bound.outputs["q"].clone(),
            diagnostics.slice(0, RING_ROWS * ROW_WORDS),
        ],
    ));
    launches.extend(options.decayed().launches(
        words,
        &OptimizerMemory {
            parameters: &online.parameters,
            gradients: &gradients,
            states: &moments.iter().map(|(_, arena)| arena).collect::<Vec<_>>(),
            clip: &device.buffer("clip factor", 2)?,
            ring: diagnostics,
            ring_rows: RING_ROWS,
            row_words: ROW_WORDS,
        },
    ));
    if let Target::Average { momentum } = options.target {
        launches.extend(follow("target follows", parameters, target, online, momentum));
    }
    Ok((launches, x))
}
