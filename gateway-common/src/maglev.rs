//! Maglev hashing (Eisenbud et al., NSDI 2016) with weights.
//!
//! A table depends on nothing but the endpoints' addresses, ports and weights: any machine with the same snapshot
//! builds the same one. No allocation: the caller brings the memory.

use crate::addr::Address;

/// The sizes of tables: primes, so that every permutation visits every slot.
pub const TABLE_SIZES: [u32; 4] = [1021, 4093, 16381, 65537];

/// Slots per endpoint that keep the spread within 1 % (NSDI 2016, §5.3).
const SLOTS_PER_ENDPOINT: usize = 100;

/// The slot value before anything is placed there.
const EMPTY: u16 = u16::MAX;

/// The size of the table for so many endpoints. Above 655 the largest serves, with a coarser spread.
pub const fn table_size(endpoints: usize) -> u32 {
    let wanted = endpoints.saturating_mul(SLOTS_PER_ENDPOINT);
    let [tiny, small, medium, large] = TABLE_SIZES;
    if wanted <= tiny as usize {
        tiny
    } else if wanted <= small as usize {
        small
    } else if wanted <= medium as usize {
        medium
    } else {
        large
    }
}

/// One competitor for slots, and its place in the permutation.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    weight: u32,
    next: u32,
    skip: u32,
    target: u64,
}

impl Candidate {
    /// An endpoint with its share.
    pub fn new(address: Address, port: u16, weight: u32, size: u32) -> Self {
        let [a, b, c, d] = address.words();
        let seed = stir(stir(OFFSET_SEED, a, b), c, d);
        Self::seeded(stir(seed, u32::from(port), 0), weight, size)
    }

    /// The share of flows that are refused.
    pub fn refused(weight: u32, size: u32) -> Self {
        Self::seeded(stir(OFFSET_SEED, u32::MAX, u32::MAX), weight, size)
    }

    fn seeded(seed: u64, weight: u32, size: u32) -> Self {
        Self {
            weight,
            next: high_half(stir(seed, 1, 0)) % size,
            skip: high_half(stir(seed, 2, 0)) % (size - 1) + 1,
            target: 0,
        }
    }

    fn advance(&mut self, size: u32) {
        self.next = (self.next + self.skip) % size;
    }
}

/// Fixed for good, like the seed of the flow hash.
const OFFSET_SEED: u64 = 0x6d61_676c_6576_0001;

const fn high_half(word: u64) -> u32 {
    (word >> 32) as u32
}

fn stir(state: u64, low: u32, high: u32) -> u64 {
    let word = u64::from(low) | u64::from(high) << 32;
    let mut mixed = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fills a table with the candidates' positions in their slice, in proportion to their weights.
///
/// In each round a candidate takes a slot when its share is due, and the heaviest takes one in every round. Without
/// candidates, or with weights of 0 only, no slot is touched and `false` comes back.
pub fn fill(table: &mut [u16], candidates: &mut [Candidate]) -> bool {
    let heaviest = candidates.iter().map(|candidate| candidate.weight).max();
    let Some(heaviest @ 1..) = heaviest else {
        return false;
    };
    let Ok(size) = u32::try_from(table.len()) else {
        return false;
    };
    table.fill(EMPTY);
    let mut free = table.len();
    let mut round = 0u64;
    loop {
        round += 1;
        for (position, candidate) in (0u16..).zip(candidates.iter_mut()) {
            let due = round * u64::from(candidate.weight) >= candidate.target;
            if candidate.weight == 0 || !due {
                continue;
            }
            candidate.target += u64::from(heaviest);
            while table
                .get(candidate.next as usize)
                .is_some_and(|slot| *slot != EMPTY)
            {
                candidate.advance(size);
            }
            if let Some(slot) = table.get_mut(candidate.next as usize) {
                *slot = position;
            }
            candidate.advance(size);
            free -= 1;
            if free == 0 {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
