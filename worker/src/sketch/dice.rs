//! Random numbers from a recipe: BLAKE3 in its extendable-output mode.
//!
//! The specification of BLAKE3 is frozen and its output is the same on every platform, so a stream of numbers
//! never changes with a crate's version, as the streams of general generators and above all their mappings
//! to floats and ranges may. Every part of a picture rolls a stream of its own, named by a label: adding a
//! part leaves the others as they were.

use blake3::OutputReader;

/// The root from which all streams of a picture are derived.
#[derive(Clone, Copy)]
pub(super) struct Root([u8; 32]);

impl Root {
    /// The root of a prompt, for what all its seeds share.
    pub(super) fn of_prompt(prompt: &str) -> Self {
        Self(blake3::derive_key(
            "orchestrator sketch 1 prompt",
            prompt.as_bytes(),
        ))
    }

    /// The root of one seed of this prompt.
    pub(super) fn with_seed(self, seed: u64) -> Self {
        Self(*blake3::keyed_hash(&self.0, &seed.to_le_bytes()).as_bytes())
    }

    /// The stream of the part named `label`.
    pub(super) fn dice(self, label: &str) -> Dice {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(label.as_bytes());
        Dice(hasher.finalize_xof())
    }
}

/// A stream of random numbers.
pub(super) struct Dice(OutputReader);

impl Dice {
    /// A number of 32 random bits.
    pub(super) fn bits(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// A number from 0 up to, not including, 1.
    pub(super) fn unit(&mut self) -> f32 {
        // 24 bits are what the mantissa holds, so that this is exact and never rounds up to 1
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// A number from `low` up to `high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An index below `count`; 0 if there is none.
    pub(super) fn index(&mut self, count: usize) -> usize {
        ((u64::from(self.bits()) * count as u64) >> 32) as usize
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of the items.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        items[self.index(N)]
    }
}
