//! New transitions into the ring.

use super::{Ring, grid};
use crate::kernel::CLOCK_WGSL;
use crate::size::words;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Writes `count` transitions into the ring, the first at `clock.appended mod capacity`: the oldest give way.
///
/// Buffers: incoming `[count, 2 W + 3]`, ring `[capacity, 2 W + 3]`, of which all other rows stay as they are. There may
/// be no more new transitions than the ring holds.
#[derive(Clone, Copy, Debug)]
pub struct Append {
    /// The ring.
    pub ring: Ring,
    /// New transitions, at least 1 and at most `ring.capacity`.
    pub count: usize,
}

impl Append {
    /// # Panics
    /// If the shapes are not those that the documentation asks for: a bug in the caller.
    fn check(&self) {
        let Append { ring, count } = *self;
        assert!((1..=ring.capacity).contains(&count), "{count} transitions into a ring of {}", ring.capacity);
    }
}

impl Kernel for Append {
    fn name(&self) -> &'static str {
        "replay/append"
    }
    fn shape(&self) -> String {
        format!("{} into {}", self.count, self.ring)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("incoming", words([self.count, self.ring.row()])).integers(),
            Binding::read_write("ring", self.ring.len()).integers(),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 8 * (self.count * self.ring.row()) as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        self.check();
        let row = self.ring.row();
        in_windows(self.ring.capacity, &[(1, row)], gpu, |slots| {
            vec![Dispatch {
                label: "replay/append".into(),
                source: [CLOCK_WGSL, include_str!("append.wgsl")].concat().into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
                immediates: [self.count, row, self.ring.capacity, slots.start, slots.len()]
                    .map(|n| n as u32)
                    .to_vec(),
                clock: true,
                grid: grid(self.count * row),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, _cpu: &Cpu, clock: &Clock, args: &mut Args) {
        self.check();
        let ([incoming, ring], _) = args.split();
        let (row, ring) = (self.ring.row(), ring.u32_mut());
        for (i, transition) in incoming.u32().chunks_exact(row).enumerate() {
            let slot = (clock.appended as usize + i) % self.ring.capacity;
            ring[slot * row..][..row].copy_from_slice(transition);
        }
    }
}
