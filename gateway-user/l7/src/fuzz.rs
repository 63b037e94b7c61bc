//! Fuzzing on a stable compiler: inputs made by mutation, kept when they show something new, for as long as there is time.
//!
//! `SANMON_FUZZ_SECONDS` says for how long each target runs; `cargo xtask test` gives ten seconds, `--full` more. Without
//! the instruments of a nightly compiler a target says itself what it saw: an input whose outcome is new is mutated further.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::random::Random;

const SECONDS_USUAL: u64 = 1;
const INPUT_BYTES_MAX: usize = 4096;
const CORPUS_MAX: usize = 4096;
/// Mutations on top of each other.
const CHANGES_MAX: u64 = 6;

/// Runs a target on mutations of seeds and pieces of interest, and names the input that it panics on. The target gives
/// what it saw, in as much detail as is worth going after.
pub(crate) fn fuzz<S: Hash + Debug>(
    seeds: &[&[u8]],
    pieces: &[&[u8]],
    mut target: impl FnMut(&[u8]) -> S,
) {
    let mut run = |input: &[u8]| {
        let ran = catch_unwind(AssertUnwindSafe(|| target(input)));
        ran.unwrap_or_else(|panic| {
            eprintln!("fuzz: the input is b\"{}\"", input.escape_ascii());
            resume_unwind(panic)
        })
    };
    let random = Random::from_system();
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mut seen: HashSet<u64> = corpus.iter().map(|input| hash(&run(input))).collect();
    let seconds = std::env::var("SANMON_FUZZ_SECONDS");
    let seconds = seconds.ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(SECONDS_USUAL));
    while Instant::now() < until {
        for _ in 0..64 {
            let mut input = draw(&random, &corpus).unwrap_or_default();
            for _ in 0..=random.below(CHANGES_MAX) {
                change(&random, &mut input, pieces, &corpus);
            }
            input.truncate(INPUT_BYTES_MAX);
            if seen.insert(hash(&run(&input))) && corpus.len() < CORPUS_MAX {
                corpus.push(input);
            }
        }
    }
}

fn hash(seen: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    hasher.finish()
}

fn draw<T: Clone>(random: &Random, from: &[T]) -> Option<T> {
    from.get(below(random, from.len())).cloned()
}

fn below(random: &Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or_default()
}

/// Changes an input in one place.
fn change(random: &Random, input: &mut Vec<u8>, pieces: &[&[u8]], corpus: &[Vec<u8>]) {
    let at = below(random, input.len() + 1);
    let count = below(random, 8).min(input.len() - at);
    match random.below(8) {
        0 => drop(input.splice(at..at, [random.bits().to_be_bytes()[0]])),
        1 => drop(input.drain(at..at + count)),
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = draw(random, b"\x00\x01\x7f\x80\xff \r\n/.%").unwrap_or_default();
            }
        }
        4 => {
            let copied = input.get(at..at + count).unwrap_or_default().to_vec();
            let times = 1 + below(random, 8);
            drop(input.splice(at..at, copied.repeat(times)));
        }
        5 => {
            // The end of another one.
            let other = draw(random, corpus).unwrap_or_default();
            let from = below(random, other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        _more => {
            let piece = draw(random, pieces).unwrap_or_default();
            let end = (at + if random.below(2) == 0 { 0 } else { count }).min(input.len());
            drop(input.splice(at..end, piece.iter().copied()));
        }
    }
}

#[test]
fn a_panic_deep_inside_is_found() {
    let found = catch_unwind(|| {
        let started = Instant::now();
        // Each letter is a new sight, so that the way to the last one is short.
        while started.elapsed() < Duration::from_secs(60) {
            fuzz(&[b""], &[b"a", b"b", b"c", b"d"], |input| {
                let depth = input
                    .iter()
                    .zip(b"abcd")
                    .take_while(|(a, b)| a == b)
                    .count();
                assert!(depth < 4);
                depth
            });
        }
    });
    assert!(found.is_err());
}
