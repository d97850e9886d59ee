//! Reverse-mode differentiation: walks the recorded nodes backwards and appends the gradient nodes.

use super::Graph;
use super::gradient::Gradients;
use super::node::Node;
use super::sink::Sink;
use super::tensor::{NetworkId, Storage, Tensor};
use crate::error::{Error, Result};
use std::collections::HashSet;

/// What [`Graph::backward`] is to find the gradient of, and where it goes.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Every parameter of a network: summed over the examples into the network's gradient arena.
    Network(NetworkId),
    /// The parameters of one group of a network, such as its head, into the network's gradient arena.
    Group(NetworkId, &'a str),
    /// Every parameter of a network, for every example by itself, into an input `[N, words]`: a row of N is laid out as the
    /// network's arenas. Nothing is written between the parameters, so that what begins as zeros has zeros there.
    Rows(NetworkId, Tensor),
    /// The squared norm of every example's gradient of all parameters of a network, into an input `[N]`. Gradients of single
    /// examples are held for one layer at a time, and not at all where a linear layer sees one position per example.
    SquaredNorms(NetworkId, Tensor),
    /// An activation or an input: into memory of its own, which [`Graph::backward`] returns.
    Tensor(Tensor),
}

impl Graph<'_> {
    /// Appends the operations that compute the gradients of a loss with respect to what is `wanted`. The loss is given by
    /// its gradient with respect to some tensors, `(tensor, gradient)`, such as the `(logits, dlogits)` of
    /// [`Graph::cross_entropy`]; of several pairs it is the sum. What nobody wants a gradient of is a constant, and so is
    /// what [`Graph::detach`] cut off: no operation is recorded for it.
    ///
    /// Returns the gradients of the [`Wanted::Tensor`]s, in their order.
    ///
    /// Gradients of single examples take the loss as a mean over the N examples that lie one behind the other in every
    /// tensor, as the engine's losses are, and are those of an example's own loss: what a batch of one would give.
    ///
    /// Every wanted parameter on which the loss depends gets its gradient written once, so the arena needs no zeroing
    /// between runs; that of any other parameter is not written and stays as it is: zero.
    ///
    /// # Errors
    /// A gradient of another shape than its tensor; a wanted tensor on which the loss does not depend; an operation on
    /// the way that has no gradient; a parameter whose gradient an earlier call writes already; for single examples, an
    /// input of another shape, another number of examples than elsewhere, or a batch norm in training mode.
    pub fn backward(&mut self, loss: &[(Tensor, Tensor)], wanted: &[Wanted<'_>]) -> Result<Vec<Tensor>> {
        let mut gradients = Gradients::default();
        self.find_sinks(loss, wanted, &mut gradients)?;
        self.find_wanted(wanted, &mut gradients.wanted);
        let reaches = self.reaches(loss);
        self.count_uses(&reaches, &mut gradients)?;
        for &(tensor, gradient) in loss {
            if self.shape(tensor) != self.shape(gradient) {
                let shapes = (self.shape(tensor), self.shape(gradient));
                return Err(Error::shape(
                    "backward",
                    format!("a tensor of {:?} with a gradient of {:?}", shapes.0, shapes.1),
                ));
            }
            gradients.kept.insert(gradient);
            gradients.add(self, tensor, gradient)?;
        }
        let tensors = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Tensor(tensor) => Some(*tensor),
            _ => None,
        });
        let tensors: Vec<Tensor> = tensors.collect();
        let mut found = vec![None; tensors.len()];
        for index in (0..self.nodes.len()).rev() {
            // What asks for the gradient of an operation's output asks before the operation takes it: it is complete.
            for (found, &tensor) in found.iter_mut().zip(&tensors) {
                if self.nodes[index].writes().any(|made| self.origin(made) == self.origin(tensor)) {
                    *found = gradients.of(self, tensor);
                    gradients.kept.extend(*found);
                }
            }
            if !self.nodes[index].reads().any(|read| gradients.wanted(self, read)) {
                continue;
            }
            if let Some(rule) = self.nodes[index].gradient.take() {
                let (network, mode) = (self.nodes[index].network, self.scope.mode);
                let outcome = self.with(network, mode, |graph| rule.backward(graph, &mut gradients));
                self.nodes[index].gradient = Some(rule);
                outcome?;
            }
        }
        let found = found.into_iter().zip(tensors).map(|(found, tensor)| {
            found.or_else(|| gradients.of(self, tensor)).ok_or_else(|| {
                let shape = self.shape(tensor);
                Error::shape("backward", format!("the loss does not depend on a wanted tensor of {shape:?}"))
            })
        });
        found.collect()
    }

    /// Where the gradients of each network go, if not into its arena.
    fn find_sinks(
        &mut self,
        loss: &[(Tensor, Tensor)],
        wanted: &[Wanted<'_>],
        gradients: &mut Gradients,
    ) -> Result<()> {
        let mut summed = HashSet::new();
        for wanted in wanted {
            let (network, sink) = match *wanted {
                Wanted::Rows(network, tensor) => (network, Sink::Rows(tensor)),
                Wanted::SquaredNorms(network, tensor) => (network, Sink::SquaredNorms(tensor)),
                Wanted::Network(network) | Wanted::Group(network, _) => {
                    summed.insert(network);
                    continue;
                }
                Wanted::Tensor(_) => continue,
            };
            sink.check(self, network)?;
            let examples = sink.groups(self);
            let rows = |tensor: Tensor| self.shape(tensor).first().copied().unwrap_or(1);
            let others = gradients.sinks.values().map(|other| other.groups(self));
            if let Some(other) =
                others.chain(loss.iter().map(|&(tensor, _)| rows(tensor))).find(|&n| n != examples)
            {
                let message = format!("gradients of {examples} examples are wanted of a loss of {other}");
                return Err(Error::shape("backward", message));
            }
            let twice = gradients.sinks.insert(network, sink).is_some();
            let taken = sink.tensor().is_some_and(|tensor| !self.differentiated.insert(tensor));
            if twice || taken {
                let message = "one tensor takes the gradients of one network, in one call";
                return Err(Error::shape("backward", message));
            }
        }
        if gradients.sinks.keys().any(|network| summed.contains(network)) {
            let message = "sums over a network's examples and gradients of each are wanted: call it twice";
            return Err(Error::shape("backward", message));
        }
        Ok(())
    }

    /// What depends on a tensor whose gradient is wanted, and these themselves.
    pub(super) fn find_wanted(&self, wanted: &[Wanted<'_>], found: &mut HashSet<Tensor>) {
        for index in 0..self.tensors.len() {
            let is_wanted = |wanted: &Wanted<'_>| match (wanted, &self.tensors[index].storage) {
                (
                    Wanted::Network(network) | Wanted::Rows(network, _) | Wanted::SquaredNorms(network, _),
                    Storage::Parameter(of, _),
                ) => network == of,
                (Wanted::Group(network, group), Storage::Parameter(of, id)) => {
                    network == of && self.parameters(*of).trained()[id.0].group() == *group
                }
                (Wanted::Tensor(tensor), _) => self.origin(*tensor).0 == index,
                _ => false,
            };
            if wanted.iter().any(is_wanted) {
                found.insert(Tensor(index));
            }
        }
        for node in self.nodes.iter().filter(|node| node.gradient.is_some()) {
            if node.reads().any(|read| found.contains(&self.origin(read))) {
                found.extend(node.writes().map(|made| self.origin(made)));
            }
        }
    }

    /// The tensors from which an operation with a gradient, or several, lead to the loss.
    pub(super) fn reaches(&self, loss: &[(Tensor, Tensor)]) -> HashSet<Tensor> {
        let mut reaches: HashSet<Tensor> = loss.iter().map(|(tensor, _)| self.origin(*tensor)).collect();
        for node in self.nodes.iter().rev() {
            if self.leads_to(node, &reaches) && node.gradient.is_some() {
                reaches.extend(node.reads().map(|read| self.origin(read)));
            }
        }
        reaches
    }

    pub(super) fn leads_to(&self, node: &Node, reaches: &HashSet<Tensor>) -> bool {
        node.writes().any(|made| reaches.contains(&self.origin(made)))
    }

    /// Counts the uses of each wanted parameter that will send a gradient.
    fn count_uses(&mut self, reaches: &HashSet<Tensor>, gradients: &mut Gradients) -> Result<()> {
        for node in self.nodes.iter().filter(|node| self.leads_to(node, reaches)) {
            for read in node.reads().filter(|read| gradients.wanted.contains(&self.origin(*read))) {
                if node.gradient.is_none() {
                    return Err(Error::shape(
                        &node.label,
                        "a gradient is wanted through it, but it has none",
                    ));
                }
                if matches!(self.tensors[read.0].storage, Storage::Parameter(..)) {
                    gradients.parameters.entry(read).or_default().0 += 1;
                }
            }
        }
        let mut used: Vec<Tensor> = gradients.parameters.keys().copied().collect();
        used.sort_by_key(|parameter| parameter.0);
        for parameter in used {
            // What takes gradients of single examples was noted by itself.
            if gradients.sums(self, parameter) && !self.differentiated.insert(parameter) {
                let name = self.segment(parameter).name.clone();
                return Err(Error::shape(
                    "backward",
                    format!(
                        "the gradient of {name} is written already: give all losses of a network in one call"
                    ),
                ));
            }
        }
        Ok(())
    }
}
