//! Memory of the host that a device may share.

use std::sync::Arc;

/// Memory of the host that a constant shares, as words.
#[derive(Clone)]
pub struct HostWords(Host);

#[derive(Clone)]
enum Host {
    Words(Arc<Vec<u32>>),
    /// As many as whole words, and aligned as words.
    Bytes(Arc<Vec<u8>>),
}

impl HostWords {
    /// Bytes as words, in the processor's order; `None` if they do not make whole words or do not lie where a word may.
    pub fn of_bytes(bytes: Arc<Vec<u8>>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, u32>(&bytes).ok()?;
        Some(Self(Host::Bytes(bytes)))
    }

    /// The words.
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Host::Words(words) => words,
            // Nobody else can change or move them meanwhile.
            Host::Bytes(bytes) => bytemuck::cast_slice(bytes),
        }
    }
}

impl std::fmt::Debug for HostWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words of the host", self.as_slice().len())
    }
}

impl From<Arc<Vec<u32>>> for HostWords {
    fn from(words: Arc<Vec<u32>>) -> Self {
        Self(Host::Words(words))
    }
}
