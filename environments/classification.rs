//! Classification as a control task: the state is a class, and the agent sees an image of it.

use crate::environment::check;
use crate::random::{Purpose, Random};
use crate::{
    Environment, Error, Finite, FiniteMdp, Next, Observation, ObservationKind, Outcome, Result, Step, state,
};
use random::mix;

/// Which of the three tasks (Lyle and others, *Understanding Plasticity in Neural Networks*, 2023, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Easy: the right class is paid, and the next state is any.
    True,
    /// As [`Task::True`], with labels that have nothing to do with the images.
    Random,
    /// Hard: the right class leads to the next one, and only the last is paid.
    Sparse {
        /// What follows the right class in the last state, on which the paper says nothing.
        after_last: AfterLast,
    },
}

/// What follows the right class in the last state of [`Task::Sparse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLast {
    /// State 0.
    Wrap,
    /// Any state, each as likely.
    Uniform,
}

/// What a [`ClassificationMdp`] is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassificationOptions {
    /// Which task.
    pub task: Task,
    /// Number of classes, which are its states and its actions, at least 1.
    pub classes: u32,
    /// How many images take part, drawn without replacement and fixed by the seed; all of them if none.
    pub images: Option<u32>,
}

/// A Markov decision process over the images of a data set, with one state and one action per class.
///
/// In state s the agent sees an image whose label is s, drawn anew at each visit, each as likely. It takes an action a:
///
/// ```text
///                 reward                   next state
/// True, Random    1 if a = s               uniform over all classes, s included
/// Sparse          1 if a = s = C - 1       s + 1 if a = s, but after C - 1 as AfterLast says; uniform if a is not s
/// ```
///
/// It never ends. An episode begins in a uniform state. [`Task::Random`] gives every image a uniform label, a function of
/// the seed and the image's index, and does not look at the true ones.
///
/// With discount g, V* of True and Random is 1 / (1 - g). On Sparse with ten classes and g = .99 the best agent errs on
/// purpose in states 0 to 5, to be moved anywhere: 0.2 per step, where one that is always right gets 0.1.
#[derive(Clone, Debug)]
pub struct ClassificationMdp {
    options: ClassificationOptions,
    description: String,
    /// Number of images in the whole set.
    images: u32,
    /// `[classes]`: the images that each state shows, in the order of the set.
    shown: Vec<Vec<u32>>,
    random: Random,
    state: u32,
    image: u32,
}

impl ClassificationMdp {
    /// A task over images with these labels, `[images]`.
    ///
    /// # Errors
    /// A label is no class, a class has no image, or an option is out of its range.
    pub fn new(labels: &[u32], options: ClassificationOptions, seed: u64) -> Result<Self> {
        let ClassificationOptions { task, classes, images } = options;
        if classes == 0 {
            return Err(Error::option("classes", 0, "at least 1"));
        }
        let all = u32::try_from(labels.len())
            .map_err(|_| Error::option("labels", format!("{} of them", labels.len()), "at most 2^32 - 1"))?;
        if images.is_some_and(|images| images > all) {
            return Err(Error::option(
                "images",
                images.unwrap_or(0),
                format!("at most the {all} images of the set"),
            ));
        }
        let mut shown = vec![Vec::new(); classes as usize];
        for image in taking_part(all, images, seed) {
            let label = match task {
                Task::Random => Random::new(seed, Purpose::Labels, image.into()).below(classes),
                Task::True | Task::Sparse { .. } => labels[image as usize],
            };
            let Some(shown) = shown.get_mut(label as usize) else {
                return Err(Error::Label { image, label, classes });
            };
            shown.push(image);
        }
        if let Some(class) = shown.iter().position(Vec::is_empty) {
            let images = shown.iter().map(Vec::len).sum();
            return Err(Error::NoImage { class, classes, images });
        }
        let digest = labels.iter().fold(labels.len() as u64, |digest, &label| mix(digest ^ u64::from(label)));
        let part = images.map_or("all".into(), |images| format!("{images} of the"));
        let description = format!(
            "classification MDP: {task:?}, {classes} classes, {part} {all} images with labels {digest:016x}, seed {seed}"
        );
        let random = Random::new(seed, Purpose::Episodes, 0);
        let mut mdp = Self { options, description, images: all, shown, random, state: 0, image: 0 };
        mdp.reset();
        Ok(mdp)
    }

