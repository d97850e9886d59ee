//! A weight divided by its largest singular value; formulas: `kernels::spectral_norm`.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tensor};
use crate::params::{ParameterId, StatisticId};
use kernels::matmul::Activation;
use kernels::spectral_norm::{SpectralNorm, SpectralNormBackward};

#[derive(Debug)]
struct Rule {
    weight: Tensor,
    vectors: [Tensor; 2],
    sigma: Tensor,
    normalised: Tensor,
}

impl Graph<'_> {
    /// A weight `[out, in]` divided by its largest singular value, whose left and right vector the statistics follow
    /// ([`Parameters::add_singular_vectors`](crate::Parameters::add_singular_vectors)): a network in training makes one
    /// power iteration, one in evaluation uses them as they are.
    ///
    /// # Errors
    /// A weight or vectors of another shape.
    pub fn spectral_norm(&mut self, weight: ParameterId, vectors: [StatisticId; 2]) -> Result<Tensor> {
        let weight = self.parameter(weight);
        let vectors = vectors.map(|vector| self.statistic(vector));
        let label = format!("spectral_norm {}", self.layer_name(weight));
        let &[outputs, inputs] = self.shape(weight) else {
            return Err(Error::shape(label, format!("{:?} where [out, in] is expected", self.shape(weight))));
        };
        self.expect(&label, vectors[0], &[outputs])?;
        self.expect(&label, vectors[1], &[inputs])?;
        let (normalised, sigma) = (self.activation(&[outputs, inputs]), self.activation(&[1]));
        let kernel = SpectralNorm { outputs, inputs, iterate: self.is_training() };
        let tensors = [weight, vectors[0], vectors[1], normalised, sigma];
        let rule = Rule { weight, vectors, sigma, normalised };
        self.push(label, kernel, &tensors, Some(Box::new(rule)));
        Ok(normalised)
    }

    /// [`Graph::linear`] with the weight of [`Graph::spectral_norm`].
    ///
    /// # Errors
    /// As both.
    pub fn spectrally_normalised_linear(
        &mut self,
        x: Tensor,
        weight: ParameterId,
        vectors: [StatisticId; 2],
        bias: Option<ParameterId>,
        activation: Activation,
    ) -> Result<Tensor> {
        let normalised = self.spectral_norm(weight, vectors)?;
        let weight = self.parameter(weight);
        self.linear_of(self.layer_name(weight), x, normalised, bias, activation)
    }
}

impl Gradient for Rule {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dnormalised) = gradients.take(graph, self.normalised) else { return Ok(()) };
        let label = format!("spectral_norm backward {}", graph.layer_name(self.weight));
        let &[outputs, inputs] = graph.shape(self.weight) else {
            unreachable!("checked when the node was recorded")
        };
        let dweight = gradients.target(graph, self.weight);
        let [u, v] = self.vectors;
        let tensors = [dnormalised, self.normalised, u, v, self.sigma, dweight];
        graph.push(label, SpectralNormBackward { outputs, inputs }, &tensors, None);
        gradients.written(graph, self.weight, dweight);
        Ok(())
    }
}
