//! The planner: gives every activation a block of memory, shared by those that are never needed at the same time.
//!
//! Large activations are placed first, each in the tightest gap that is free all the time that it lives (greedy by size,
//! Pisarchyk and Lee 2020): what is small and late fits between and behind what is large, and no block is larger than the
//! largest tensor in it.
//!
//! There are several blocks, each a buffer of its own, because a GPU tracks whole buffers: a launch may not read one half
//! of a buffer and write the other. So the tensors of one launch never lie in the same block.

use crate::device::{ALIGNMENT, Buffer, Device, Launch, Slice, padded};
use crate::error::{Error, Result};
use crate::graph::{Graph, NetworkId, Storage, Tensor};
use crate::network::Network;
use std::cmp::Reverse;
use std::collections::HashMap;

/// A graph with memory assigned, ready to be bound to buffers.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g Graph<'g>,
    /// Words of each block.
    blocks: Vec<usize>,
    /// Where each activation lies.
    places: HashMap<Tensor, Place>,
}

/// A place in a block.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: usize,
    /// First word.
    offset: usize,
}

/// An activation that needs a place.
#[derive(Debug)]
struct Activation {
    tensor: Tensor,
    words: usize,
    /// The nodes that use it, in order. It lives from the first to the last.
    uses: Vec<usize>,
}

/// The buffers a graph works on.
#[derive(Clone, Debug)]
pub struct Memory<'a> {
    /// The arenas of the graph's networks, in the order in which it got them, each with the arena of its gradients where
    /// [`Graph::backward`] wants those of its parameters.
    pub networks: &'a [(&'a Network, Option<&'a Buffer>)],
    /// Buffers of the graph's inputs by name.
    pub inputs: &'a [(&'a str, Slice)],
}

/// Blocks shared by programs that never run at the same time, such as those for full and for last batches.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    blocks: Vec<Buffer>,
}

/// Launches of a bound graph, and where its outputs lie.
#[derive(Debug)]
pub struct Bound {
    /// The launches in order.
    pub launches: Vec<Launch>,
    /// Memory of the outputs by name.
    pub outputs: HashMap<String, Slice>,
}

impl<'g> Plan<'g> {
    /// Gives every activation a place: it lives from the node that writes it to the last that uses it.
    pub fn new(graph: &'g Graph<'g>) -> Self {
        let mut order = activations(graph);
        order.sort_by_key(|activation| (Reverse(activation.words), activation.first(), activation.tensor.0));
        // The size of each block, and what lies in it at which word.
        let mut blocks: Vec<(usize, Vec<(usize, Activation)>)> = Vec::new();
        let mut places = HashMap::new();
        for activation in order {
            let gaps = blocks.iter().enumerate().filter_map(|(block, (words, held))| {
                let (gap, offset) = activation.tightest_gap(*words, held)?;
                // Of equal gaps the one used last before: on a CPU it may still be in the cache.
                let before =
                    held.iter().map(|(_, other)| other.last()).filter(|&end| end < activation.first());
                Some((gap, Reverse(before.max()), block, offset))
            });
            let place = match gaps.min() {
                Some((_, _, block, offset)) => Place { block, offset },
                None => {
                    blocks.push((activation.words, Vec::new()));
                    Place { block: blocks.len() - 1, offset: 0 }
                }
            };
            places.insert(activation.tensor, place);
            blocks[place.block].1.push((place.offset, activation));
        }
        Self { graph, blocks: blocks.into_iter().map(|(words, _)| words).collect(), places }
    }

