//! Tables of slots: determinism, spread, weights and least movement.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn equal_weights_get_equal_shares(count in 1usize..150, first in any::<[u8; 4]>()) {
        let endpoints = endpoints(first, &vec![1; count]);

        let shares = shares(&build(&endpoints), count);

        let fair = table_size(count) as f64 / count as f64;
        for share in shares {
            prop_assert!((share as f64 - fair).abs() <= 1.0 + fair * 0.02, "{share} of {fair}");
        }
    }

    #[test]
    fn shares_follow_weights(weights in prop::collection::vec(1u32..100, 2..20), first in any::<[u8; 4]>()) {
        let endpoints = endpoints(first, &weights);

        let table = build(&endpoints);

        let sum: u32 = weights.iter().sum();
        for (share, weight) in shares(&table, weights.len()).into_iter().zip(weights) {
            let fair = table.len() as f64 * f64::from(weight) / f64::from(sum);
            prop_assert!((share as f64 - fair).abs() <= 2.0 + fair * 0.05, "{share} of {fair}");
        }
    }

    #[test]
    fn the_loss_of_one_endpoint_moves_few_slots_of_the_others(
        count in 5usize..100, lost in any::<prop::sample::Index>(), first in any::<[u8; 4]>(),
    ) {
        // One set in a thousand of few endpoints moves ten times as much as the others, hardly four at once.
        let moved: usize = (0..4)
            .map(|set| {
                let before = endpoints([first[0], first[1], set, first[3]], &vec![1; count]);
                moved_by_loss(&before, lost.index(count))
            })
            .sum();
        let slots = table_size(count) as usize * 4;
        prop_assert!(moved * 100 <= slots * 12, "{moved} of {slots} slots moved");
    }

    #[test]
    fn the_same_endpoints_give_the_same_table(weights in prop::collection::vec(1u32..10, 1..30)) {
        let endpoints = endpoints([10, 0, 0, 1], &weights);

        prop_assert_eq!(build(&endpoints), build(&endpoints));
    }
}

#[test]
fn sizes_are_primes_of_a_hundred_slots_per_endpoint() {
    assert_eq!(
        [1, 10, 11, 40, 41, 163, 164, 9999].map(table_size),
        [1021, 1021, 4093, 4093, 16381, 16381, 65537, 65537]
    );
    for size in TABLE_SIZES {
        assert!(
            (2..size)
                .take_while(|d| d * d <= size)
                .all(|d| size % d != 0),
            "{size}"
        );
    }
}

#[test]
fn the_refused_share_is_a_share_like_any_other() {
    let size = table_size(2);
    let mut candidates = vec![
        Candidate::new(Address::from_v4([10, 0, 0, 1]), 80, 3, size),
        Candidate::refused(1, size),
    ];
    let mut table = vec![0; size as usize];

    assert!(fill(&mut table, &mut candidates));

    let refused = table.iter().filter(|slot| **slot == 1).count();
    assert!((250..=260).contains(&refused), "{refused}");
}

#[test]
fn without_candidates_nothing_is_filled() {
    assert!(!fill(&mut [0; 1021], &mut []));
    assert!(!fill(&mut [0; 1021], &mut [Candidate::refused(0, 1021)]));
}

#[test]
fn a_light_endpoint_beside_a_heavy_one_still_gets_a_slot() {
    let endpoints = endpoints([10, 0, 0, 1], &[1, 1_000_000]);

    let shares = shares(&build(&endpoints), 2);

    assert!(shares[0] >= 1, "{shares:?}");
}

/// Another machine, and the next release, must build this very table: a change here breaks flows in an upgrade.
#[test]
fn the_table_of_today_is_the_table_of_tomorrow() {
    let table = build(&endpoints([10, 0, 0, 1], &[1, 2, 3]));

    let digest = table
        .iter()
        .fold(0u64, |digest, slot| stir(digest, u32::from(*slot), 0));

    assert_eq!(digest, DIGEST_OF_RECORD);
}

const DIGEST_OF_RECORD: u64 = 9_360_906_315_855_510_833;

type Weighted = (Address, u16, u32);

fn endpoints(first: [u8; 4], weights: &[u32]) -> Vec<Weighted> {
    let first = u32::from_be_bytes(first);
    let address = |position: u32| first.wrapping_add(position).to_be_bytes();
    (0..)
        .zip(weights)
        .map(|(position, weight)| (Address::from_v4(address(position)), 8080, *weight))
        .collect()
}

fn build_sized(endpoints: &[Weighted], size: u32) -> Vec<u16> {
    let mut candidates: Vec<_> = endpoints
        .iter()
        .map(|(address, port, weight)| Candidate::new(*address, *port, *weight, size))
        .collect();
    let mut table = vec![0; size as usize];
    assert!(fill(&mut table, &mut candidates));
    table
}

fn build(endpoints: &[Weighted]) -> Vec<u16> {
    build_sized(endpoints, table_size(endpoints.len()))
}

fn owners(endpoints: &[Weighted], size: u32) -> Vec<Weighted> {
    let owner = |position: u16| endpoints[usize::from(position)];
    build_sized(endpoints, size)
        .into_iter()
        .map(owner)
        .collect()
}

/// The slots that the loss of one endpoint takes from others.
fn moved_by_loss(before: &[Weighted], lost: usize) -> usize {
    let mut after = before.to_vec();
    let gone = after.remove(lost);
    let size = table_size(before.len());
    let (old, new) = (owners(before, size), owners(&after, size));
    let pairs = old.iter().zip(&new);
    pairs
        .filter(|(old, new)| **old != gone && old != new)
        .count()
}

fn shares(table: &[u16], count: usize) -> Vec<usize> {
    let mut shares = vec![0; count];
    for slot in table {
        shares[usize::from(*slot)] += 1;
    }
    shares
}
