//! The memory of an agent on the device: transitions in a ring, batches drawn from it.
//!
//! A transition is a row of words, `2 W + 3` of them for observations of W words:
//!
//! ```text
//! observation [W] | next_observation [W] | action | reward | discount
//! ```
//!
//! An observation is whatever the agent's first kernel reads: W floats, W words of four packed bytes each (pixels), or
//! one word, the row of an image in a data set that lies on the device. [`crate::gather`] fetches such images with the
//! fetched observations as its `subset`, as many examples as rows, no shuffle, and a cursor of 0; packed pixels it
//! converts as a streamed batch. The action is an integer, reward and discount
//! are floats as [`crate::value`] takes them: the discount is 0 where the task was over. The next observation
//! is stored, not looked up in the next row: that of a transition at which an episode was cut off is the last one of its
//! episode, never the first of the next.
//!
//! ```text
//! ring[(appended + i) mod capacity] = incoming[i]                            Append
//! index[i]  = floor(word len / 2^32)    len = min(appended, capacity)        Draw
//! word      = pcg4d(i, step, REPLAY, seed)[0]
//! batch[i]  = ring[index[i]], taken apart                                    Fetch
//! ```
//!
//! How many transitions were appended so far, and the step, are in the [`crate::Clock`]: the device keeps no state but
//! the ring, nothing is read back, and a resume needs the ring and two numbers. Draws are uniform with replacement (Lin
//! 1992; Mnih and others 2015); their probabilities differ by at most 2^-32. All results are words that were copied or
//! integers that were computed: equal bits on both devices. Nothing here has a gradient.

mod append;
mod cases;
mod draw;
mod fetch;

pub use append::Append;
pub use cases::cases;
pub use draw::Draw;
pub use fetch::Fetch;

use crate::size::words;

/// The shape of a ring of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Transitions that it holds, at least 1.
    pub capacity: usize,
    /// Words of an observation, W.
    pub observation: usize,
}

impl Ring {
    /// Words of a transition.
    pub fn row(&self) -> usize {
        words([2, self.observation]).saturating_add(3)
    }
    /// Words of the whole ring.
    pub fn len(&self) -> usize {
        words([self.capacity, self.row()])
    }
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} observations of {} words", self.capacity, self.observation)
    }
}

/// The grid of a launch whose threads each take a word, and stride over the rest.
fn grid(words: usize) -> [u32; 3] {
    [words.div_ceil(64).min(65_535) as u32, 1, 1]
}