    /// Bytes of all blocks: the peak of activation memory.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().sum::<usize>() as u64 * 4
    }

    /// Bytes that the activations would take without sharing.
    pub fn unshared_bytes(&self) -> u64 {
        self.places.keys().map(|&tensor| padded(self.graph.len(tensor)) as u64 * 4).sum()
    }

    /// Binds the graph to buffers: launches, and the slices of its outputs.
    ///
    /// # Errors
    /// Out of memory; an input without a buffer, or with one that is too small.
    pub fn bind(&self, device: &Device, memory: &Memory<'_>, workspace: &mut Workspace) -> Result<Bound> {
        let blocks = workspace.take(device, &self.blocks)?;
        let mut launches = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            let slices = node
                .tensors
                .iter()
                .map(|&tensor| self.slice(tensor, memory, &blocks))
                .collect::<Result<_>>()?;
            launches.push(Launch::new(node.label.clone(), node.kernel.clone(), slices));
        }
        let mut outputs = HashMap::new();
        for (name, tensor) in &self.graph.outputs {
            outputs.insert(name.clone(), self.slice(*tensor, memory, &blocks)?);
        }
        Ok(Bound { launches, outputs })
    }

    fn slice(&self, tensor: Tensor, memory: &Memory<'_>, blocks: &[Buffer]) -> Result<Slice> {
        let root = self.graph.root(tensor);
        let words = self.graph.len(root);
        let network = |id: NetworkId| match memory.networks.get(id.0) {
            Some(&(network, gradients)) => Ok((network, gradients)),
            None => {
                let (need, have) = (self.graph.networks.len(), memory.networks.len());
                Err(Error::shape("bind", format!("arenas of {have} networks for a graph of {need}")))
            }
        };
        let arena = |buffer: &Buffer| buffer.slice(self.graph.segment(root).offset, words);
        Ok(match &self.graph.tensors[root.0].storage {
            Storage::Activation => {
                let place = self.places[&root];
                blocks[place.block].slice(place.offset, words)
            }
            Storage::Parameter(id, _) => arena(&network(*id)?.0.parameters),
            Storage::Statistic(id, _) => arena(&network(*id)?.0.statistics),
            Storage::Gradient(id, _) => match network(*id)?.1 {
                Some(gradients) => arena(gradients),
                None => {
                    return Err(Error::shape("bind", "a graph with a backward pass needs a gradient arena"));
                }
            },
            Storage::Input(name) => match memory.inputs.iter().find(|(given, _)| given == name) {
                Some((_, slice)) if slice.words >= words && slice.offset.is_multiple_of(ALIGNMENT) => {
                    slice.clone()
                }
                _ => {
                    return Err(Error::shape(
                        "bind",
                        format!("no buffer of {words} words for the input '{name}'"),
                    ));
                }
            },
            Storage::View(_) | Storage::Detached(_) => unreachable!("a root is no view"),
        })
    }
}

/// The activations of a graph with their uses; an output is used for ever.
fn activations(graph: &Graph<'_>) -> Vec<Activation> {
    let mut uses: HashMap<Tensor, Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for root in node.tensors.iter().map(|&tensor| graph.root(tensor)) {
            if graph.tensors[root.0].storage == Storage::Activation {
                uses.entry(root).or_default().push(index);
            }
        }
    }
    for root in graph.outputs.iter().map(|(_, tensor)| graph.root(*tensor)) {
        if let Some(uses) = uses.get_mut(&root) {
            uses.push(usize::MAX);
        }
    }
    let activation = |(tensor, uses)| Activation { tensor, words: padded(graph.len(tensor)), uses };
    uses.into_iter().map(activation).collect()
}

impl Activation {
    fn first(&self) -> usize {
        self.uses[0]
    }

    fn last(&self) -> usize {
        self.uses[self.uses.len() - 1]
    }

    /// Size and first word of the smallest gap of a block into which this fits, if it may lie in the block at all.
    /// `held` is what the block holds at which word.
    fn tightest_gap(&self, block: usize, held: &[(usize, Activation)]) -> Option<(usize, usize)> {
        let lives_with = |other: &Activation| self.first() <= other.last() && other.first() <= self.last();
        let mut taken = Vec::new();
        for (offset, other) in held.iter().filter(|(_, other)| lives_with(other)) {
            if other.uses.iter().any(|node| *node != usize::MAX && self.uses.contains(node)) {
                return None;
            }
            taken.push((*offset, other.words));
        }
        taken.sort_unstable();
        let (mut start, mut tightest) = (0, None);
        for (offset, words) in taken.into_iter().chain([(block, 0)]) {
            let gap = (offset.saturating_sub(start), start);
            if gap.0 >= self.words && tightest.is_none_or(|tightest| gap < tightest) {
                tightest = Some(gap);
            }
            // What the others hold may overlap: they need not live with each other.
            start = start.max(offset + words);
        }
        tightest
    }
}

