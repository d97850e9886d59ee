//! What an agent sees, and the words that a replay keeps of it.

/// What the observations of an environment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationKind {
    /// Images of a set that lies elsewhere, such as on the device: only the index is handed on.
    Image {
        /// Number of images in the set; indices are below it.
        images: u32,
    },
    /// A picture.
    Pixels {
        /// Height, width, channels.
        shape: [usize; 3],
    },
    /// Numbers, such as a state.
    Numbers {
        /// How many.
        len: usize,
    },
}

impl ObservationKind {
    /// Words of 32 bits of one observation in a replay: one for an index, one for four values of a picture, one per number.
    pub fn words(&self) -> usize {
        match self {
            Self::Image { .. } => 1,
            Self::Pixels { shape } => shape.iter().product::<usize>().div_ceil(4),
            Self::Numbers { len } => *len,
        }
    }
}

/// One observation, of the [`ObservationKind`] that its environment names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation<'a> {
    /// The index of an image.
    Image(u32),
    /// A picture, `[height, width, channels]`.
    Pixels(&'a [u8]),
    /// Numbers.
    Numbers(&'a [f32]),
}

impl Observation<'_> {
    /// Writes the [`ObservationKind::words`] that a replay keeps: the index; the bytes of a picture, four to a word, the
    /// first in its lowest bits, and zeros behind the last; the bits of numbers.
    ///
    /// # Panics
    /// If there are fewer words.
    pub fn write_to(&self, words: &mut [u32]) {
        match self {
            Self::Image(index) => words[0] = *index,
            Self::Pixels(pixels) => {
                let (quads, rest) = pixels.as_chunks::<4>();
                let (whole, last) = words.split_at_mut(quads.len());
                whole.iter_mut().zip(quads).for_each(|(word, quad)| *word = u32::from_le_bytes(*quad));
                if !rest.is_empty() {
                    let mut quad = [0; 4];
                    quad[..rest.len()].copy_from_slice(rest);
                    last[0] = u32::from_le_bytes(quad);
                }
            }
            Self::Numbers(numbers) => {
                words[..numbers.len()]
                    .iter_mut()
                    .zip(*numbers)
                    .for_each(|(word, number)| *word = number.to_bits());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_takes_the_words_of_its_kind() {
        let pixels = [1, 2, 3, 4, 5, 6];
        for (kind, observation, expected) in [
            (ObservationKind::Image { images: 70_000 }, Observation::Image(0x0001_0203), vec![0x0001_0203]),
            (
                ObservationKind::Pixels { shape: [1, 2, 3] },
                Observation::Pixels(&pixels),
                vec![0x0403_0201, 0x0605],
            ),
            (
                ObservationKind::Pixels { shape: [2, 2, 1] },
                Observation::Pixels(&pixels[..4]),
                vec![0x0403_0201],
            ),
            (
                ObservationKind::Numbers { len: 2 },
                Observation::Numbers(&[1.0, -0.5]),
                vec![0x3f80_0000, 0xbf00_0000],
            ),
        ] {
            let mut words = vec![7; kind.words()];
            observation.write_to(&mut words);
            assert_eq!(words, expected, "{kind:?}");
        }
    }
}
