//! The parameter table: which tensor lies where in the flat arenas.
//!
//! Parameters, gradients, Adam moments, initial weights and the tortoise are arenas with this one layout, so that an
//! optimiser step or an intervention is one launch over an arena or a range of it. Batch-norm statistics live in a
//! second arena with the same rules.

use crate::device::padded;
use crate::error::{Error, Result};
pub use crate::init::{Init, normal};
use crate::init::{first_values, singular_vectors};
pub use crate::layout::Layout;
use std::ops::Range;

/// One tensor in an arena.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// PyTorch's name, such as `backbone.fc1.weight`.
    pub name: String,
    /// Shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// Order of the numbers in the arena, where it is not PyTorch's.
    pub layout: Layout,
    /// First word in the arena.
    pub offset: usize,
    /// Number of words.
    pub len: usize,
    /// Distribution of the first values.
    pub init: Init,
}

impl Segment {
    /// The words of the arena that hold this tensor.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
    /// The group that it belongs to: the first word of its name.
    pub fn group(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(group, _)| group)
    }
    /// The name of the layer: the tensor's name without its last word.
    pub fn layer(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(layer, _)| layer)
    }
}

/// Index of a trained tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterId(pub(crate) usize);

/// Index of a running statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatisticId(pub(crate) usize);

/// The segments of both arenas, filled by the layers of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    trained: Vec<Segment>,
    statistics: Vec<Segment>,
    /// Weights, and the statistics that are their left and right singular vectors.
    singular_vectors: Vec<(ParameterId, [StatisticId; 2])>,
}

impl Parameters {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a trained tensor behind the last one.
    ///
    /// # Panics
    /// If the name is taken, or other groups' tensors lie between it and its group's: a bug in a model.
    pub fn add(&mut self, name: String, shape: &[usize], init: Init) -> ParameterId {
        push(&mut self.trained, name, shape, init);
        ParameterId(self.trained.len() - 1)
    }

    /// Adds a running statistic.
    ///
    /// # Panics
    /// As [`Parameters::add`].
    pub fn add_statistic(&mut self, name: String, shape: &[usize], init: Init) -> StatisticId {
        push(&mut self.statistics, name, shape, init);
        StatisticId(self.statistics.len() - 1)
    }

    /// Adds the first left and right singular vector of a weight `[out, in]`, `name.weight_u` and `name.weight_v`, to which
    /// [`Graph::spectral_norm`](crate::Graph::spectral_norm) holds on. To be called after [`Parameters::set_layout`].
    ///
    /// # Panics
    /// If the weight is no matrix: a bug in a layer.
    pub fn add_singular_vectors(&mut self, weight: ParameterId) -> [StatisticId; 2] {
        let segment = self.trained[weight.0].clone();
        let &[outputs, inputs] = &segment.shape[..] else { panic!("{} is no matrix", segment.name) };
        let zero = Init::Constant(0.0);
        let vectors = [("u", outputs), ("v", inputs)]
            .map(|(vector, len)| self.add_statistic(format!("{}_{vector}", segment.name), &[len], zero));
        self.statistics[vectors[1].0].layout = segment.layout;
        self.singular_vectors.push((weight, vectors));
        vectors
    }

    /// Lets all tensors that were to begin uniform within `1/sqrt(fan_in)` begin as Flax has it, weights as
    /// [`Init::LecunNormal`] and biases at 0.
    pub fn begin_lecun_normal(&mut self) {
        for segment in &mut self.trained {
            segment.init = match segment.init {
                Init::FanIn(_) if segment.shape.len() == 1 => Init::Constant(0.0),
                Init::FanIn(fan_in) => Init::LecunNormal(fan_in),
                other => other,
            };
        }
    }

    /// Says in which order the numbers of a tensor lie in the arenas.
    ///
    /// # Panics
    /// If it cannot have this layout: a bug in a layer.
    pub fn set_layout(&mut self, id: ParameterId, layout: Layout) {
        let segment = &mut self.trained[id.0];
        let fits = match layout {
            Layout::Plain => true,
            Layout::FlattenedImage { channels } => {
                segment.shape.last().is_some_and(|width| width.is_multiple_of(channels))
            }
            Layout::Convolution => segment.shape.len() == 4,
        };
        assert!(fits, "{} {:?} cannot lie as {layout:?}", segment.name, segment.shape);
        segment.layout = layout;
    }

