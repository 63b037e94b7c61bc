//! How long nobody answers for an address when something happens to its owner, and what heartbeats cost.
//!
//! A client asks every 5 ms; a gap is the longest time between two answers. Each kind of fault happens so many times as
//! `SANMON_FAILOVERS` says (default: 100), everywhere between two heartbeats, on three nodes and on two. Each kind has a LAN of
//! its own, and some run side by side: almost all of the time is waiting.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_vm_tests::nodes::{Fault, Nodes};
use gateway_vm_tests::skips;

mod crowd;

/// LANs at the same time.
const BEDS: usize = 4;
/// Upper ends of the columns.
const COLUMNS_MS: [u128; 8] = [20, 50, 100, 300, 500, 700, 1000, 2000];
/// Sizes of the crowd that one voter hears.
const CROWDS: [u16; 4] = [3, 50, 200, 500];

fn main() -> anyhow::Result<()> {
    if skips("failover") {
        return Ok(());
    }
    crowd::heading();
    for count in CROWDS {
        // On a busy machine the crowd is late, and is then not heard.
        if let Err(error) = crowd::measure(count) {
            let error = error.to_string();
            println!(
                "{count:>6}   not measured: {}",
                error.lines().next().unwrap_or_default()
            );
        }
    }
    let rounds = std::env::var("SANMON_FAILOVERS");
    let rounds: usize = rounds.map_or(Ok(100), |it| it.parse())?;
    for count in [3, 2] {
        heading(count, rounds);
        let taken = AtomicUsize::new(0);
        let next = || {
            Fault::ALL
                .get(taken.fetch_add(1, Ordering::Relaxed))
                .copied()
        };
        std::thread::scope(|threads| {
            let work = || {
                while let Some(fault) = next() {
                    row(fault, &measure(count, fault, rounds)?);
                }
                anyhow::Ok(())
            };
            let beds: Vec<_> = (0..BEDS).map(|_| threads.spawn(work)).collect();
            let mut results = beds.into_iter().map(|it| it.join());
            results.try_for_each(|it| it.expect("its panic is on the terminal"))
        })?;
    }
    Ok(())
}

/// What a fault came to, each time.
struct Measured {
    gaps: Vec<Duration>,
    /// Runs in which a node answered again after another one had, as both do for a moment in a hand-over.
    turns: usize,
}

fn measure(count: u8, fault: Fault, rounds: usize) -> anyhow::Result<Measured> {
    let mut nodes = Nodes::new(count)?;
    let (mut gaps, mut turns) = (Vec::new(), 0);
    for round in 0..rounds {
        // Everywhere between two heartbeats.
        let step = u64::try_from(round).unwrap_or_default() * 37 % 100;
        let before = Duration::from_millis(100 + step);
        let (_, seen) = nodes.fail_over(fault, before)?;
        let macs = seen.macs();
        let distinct: BTreeSet<_> = macs.iter().collect();
        turns += usize::from(distinct.len() < macs.len());
        gaps.push(seen.worst_gap());
    }
    gaps.sort_unstable();
    Ok(Measured { gaps, turns })
}

fn heading(count: u8, rounds: usize) {
    println!("\n{count} nodes, {rounds} of each; gaps in ms");
    print!("{:<20}{:>7}{:>7}", "", "median", "worst");
    for column in COLUMNS_MS {
        print!("{:>7}", format!("<{column}"));
    }
    println!("{:>8}", "in turn");
}

/// Median, worst, and how many gaps fall below each column and above the one before; runs in which nodes answered in turn.
fn row(fault: Fault, Measured { gaps, turns }: &Measured) {
    let at = |place: usize| gaps.get(place).copied().unwrap_or_default().as_millis();
    let (median, worst) = (at(gaps.len() / 2), at(gaps.len().saturating_sub(1)));
    let mut row = format!("{:<20}{median:>7}{worst:>7}", fault.to_string());
    let mut below = 0;
    for column in COLUMNS_MS {
        let until = gaps.iter().filter(|it| it.as_millis() < column).count();
        row.push_str(&format!("{:>7}", until - below));
        below = until;
    }
    println!("{row}{turns:>8}");
}
