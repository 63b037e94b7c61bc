//! A small, fast generator for choices among backends and endpoints. Not for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A SplitMix64 generator that belongs to one worker.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// Starts from a seed; the same seed gives the same choices.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Starts from the operating system's randomness, so that workers and nodes choose differently.
    pub(crate) fn from_system() -> Self {
        Self::new(RandomState::new().build_hasher().finish())
    }

    /// A number from 0 up to, and without, `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        // Multiply and shift: the bias is below bound / 2^64.
        let product = u128::from(self.bits()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_its_bound_and_reaches_all_of_it() {
        let random = Random::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(random.below(10)).expect("below 10")] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(random.below(0), 0);
    }
}