    /// The trained tensors in order.
    pub fn trained(&self) -> &[Segment] {
        &self.trained
    }
    /// The running statistics in order.
    pub fn statistics(&self) -> &[Segment] {
        &self.statistics
    }
    /// Number of trained numbers, without padding.
    pub fn count(&self) -> usize {
        self.trained.iter().map(|segment| segment.len).sum()
    }
    /// Words of an arena of trained tensors, padding included.
    pub fn words(&self) -> usize {
        self.trained.last().map_or(0, |last| padded(last.offset + last.len))
    }
    /// Words of the statistics arena, padding included.
    pub fn statistics_words(&self) -> usize {
        self.statistics.last().map_or(0, |last| padded(last.offset + last.len))
    }
    /// The trained tensors of a group, in order.
    pub fn group(&self, group: &str) -> impl DoubleEndedIterator<Item = &Segment> {
        self.trained.iter().filter(move |segment| segment.group() == group)
    }
    /// The words of the arena that hold a group, padding between its tensors included; `None` if it has no tensor.
    ///
    /// The tensors of a group are added one after the other, so this is one range.
    pub fn group_range(&self, group: &str) -> Option<Range<usize>> {
        let mut segments = self.group(group);
        let first = segments.next()?;
        let last = segments.next_back().unwrap_or(first);
        Some(first.offset..padded(last.offset + last.len))
    }

    /// First values of the trained arena: the same for the same seed, on every device.
    pub fn initial_values(&self, seed: u32) -> Vec<f32> {
        fill(&self.trained, self.words(), seed)
    }
    /// First values of the statistics arena: of singular vectors those of [`Parameters::initial_values`] with this seed.
    pub fn initial_statistics(&self, seed: u32) -> Vec<f32> {
        let mut arena = fill(&self.statistics, self.statistics_words(), seed);
        for &(weight, [left, right]) in &self.singular_vectors {
            let values = self.initial_values(seed);
            let found =
                singular_vectors(&values[self.trained[weight.0].range()], self.statistics[left.0].len);
            for (vector, id) in found.into_iter().zip([left, right]) {
                arena[self.statistics[id.0].range()].copy_from_slice(&vector);
            }
        }
        arena
    }

    /// Cuts an arena with the layout of the trained tensors (values, gradients, moments) into named tensors, for weight
    /// files.
    pub fn export(&self, arena: &[f32]) -> Vec<Exported> {
        export(&self.trained, arena)
    }
    /// Cuts the statistics arena into named tensors.
    pub fn export_statistics(&self, arena: &[f32]) -> Vec<Exported> {
        export(&self.statistics, arena)
    }

    /// An arena of trained tensors from named ones. `find` gives shape and values of a name.
    ///
    /// # Errors
    /// A missing tensor or one of another shape: the weights of another model.
    pub fn import(
        &self,
        what: &str,
        find: impl FnMut(&str) -> Option<(Vec<usize>, Vec<f32>)>,
    ) -> Result<Vec<f32>> {
        import(&self.trained, self.words(), what, find)
    }
    /// The statistics arena from named tensors.
    ///
    /// # Errors
    /// As [`Parameters::import`].
    pub fn import_statistics(
        &self,
        what: &str,
        find: impl FnMut(&str) -> Option<(Vec<usize>, Vec<f32>)>,
    ) -> Result<Vec<f32>> {
        import(&self.statistics, self.statistics_words(), what, find)
    }
}

/// Name, shape and values of a tensor, as a weight file holds it.
pub type Exported = (String, Vec<usize>, Vec<f32>);

fn export(segments: &[Segment], arena: &[f32]) -> Vec<Exported> {
    segments
        .iter()
        .map(|s| (s.name.clone(), s.shape.clone(), s.layout.to_file(&s.shape, &arena[s.range()])))
        .collect()
}

fn import(
    segments: &[Segment],
    words: usize,
    what: &str,
    mut find: impl FnMut(&str) -> Option<(Vec<usize>, Vec<f32>)>,
) -> Result<Vec<f32>> {
    let mut arena = vec![0.0; words];
    for segment in segments {
        let Some((shape, values)) = find(&segment.name) else {
            return Err(Error::Weights {
                what: what.to_string(),
                message: format!("no tensor '{}': the weights of another model?", segment.name),
            });
        };
        if shape != segment.shape {
            return Err(Error::Weights {
                what: what.to_string(),
                message: format!(
                    "'{}' has shape {shape:?}, this model needs {:?}",
                    segment.name, segment.shape
                ),
            });
        }
        arena[segment.range()].copy_from_slice(&segment.layout.to_arena(&segment.shape, &values));
    }
    Ok(arena)
}