impl Workspace {
    /// A buffer for every block, larger ones first; buffers that are too small are replaced for later programs.
    fn take(&mut self, device: &Device, sizes: &[usize]) -> Result<Vec<Buffer>> {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(sizes[i]));
        self.blocks.sort_by_key(|block| std::cmp::Reverse(block.words()));
        let mut taken = vec![None; sizes.len()];
        for (rank, &index) in order.iter().enumerate() {
            match self.blocks.get(rank) {
                Some(block) if block.words() >= sizes[index] => {}
                Some(_) => self.blocks[rank] = device.buffer("activations", sizes[index])?,
                None => self.blocks.push(device.buffer("activations", sizes[index])?),
            }
            taken[index] = Some(self.blocks[rank].clone());
        }
        Ok(taken.into_iter().map(|block| block.expect("every block was given a buffer")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parameters;
    use crate::graph::Wanted;
    use crate::layers::{BatchNorm, Conv2d};

    #[test]
    fn a_residual_network_needs_what_lives_at_once_and_no_launch_meets_itself_in_a_block() {
        let mut parameters = Parameters::new();
        let mut layer = |name: &str, channels: [usize; 2], kernel: usize, stride: usize| {
            let name = format!("backbone.{name}");
            let conv = Conv2d::new(&mut parameters, &name, channels, kernel, stride, kernel / 2, false);
            (conv, BatchNorm::new(&mut parameters, &format!("{name}.norm"), channels[1]))
        };
        let stem = layer("stem", [3, 8], 3, 1);
        let blocks = [8, 16, 32].map(|channels| {
            let named = |name: &str| format!("{channels}.{name}");
            let inputs = if channels == 8 { 8 } else { channels / 2 };
            let stride = if channels == 8 { 1 } else { 2 };
            let main = [
                layer(&named("a"), [inputs, channels], 3, stride),
                layer(&named("b"), [channels, channels], 3, 1),
            ];
            (main, layer(&named("short"), [inputs, channels], 1, stride))
        });
        let mut graph = Graph::training(&parameters);
        let images = graph.input("x", &[4, 16, 16, 3]);
        let labels = graph.input("y", &[4]);
        let mut apply = |x: Tensor, (conv, norm): &(Conv2d, BatchNorm), relu, residual| {
            let z = conv.forward(&mut graph, x).unwrap();
            norm.forward(&mut graph, z, relu, residual).unwrap()
        };
        let mut x = apply(images, &stem, true, None);
        for ([first, second], short) in &blocks {
            let shortcut = apply(x, short, false, None);
            let y = apply(x, first, true, None);
            x = apply(y, second, true, Some(shortcut));
        }
        let features = graph.global_average_pool(x).unwrap();
        let loss = graph.cross_entropy(features, labels).unwrap();
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)]).unwrap();
        graph.output("row_loss", loss.row_loss);

        let plan = Plan::new(&graph);
        for node in &graph.nodes {
            let roots: Vec<Tensor> = node.tensors.iter().map(|&tensor| graph.root(tensor)).collect();
            for (i, a) in roots.iter().enumerate() {
                for b in roots[..i].iter().filter(|b| *b != a) {
                    if let (Some(a), Some(b)) = (plan.places.get(a), plan.places.get(b)) {
                        assert_ne!(a.block, b.block, "{}", node.label);
                    }
                }
            }
        }
        // What lives at the busiest node is the least that any plan needs.
        let all = activations(&graph);
        let live = |node: usize| {
            let here = all.iter().filter(|a| a.first() <= node && node <= a.last());
            here.map(|activation| activation.words as u64 * 4).sum::<u64>()
        };
        let least = (0..graph.nodes.len()).map(live).max().unwrap();
        assert!(plan.bytes() as f64 <= 1.05 * least as f64, "{} bytes, {least} live at once", plan.bytes());
        assert!(plan.unshared_bytes() as f64 > 1.5 * least as f64);
    }
}
