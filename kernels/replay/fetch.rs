//! The drawn transitions, taken apart.

use super::{Ring, grid};
use crate::size::words;
use crate::threads::Parts;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Copies the transitions of the slots `index[batch]` out of the ring.
///
/// Buffers: ring `[capacity, 2 W + 3]`, index, observation `[batch, W]`, next_observation `[batch, W]`, action `[batch]`,
/// reward `[batch]`, discount `[batch]`. A slot beyond the end means the last one.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// The ring.
    pub ring: Ring,
    /// Transitions of the batch.
    pub batch: usize,
}

impl Kernel for Fetch {
    fn name(&self) -> &'static str {
        "replay/fetch"
    }
    fn shape(&self) -> String {
        format!("{} of {}", self.batch, self.ring)
    }
    fn bindings(&self) -> Vec<Binding> {
        let observations = words([self.batch, self.ring.observation]);
        vec![
            Binding::read("ring", self.ring.len()).integers(),
            Binding::read("index", self.batch).integers(),
            Binding::write("observation", observations).integers(),
            Binding::write("next_observation", observations).integers(),
            Binding::write("action", self.batch).integers(),
            Binding::write("reward", self.batch),
            Binding::write("discount", self.batch),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: (4 * self.batch * (2 * self.ring.row() + 1)) as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let Ring { capacity, observation } = self.ring;
        // Each window fetches the slots that it holds.
        in_windows(capacity, &[(0, self.ring.row())], gpu, |slots| {
            vec![Dispatch {
                label: "replay/fetch".into(),
                source: include_str!("fetch.wgsl").into(),
                constants: Vec::new(),
                bindings: [(0, Read), (1, Read)].into_iter().chain((2..7).map(|i| (i, ReadWrite))).collect(),
                immediates: [self.batch, observation, capacity, slots.start, slots.len()]
                    .map(|n| n as u32)
                    .to_vec(),
                clock: false,
                grid: grid(self.batch * self.ring.row()),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([ring, index, observation, next_observation, action, reward, discount], _) = args.split();
        let (ring, index) = (ring.u32(), index.u32());
        let observations = [observation, next_observation].map(|arg| Parts::new(arg.u32_mut()));
        let scalars = [action, reward, discount].map(|arg| Parts::new(arg.u32_mut()));
        let (row, words) = (self.ring.row(), self.ring.observation);
        cpu.over_rows(self.batch, row, |part| {
            for i in part {
                let slot = (index[i] as usize).min(self.ring.capacity - 1);
                let transition = &ring[slot * row..][..row];
                let (pair, rest) = transition.split_at(2 * words);
                for (to, from) in observations.iter().zip([&pair[..words], &pair[words..]]) {
                    // SAFETY: every row belongs to one task.
                    unsafe { to.part(i * words..(i + 1) * words) }.copy_from_slice(from);
                }
                for (to, from) in scalars.iter().zip(rest.chunks(1)) {
                    // SAFETY: as above.
                    unsafe { to.part(i..i + 1) }.copy_from_slice(from);
                }
            }
        });
    }
}
