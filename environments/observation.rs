//! What an agent sees, and in how many bytes a replay buffer keeps it.

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
    /// Bytes of one observation in a replay buffer: 4 for an index, 1 per pixel value, 4 per number.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Image { .. } => size_of::<u32>(),
            Self::Pixels { shape } => shape.iter().product(),
            Self::Numbers { len } => len * size_of::<f32>(),
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
    /// Appends the [`ObservationKind::bytes`] that a replay buffer keeps, words in little-endian order.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Image(index) => bytes.extend(index.to_le_bytes()),
            Self::Pixels(pixels) => bytes.extend(*pixels),
            Self::Numbers(numbers) => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_takes_the_bytes_of_its_kind() {
        let pairs = [
            (ObservationKind::Image { images: 70_000 }, Observation::Image(0x0001_0203)),
            (ObservationKind::Pixels { shape: [1, 2, 3] }, Observation::Pixels(&[1, 2, 3, 4, 5, 6])),
            (ObservationKind::Numbers { len: 2 }, Observation::Numbers(&[1.0, -0.5])),
        ];
        let mut all = Vec::new();
        for (kind, observation) in pairs {
            let before = all.len();
            observation.append_to(&mut all);
            assert_eq!(all.len() - before, kind.bytes(), "{kind:?}");
        }
        assert_eq!(all, [3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 0, 0, 128, 63, 0, 0, 0, 191]);
    }
}
