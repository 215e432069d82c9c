//! Chance that can be repeated.

use std::{env, time::Duration};

/// Numbers that follow from a seed (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A time of at least `least` and less than `most`, in milliseconds.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.roll() % (most - least))
    }

    /// Dice whose numbers do not depend on how often these are rolled.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.roll())
    }
}

/// The seed of this run: `ORCHESTRATOR_TEST_SEED`, or the time.
pub(crate) fn seed() -> u64 {
    let chosen = env::var_os("ORCHESTRATOR_TEST_SEED").and_then(|text| text.to_str()?.parse().ok());
    chosen.unwrap_or_else(|| runtime::clock::now().unsigned_abs())
}
