//! Hessian-vector products: how the gradients move when the parameters do (Pearlmutter 1994), forward over reverse.
//!
//! Two walks append operations. The first goes forwards and gives every activation its tangent, the derivative along the
//! direction. The second goes backwards, as [`Graph::backward`] does, and gives every gradient its tangent on the way.

use super::Graph;
use super::backward::Wanted;
use super::gradient::Gradients;
use super::tangent::{Tangent, Tangents};
use super::tensor::{NetworkId, Storage, Tensor};
use crate::error::{Error, Result};
use kernels::arena::{Copy, Fill};
use kernels::elementwise::Add;
use std::collections::{HashMap, HashSet};

impl Graph<'_> {
    /// Appends the operations of a Hessian-vector product: for the loss L, given by `(tensor, gradient)` as for
    /// [`Graph::backward`], and a direction v in which the parameters of `network` move,
    ///
    /// ```text
    /// H v = d/dh ∇L(parameters + h v) at h = 0
    /// ```
    ///
    /// exact up to rounding, with the second derivative of max(x, 0) taken as 0. `direction` is another network of the graph
    /// with the same table: v lies in its parameter arena, H v goes to its gradient arena. The parameters' own gradients are
    /// not computed. What is constant for [`Graph::backward`] is constant here.
    ///
    /// As there, every parameter on which the loss depends gets its part of H v written once; that of any other parameter
    /// is not written.
    ///
    /// # Errors
    /// A direction of another table; a gradient of another shape than its tensor; an operation on the way that has no
    /// gradient or no tangent; a direction whose gradient arena an earlier call writes already.
    pub fn hessian_vector(
        &mut self,
        loss: &[(Tensor, Tensor)],
        network: NetworkId,
        direction: NetworkId,
    ) -> Result<()> {
        let shapes = |id| self.parameters(id).trained().iter().map(|segment| &segment.shape);
        if network == direction || !shapes(network).eq(shapes(direction)) {
            return Err(Error::shape(
                "hessian_vector",
                "the direction needs a network of its own, of the same table",
            ));
        }
        let mut gradients = Gradients::default();
        self.find_wanted(&[Wanted::Network(network)], &mut gradients.wanted);
        let wanted = gradients.wanted.clone();
        let mut tangents = Tangents::new(network, direction, wanted);
        let first_uses = self.first_uses(loss, network, &tangents)?;
        // The gradients of parameters themselves are of no use here.
        gradients.wanted.retain(|tensor| !first_uses.contains_key(tensor));

        let recorded = self.nodes.len();
        self.append_tangents(loss, &mut tangents)?;
        for &(tensor, gradient) in loss {
            if self.shape(tensor) != self.shape(gradient) {
                let shapes = (self.shape(tensor), self.shape(gradient));
                let message = format!("a tensor of {:?} with a gradient of {:?}", shapes.0, shapes.1);
                return Err(Error::shape("hessian_vector", message));
            }
            gradients.kept.insert(gradient);
            gradients.add(self, tensor, gradient)?;
            if let Some(tangent) = tangents.of(self, gradient) {
                tangents.add(self, tensor, tangent);
            }
        }
        for index in (0..recorded).rev() {
            self.append_gradient_tangents(index, &mut gradients, &mut tangents)?;
            let mut complete: Vec<Tensor> = self.nodes[index].reads().collect();
            complete.retain(|parameter| first_uses.get(parameter) == Some(&index));
            complete.sort_by_key(|parameter| parameter.0);
            complete.dedup();
            for parameter in complete {
                self.store(parameter, &mut tangents);
            }
        }
        Ok(())
    }

    /// The parameters of the network on which the loss depends, each with the first operation that uses it: the last to
    /// send its gradient.
    fn first_uses(
        &mut self,
        loss: &[(Tensor, Tensor)],
        network: NetworkId,
        tangents: &Tangents,
    ) -> Result<HashMap<Tensor, usize>> {
        let reaches = self.reaches(loss);
        let mut first_uses = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if !self.leads_to(node, &reaches) {
                continue;
            }
            for read in node.reads().filter(|read| tangents.wanted(self, *read)) {
                if node.gradient.is_none() {
                    return Err(Error::shape(
                        &node.label,
                        "a gradient is wanted through it, but it has none",
                    ));
                }
                if matches!(self.tensors[read.0].storage, Storage::Parameter(of, _) if of == network) {
                    first_uses.entry(read).or_insert(index);
                }
            }
        }
        let mut parameters: Vec<Tensor> = first_uses.keys().copied().collect();
        parameters.sort_by_key(|parameter| parameter.0);
        for parameter in parameters {
            let along = tangents.of(self, parameter).expect("a parameter of the network moves");
            if !self.differentiated.insert(along) {
                let name = self.segment(parameter).name.clone();
                let message = format!("the product for {name} is written already: another direction for it");
                return Err(Error::shape("hessian_vector", message));
            }
        }
        Ok(first_uses)
    }

    /// The tangents of the activations from which the loss and its gradient are made.
    fn append_tangents(&mut self, loss: &[(Tensor, Tensor)], tangents: &mut Tangents) -> Result<()> {
        let ends = loss.iter().flat_map(|&(tensor, gradient)| [tensor, gradient]);
        let mut needed: HashSet<Tensor> = ends.map(|tensor| self.origin(tensor)).collect();
        let mut makers = Vec::new();
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if node.writes().chain(node.updates()).any(|made| needed.contains(&self.origin(made))) {
                needed.extend(node.reads().chain(node.updates()).map(|read| self.origin(read)));
                makers.push(index);
            }
        }
        for index in makers.into_iter().rev() {
            let node = &self.nodes[index];
            if !node.reads().chain(node.updates()).any(|read| tangents.moves(self, read)) {
                continue;
            }
            self.with_tangent_rule(index, |rule, graph| rule.forward(graph, tangents))?;
        }
        Ok(())
    }

    /// The gradients that an operation hands on, and their tangents.
    fn append_gradient_tangents(
        &mut self,
        index: usize,
        gradients: &mut Gradients,
        tangents: &mut Tangents,
    ) -> Result<()> {
        let node = &self.nodes[index];
        if node.gradient.is_none() || !node.reads().any(|read| tangents.wanted(self, read)) {
            return Ok(());
        }
        let made: Vec<Tensor> = node.writes().collect();
        let mut reached = false;
        for made in made {
            if let Some(gradient) = gradients.of(self, made) {
                tangents.complete(self, made, gradient);
                // The rule below may not overwrite what the tangents are made of.
                gradients.kept.insert(gradient);
                reached = true;
            }
        }
        if !reached {
            return Ok(());
        }
        if let Some(rule) = self.nodes[index].gradient.take() {
            let (network, mode) = (self.nodes[index].network, self.scope.mode);
            let outcome = self.with(network, mode, |graph| rule.backward(graph, gradients));
            self.nodes[index].gradient = Some(rule);
            outcome?;
        }
        self.with_tangent_rule(index, |rule, graph| rule.backward(graph, tangents))
    }

    /// Applies the tangent rule of an operation, labelled as its network is.
    fn with_tangent_rule(
        &mut self,
        index: usize,
        apply: impl FnOnce(&dyn Tangent, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(rule) = self.nodes[index].tangent.take() else {
            let message = "a Hessian-vector product is wanted through it, but it has no tangent";
            return Err(Error::shape(&self.nodes[index].label, message));
        };
        let (network, mode) = (self.nodes[index].network, self.scope.mode);
        let outcome = self.with(network, mode, |graph| apply(rule.as_ref(), graph));
        self.nodes[index].tangent = Some(rule);
        outcome
    }

    /// Writes the part of the product that belongs to a parameter, all of whose uses have sent theirs.
    fn store(&mut self, parameter: Tensor, tangents: &mut Tangents) {
        let along = tangents.of(self, parameter).expect("a parameter of the network moves");
        let to = self.gradient(along);
        let terms = tangents.terms(parameter);
        match terms.split_last() {
            None => {
                self.push("zero product", Fill { len: self.len(to), value: 0.0 }, &[to], None);
            }
            Some((last, others)) => {
                let kernel = Add { len: self.len(to) };
                match self.sum(others) {
                    None => self.push("product", Copy { len: self.len(to) }, &[to, *last], None),
                    Some(sum) => self.push("product", kernel, &[sum, *last, to], None),
                }
            }
        }
    }
}
