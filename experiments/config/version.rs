//! What a config means: the version that is part of each run's identity.

/// What the keys of a config meant in each version of the program that computed something else by them, oldest first. A
/// result belongs to the version in its config and never passes for one of another.
pub const MEANING: [&str; 2] = [
    "the first; configs of this version have no key 'version', and one table for the keys of all methods",
    "random draws and the exponential function are the same on every driver; Regen's last tensor of a ViT is that of the \
     released code; each method has a table of its own",
];

/// The version that this program computes by.
pub const VERSION: u32 = MEANING.len() as u32;
