//! The planner: gives every activation a block of memory, shared by those that are never needed at the same time.
//!
//! Blocks are buffers of their own, because a GPU tracks whole buffers: two launches that touch different blocks can
//! overlap. Large tensors are placed first, each in the smallest block that is free all the time that it lives (greedy by
//! size, Pisarchyk and Lee 2020): what is small and late fits into the gaps of what is large, and no block ever grows.

use crate::device::{ALIGNMENT, Buffer, Device, Launch, Slice, padded};
use crate::error::{Error, Result};
use crate::graph::{Graph, Storage, Tensor};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// A graph with memory assigned, ready to be bound to buffers.
#[derive(Debug)]
pub struct Plan<'g> {
    graph: &'g Graph<'g>,
    /// Words of each block.
    blocks: Vec<usize>,
    /// Block of each activation.
    block_of: HashMap<Tensor, usize>,
}

/// The buffers a graph works on.
#[derive(Clone, Debug)]
pub struct Memory<'a> {
    /// Arena of trained tensors.
    pub parameters: &'a Buffer,
    /// Arena of their gradients; needed if the graph has a backward pass.
    pub gradients: Option<&'a Buffer>,
    /// Arena of running statistics.
    pub statistics: &'a Buffer,
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
    /// Assigns blocks by liveness: an activation lives from the node that writes it to the last that uses it. So an
    /// output never shares memory with an input of the same launch.
    pub fn new(graph: &'g Graph<'g>) -> Self {
        let mut lives: HashMap<Tensor, RangeInclusive<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for root in node.tensors.iter().map(|&tensor| graph.root(tensor)) {
                if graph.tensors[root.0].storage == Storage::Activation {
                    let first = lives.get(&root).map_or(index, |life| *life.start());
                    lives.insert(root, first..=index);
                }
            }
        }
        for root in graph.outputs.iter().map(|(_, tensor)| graph.root(*tensor)) {
            if let Some(life) = lives.get_mut(&root) {
                *life = *life.start()..=usize::MAX;
            }
        }
        let mut order: Vec<(Tensor, RangeInclusive<usize>)> = lives.into_iter().collect();
        order.sort_by_key(|(tensor, life)| (Reverse(graph.len(*tensor)), *life.start(), tensor.0));
        let mut blocks: Vec<(usize, Vec<RangeInclusive<usize>>)> = Vec::new();
        let mut block_of = HashMap::new();
        for (tensor, life) in order {
            let free = |taken: &[RangeInclusive<usize>]| {
                taken.iter().all(|other| other.end() < life.start() || life.end() < other.start())
            };
            // Of several, the one used last before: on a CPU it may still be in the cache.
            let used_before = |taken: &[RangeInclusive<usize>]| {
                taken.iter().map(|other| *other.end()).filter(|end| end < life.start()).max()
            };
            let chosen = (0..blocks.len())
                .filter(|&block| free(&blocks[block].1))
                .min_by_key(|&block| (blocks[block].0, Reverse(used_before(&blocks[block].1)), block));
            let block = chosen.unwrap_or_else(|| {
                blocks.push((padded(graph.len(tensor)), Vec::new()));
                blocks.len() - 1
            });
            blocks[block].1.push(life);
            block_of.insert(tensor, block);
        }
        Self { graph, blocks: blocks.into_iter().map(|(words, _)| words).collect(), block_of }
    }

    /// Bytes of all blocks: the peak of activation memory.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().sum::<usize>() as u64 * 4
    }

    /// Bytes that the activations would take without sharing.
    pub fn unshared_bytes(&self) -> u64 {
        self.block_of.keys().map(|&tensor| padded(self.graph.len(tensor)) as u64 * 4).sum()
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
            launches.push(Launch { label: node.label.clone(), kernel: node.kernel.clone(), slices });
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
        let parameters = self.graph.parameters;
        Ok(match &self.graph.tensors[root.0].storage {
            Storage::Activation => blocks[self.block_of[&root]].slice(0, words),
            Storage::Parameter(id) => memory.parameters.slice(parameters.trained()[id.0].offset, words),
            Storage::Statistic(id) => memory.statistics.slice(parameters.statistics()[id.0].offset, words),
            Storage::Gradient(id) => match memory.gradients {
                Some(gradients) => gradients.slice(parameters.trained()[id.0].offset, words),
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
            Storage::View(_) => unreachable!("a root is no view"),
        })
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
