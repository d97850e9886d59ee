//! The planner: gives every activation a block of memory, shared by those that are never needed at the same time.
//!
//! Blocks are buffers of their own, because a GPU tracks whole buffers: two launches that touch different blocks can
//! overlap. A tensor takes the smallest free block that is large enough, else the largest free one, which grows.

use crate::device::{ALIGNMENT, Buffer, Device, Launch, Slice, padded};
use crate::error::{Error, Result};
use crate::graph::{Graph, Storage, Tensor};
use std::collections::HashMap;

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
    /// Assigns blocks by liveness: an activation lives from the node that writes it to the last that reads it.
    pub fn new(graph: &'g Graph<'g>) -> Self {
        let mut last_use: HashMap<Tensor, usize> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for &tensor in &node.tensors {
                last_use.insert(graph.root(tensor), index);
            }
        }
        for (_, tensor) in &graph.outputs {
            last_use.insert(graph.root(*tensor), usize::MAX);
        }
        let (mut blocks, mut block_of) = (Vec::<usize>::new(), HashMap::new());
        let mut free: Vec<usize> = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for &tensor in &node.tensors {
                let root = graph.root(tensor);
                if graph.tensors[root.0].storage != Storage::Activation || block_of.contains_key(&root) {
                    continue;
                }
                let need = padded(graph.len(root));
                let fitting =
                    (0..free.len()).filter(|&i| blocks[free[i]] >= need).min_by_key(|&i| blocks[free[i]]);
                let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&i| blocks[free[i]]));
                let block = match chosen {
                    Some(i) => free.swap_remove(i),
                    None => {
                        blocks.push(0);
                        blocks.len() - 1
                    }
                };
                blocks[block] = blocks[block].max(need);
                block_of.insert(root, block);
            }
            // Freed only after the whole node: an output never shares memory with an input of the same launch.
            let mut done: Vec<Tensor> = node.tensors.iter().map(|&tensor| graph.root(tensor)).collect();
            done.sort_unstable_by_key(|tensor| tensor.0);
            done.dedup();
            free.extend(
                done.iter().filter(|root| last_use[root] == index).filter_map(|root| block_of.get(root)),
            );
        }
        Self { graph, blocks, block_of }
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