fn push(segments: &mut Vec<Segment>, name: String, shape: &[usize], init: Init) {
    assert!(segments.iter().all(|segment| segment.name != name), "two tensors are called {name}");
    let offset = segments.last().map_or(0, |last| padded(last.offset + last.len));
    segments.push(Segment {
        name,
        shape: shape.to_vec(),
        offset,
        len: shape.iter().product(),
        init,
        layout: Layout::Plain,
    });
    let (added, before) = segments.split_last().expect("one was added");
    let others = before.iter().rev().skip_while(|segment| segment.group() == added.group());
    assert!(
        others.map(Segment::group).all(|group| group != added.group()),
        "{} does not lie with its group",
        added.name
    );
}

fn fill(segments: &[Segment], words: usize, seed: u32) -> Vec<f32> {
    let mut arena = vec![0.0; words];
    for (index, segment) in segments.iter().enumerate() {
        first_values(segment.init, index as u32, &mut arena[segment.range()], seed);
    }
    arena
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Parameters {
        let mut table = Parameters::new();
        table.add("backbone.fc1.weight".into(), &[5, 30], Init::FanIn(30));
        table.add("backbone.fc1.bias".into(), &[5], Init::FanIn(30));
        table.add("head.fc.weight".into(), &[3, 5], Init::FanIn(5));
        table.add_statistic("backbone.bn1.running_var".into(), &[5], Init::Constant(1.0));
        table
    }

    #[test]
    fn segments_are_aligned_and_groups_are_ranges() {
        let table = table();
        assert_eq!(table.trained().iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 192, 256]);
        assert_eq!((table.words(), table.count(), table.statistics_words()), (320, 170, 64));
        assert_eq!(table.group_range("backbone"), Some(0..256));
        assert_eq!(table.group_range("head"), Some(256..320));
        assert_eq!(table.group_range("fc1"), None);
        assert_eq!(table.trained()[1].layer(), "backbone.fc1");
    }

    #[test]
    fn lecun_weights_are_drawn_biases_are_zero_and_so_is_padding() {
        let mut table = table();
        table.begin_lecun_normal();
        let inits: Vec<Init> = table.trained().iter().map(|segment| segment.init).collect();
        assert_eq!(inits, [Init::LecunNormal(30), Init::Constant(0.0), Init::LecunNormal(5)]);
        let values = table.initial_values(3);
        assert!(values[150..256].iter().chain(&values[271..]).all(|&v| v == 0.0));
        assert!(values[..150].iter().all(|&v| v != 0.0));
    }

    #[test]
    fn export_and_import_are_inverse_and_name_what_does_not_fit() {
        let table = table();
        let (values, statistics) = (table.initial_values(1), table.initial_statistics(1));
        let mut tensors = table.export(&values);
        tensors.extend(table.export_statistics(&statistics));
        let find = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
        assert_eq!(table.import("w", find).unwrap(), values);
        assert_eq!(table.import_statistics("w", find).unwrap(), statistics);
        let missing = table.import("w", |name| find(name).filter(|_| name != "head.fc.weight")).unwrap_err();
        assert!(missing.to_string().contains("head.fc.weight"), "{missing}");
        let other = table.import("w", |name| find(name).map(|(_, v)| (vec![1], v))).unwrap_err();
        assert!(other.to_string().contains("[5, 30]"), "{other}");
    }

    #[test]
    fn files_hold_images_and_filters_as_pytorch_does() {
        let mut table = Parameters::new();
        let image = table.add("head.fc.weight".into(), &[2, 12], Init::FanIn(12));
        table.set_layout(image, Layout::FlattenedImage { channels: 3 });
        let filters = table.add("head.conv.weight".into(), &[4, 2, 3, 3], Init::FanIn(18));
        table.set_layout(filters, Layout::Convolution);
        let arena = table.initial_values(3);
        let file = table.export(&arena);
        assert_eq!(file[1].1, [4, 2, 3, 3]);
        // Output 1, input 0, tap (2, 1).
        assert_eq!(file[1].2[18 + 7], arena[table.trained()[1].offset + 7 * 8 + 1]);
        let find = |name: &str| file.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
        assert_eq!(table.import("w", find).unwrap(), arena);
        assert_ne!(file[0].2, arena[..24]);
    }
}
