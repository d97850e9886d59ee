//! The order of a tensor's numbers in the arena, where it is not that of a weight file.

/// How the numbers of a tensor lie in the arena, compared with a weight file.
///
/// Activations are channels last, PyTorch's are channels first: tensors that meet an image's axes are reordered when
/// they are loaded and saved, so that no kernel has to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As in the file.
    #[default]
    Plain,
    /// The last axis is a flattened image: C, H, W in the file, H, W, C in the arena, as activations lie.
    FlattenedImage {
        /// C
        channels: usize,
    },
    /// The filters of a convolution: `[O, I, K, K]` in the file, `[K, K, I, O]` in the arena.
    Convolution,
}

impl Layout {
    /// From the order of a weight file, where the tensor has this shape, to that of the arena.
    pub(crate) fn to_arena(self, shape: &[usize], file: &[f32]) -> Vec<f32> {
        (0..file.len()).map(|at| file[self.file_index(shape, at)]).collect()
    }

    /// From the order of the arena to that of a weight file, where the tensor has this shape.
    pub(crate) fn to_file(self, shape: &[usize], arena: &[f32]) -> Vec<f32> {
        let mut file = vec![0.0; arena.len()];
        for (at, &value) in arena.iter().enumerate() {
            file[self.file_index(shape, at)] = value;
        }
        file
    }

    /// Where the number that lies at `at` in the arena lies in the file.
    fn file_index(self, shape: &[usize], at: usize) -> usize {
        match (self, shape) {
            (Layout::Plain, _) => at,
            (Layout::FlattenedImage { channels }, _) => {
                let width = shape.last().copied().unwrap_or(1);
                let (row, position, channel) = (at / width, at % width / channels, at % channels);
                row * width + channel * (width / channels) + position
            }
            (Layout::Convolution, &[outputs, inputs, height, width]) => {
                let (tap, input, output) = (at / (inputs * outputs), at / outputs % inputs, at % outputs);
                (output * inputs + input) * (height * width) + tap
            }
            (Layout::Convolution, _) => unreachable!("checked when the layout was set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: u8) -> Vec<f32> {
        (0..n).map(f32::from).collect()
    }

    #[test]
    fn a_flattened_image_is_channels_first_in_files_and_channels_last_in_the_arena() {
        // Two rows of an image of 2 positions and 3 channels: c0p0 c0p1 c1p0 c1p1 c2p0 c2p1 in the file.
        let (layout, file) = (Layout::FlattenedImage { channels: 3 }, numbers(12));
        let arena = layout.to_arena(&[2, 6], &file);
        assert_eq!(arena, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]);
        assert_eq!(layout.to_file(&[2, 6], &arena), file);
    }

    #[test]
    fn filters_are_outputs_first_in_files_and_outputs_last_in_the_arena() {
        let (shape, file) = ([2, 3, 2, 2], numbers(24));
        let arena = Layout::Convolution.to_arena(&shape, &file);
        // The first tap of each of three inputs, with both outputs side by side; then the next tap.
        assert_eq!(arena[..8], [0.0, 12.0, 4.0, 16.0, 8.0, 20.0, 1.0, 13.0]);
        for (u, v, i, o) in [(0, 1, 2, 1), (1, 0, 0, 0), (1, 1, 1, 1)] {
            assert_eq!(arena[((u * 2 + v) * 3 + i) * 2 + o], file[((o * 3 + i) * 2 + u) * 2 + v]);
        }
        assert_eq!(Layout::Convolution.to_file(&shape, &arena), file);
    }
}