    /// Goes to a state and draws the image that it shows.
    fn enter(&mut self, state: u32) {
        self.state = state;
        let shown = &self.shown[state as usize];
        self.image = shown[self.random.below(shown.len() as u32) as usize];
    }

    fn reward(&self, state: u32, action: u32) -> f32 {
        let is_paid = match self.options.task {
            Task::True | Task::Random => true,
            Task::Sparse { .. } => state == self.options.classes - 1,
        };
        f32::from(action == state && is_paid)
    }

    /// The state that follows, or none if it is uniform over all.
    fn next(&self, state: u32, action: u32) -> Option<u32> {
        match self.options.task {
            Task::Sparse { after_last } if action == state => {
                let is_last = state == self.options.classes - 1;
                match after_last {
                    AfterLast::Uniform if is_last => None,
                    AfterLast::Wrap if is_last => Some(0),
                    _ => Some(state + 1),
                }
            }
            _ => None,
        }
    }
}

/// The images that take part, in the order of the set: `images` of `all`, drawn without replacement.
///
/// Each is taken with the probability that as many more are still to be taken (Knuth, *The Art of Computer Programming*,
/// volume 2, algorithm 3.4.2 S).
fn taking_part(all: u32, images: Option<u32>, seed: u64) -> impl Iterator<Item = u32> {
    let mut random = Random::new(seed, Purpose::Images, 0);
    let mut missing = images.unwrap_or(all);
    (0..all).filter(move |image| {
        let is_taken = random.below(all - image) < missing;
        missing -= u32::from(is_taken);
        is_taken
    })
}

impl Environment for ClassificationMdp {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn actions(&self) -> u32 {
        self.options.classes
    }

    fn terminates(&self) -> bool {
        false
    }

    fn observation_kind(&self) -> ObservationKind {
        ObservationKind::Image { images: self.images }
    }

    fn observation(&self) -> Observation<'_> {
        Observation::Image(self.image)
    }

    fn reset(&mut self) {
        let state = self.random.below(self.options.classes);
        self.enter(state);
    }

    fn step(&mut self, action: u32) -> Result<Step> {
        check(self, action, false)?;
        let reward = self.reward(self.state, action);
        let next = self.next(self.state, action);
        let next = next.unwrap_or_else(|| self.random.below(self.options.classes));
        self.enter(next);
        Ok(Step { reward, terminated: false, truncated: false })
    }

    fn save(&self) -> Vec<u8> {
        let numbers = [self.state.into(), self.image.into(), self.random.drawn()];
        state::write(&self.description, &numbers)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let [state, image, drawn] = state::read(&self.description, saved)?;
        let shown = usize::try_from(state).ok().and_then(|state| self.shown.get(state));
        let Some(image) = u32::try_from(image).ok().filter(|image| shown.is_some_and(|s| s.contains(image)))
        else {
            return Err(state::damaged(&self.description, "it shows an image of another state"));
        };
        (self.state, self.image) = (state as u32, image);
        self.random.restore(drawn);
        Ok(())
    }
}

impl Finite for ClassificationMdp {
    fn model(&self) -> FiniteMdp {
        let classes = self.options.classes;
        let outcomes = |state, action| {
            let reward = f64::from(self.reward(state, action));
            let next = self.next(state, action).map_or(Next::Drawn, |next| Next::State(next as usize));
            vec![Outcome { probability: 1.0, reward, next }]
        };
        FiniteMdp {
            start: vec![1.0 / f64::from(classes); classes as usize],
            outcomes: (0..classes)
                .map(|state| (0..classes).map(|action| outcomes(state, action)).collect())
                .collect(),
        }
    }

    fn state(&self) -> Option<usize> {
        Some(self.state as usize)
    }
}
