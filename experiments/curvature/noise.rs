//! The loss towards random changes of the predictions, `mean (f(X) - stop(f(X)) + e)²` with e ~ N(0, 1) for each output
//! (Lyle and others 2023, Section 4.2): the same question to every network, whatever it was trained for.

use super::covariance::{Covariance, Input, gradient_covariance};
use super::{HessianMemory, Spectrum};
use crate::error::{Error, Result};
use data::Images;
use engine::params::normal;
use engine::{Clock, Device, Graph, Memory, Network, Plan, Slice, Workspace};
use kernels::random::{pcg4d, shuffled};
use kernels::value::Criterion;
use models::Model;
use std::sync::atomic::{AtomicBool, Ordering};

/// The stream of the noise that predictions are to move to: the third word of every counter.
const STREAM: u32 = 0x3000_0001;

/// The pixels of examples that the seed draws, normalised, as words.
///
/// # Errors
/// More examples than there are.
pub(crate) fn drawn_pixels(
    images: &Images,
    (mean, std): (&[f32], &[f32]),
    examples: usize,
    seed: u32,
) -> Result<Vec<u32>> {
    if examples > images.len() {
        let has = images.len();
        return Err(Error::Mismatch(format!("{examples} examples, but the training set has {has}")));
    }
    let (length, channels) = (images.image_len(), images.channels);
    let pixel = |(at, &byte): (usize, &u8)| {
        ((f32::from(byte) / 255.0 - mean[at % channels]) / std[at % channels]).to_bits()
    };
    let of = |i: usize| images.pixels[drawn(i, images, seed) * length..][..length].iter().enumerate();
    Ok((0..examples).flat_map(of).map(pixel).collect())
}

/// Which image example i is.
pub(crate) fn drawn(i: usize, images: &Images, seed: u32) -> usize {
    shuffled(i as u32, images.len() as u32, seed, 0) as usize
}

/// The word of a normal number for output i, counted over all examples.
pub(crate) fn noise(i: usize, seed: u32) -> u32 {
    let words = pcg4d([i as u32, 0, STREAM, seed]);
    normal(words[0], words[1])[0].to_bits()
}

/// Why a spectrum is not there.
enum Halt {
    Stopped,
    Failed(engine::Error),
}

impl From<engine::Error> for Halt {
    fn from(error: engine::Error) -> Self {
        Self::Failed(error)
    }
}

/// Examples and the changes of their predictions, for any network of a model.
#[derive(Debug)]
pub struct NoiseLoss {
    device: Device,
    /// `[examples, H, W, C]`.
    pixels: Vec<u32>,
    /// e, `[examples, outputs]`.
    noise: Vec<u32>,
    examples: usize,
    seed: u32,
}

impl NoiseLoss {
    /// Examples of a set that the seed draws, with pixels from 0 to 1, and noise for the outputs of `model`.
    ///
    /// # Errors
    /// More examples than there are.
    pub fn new(
        device: &Device,
        model: &dyn Model,
        images: &Images,
        examples: usize,
        seed: u32,
    ) -> Result<Self> {
        let (zero, one) = (vec![0.0; images.channels], vec![1.0; images.channels]);
        Ok(Self {
            device: device.clone(),
            pixels: drawn_pixels(images, (&zero, &one), examples, seed)?,
            noise: (0..examples * model.input().classes).map(|i| noise(i, seed)).collect(),
            examples,
            seed,
        })
    }

    /// The cosines between the gradients of the examples, whose gradient by f is 2 e.
    ///
    /// # Errors
    /// As [`gradient_covariance`].
    pub fn covariance(&self, model: &dyn Model, network: &Network, bytes: u64) -> Result<Covariance> {
        let input = model.input();
        let shape = [input.image_size, input.image_size, input.channels];
        let outputs = [input.classes];
        let inputs = [
            Input { name: "images", shape: &shape, words: &self.pixels },
            Input { name: "targets", shape: &outputs, words: &self.noise },
        ];
        let record: &super::Record<'_> =
            &|graph, tensors| Ok((model.forward(graph, tensors[0])?, tensors[1]));
        gradient_covariance(&self.device, (model.parameters(), network), &inputs, record, bytes)
    }

    /// The spectrum of the Hessian of the loss, the mean over examples and outputs, as one start vector and `steps` products
    /// show it. The vector follows from the seed. Nothing once `stop` is set.
    ///
    /// # Errors
    /// A layer that has no tangent; those of the device.
    pub fn spectrum(
        &self,
        model: &dyn Model,
        network: &Network,
        steps: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Spectrum>> {
        let (device, input, parameters) = (&self.device, model.input(), model.parameters());
        let shape = [self.examples, input.image_size, input.image_size, input.channels];
        let x = device.buffer_with("images", &self.pixels)?;
        let x = x.slice(0, self.pixels.len());
        let mut graph = Graph::evaluation(parameters);
        graph.set_winograd(false);
        let images = graph.input("x", &shape);
        let f = model.forward(&mut graph, images)?;
        graph.output("f", f);
        let memory = Memory { networks: &[(network, None)], inputs: &[("x", x.clone())] };
        let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default())?;
        let f: Slice = bound.outputs["f"].clone();
        device.compile(bound.launches)?.run(&Clock::default())?;
        // The error f - target is e.
        let target = device.read_f32(&f)?;
        let target = target.iter().zip(&self.noise).map(|(f, e)| (f - f32::from_bits(*e)).to_bits());
        let target: Vec<u32> = target.collect();
        let target = device.buffer_with("targets", &target)?.slice(0, target.len());

        let hessian = HessianMemory::new(device, parameters)?;
        let launches = hessian.launches_of(
            parameters,
            network,
            &[("x", x), ("target", target)],
            &|graph| {
                let images = graph.input("x", &shape);
                let target = graph.input("target", &[self.examples, input.classes]);
                let f = model.forward(graph, images)?;
                Ok(graph.regression(f, target, Criterion::Squared)?.gradient())
            },
            &mut Workspace::default(),
        )?;
        let program = device.compile(launches)?;
        let spectrum = Spectrum::of(hessian.words(), hessian.used(), [1, steps], self.seed, |v| {
            if stop.load(Ordering::Relaxed) {
                return Err(Halt::Stopped);
            }
            hessian.apply(v, || Ok::<(), Halt>(program.run(&Clock::default())?))
        });
        match spectrum {
            Ok(spectrum) => Ok(Some(spectrum)),
            Err(Halt::Stopped) => Ok(None),
            Err(Halt::Failed(error)) => Err(error.into()),
        }
    }
}
