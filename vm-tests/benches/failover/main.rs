//! How long nobody answers for an address when something happens to its owner, and what heartbeats cost.
//!
//! A client asks every 5 ms; a gap is the longest time between two answers. Each kind of fault happens so many times as
//! `SANMON_FAILOVERS` says (default: 100), at random instants, on three nodes and on two.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Duration;

use gateway_vm_tests::nodes::{Fault, Nodes};
use gateway_vm_tests::skips;

mod crowd;

/// Upper ends of the columns.
const COLUMNS_MS: [u128; 8] = [20, 50, 100, 300, 500, 700, 1000, 2000];
/// Sizes of the crowd that one voter hears.
const CROWDS: [u16; 3] = [3, 50, 200];

fn main() -> anyhow::Result<()> {
    if skips("failover") {
        return Ok(());
    }
    crowd::heading();
    for count in CROWDS {
        crowd::measure(count)?;
    }
    let rounds = std::env::var("SANMON_FAILOVERS");
    let rounds: usize = rounds.map_or(Ok(100), |it| it.parse())?;
    for count in [3, 2] {
        let mut nodes = Nodes::new(count)?;
        heading(count, rounds);
        for fault in Fault::ALL {
            let mut gaps = Vec::new();
            let mut turns = 0;
            for round in 0..rounds {
                // Everywhere between two heartbeats.
                let step = u64::try_from(round).unwrap_or_default() * 37 % 100;
                let before = Duration::from_millis(100 + step);
                let (_, seen) = nodes.fail_over(fault, before)?;
                turns += usize::from(seen.macs().len() > 2);
                gaps.push(seen.worst_gap());
            }
            row(fault, gaps, turns);
        }
    }
    Ok(())
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
fn row(fault: Fault, mut gaps: Vec<Duration>, turns: usize) {
    gaps.sort_unstable();
    let at = |place: usize| gaps.get(place).copied().unwrap_or_default().as_millis();
    print!(
        "{:<20}{:>7}{:>7}",
        fault.to_string(),
        at(gaps.len() / 2),
        at(gaps.len().saturating_sub(1))
    );
    let mut below = 0;
    for column in COLUMNS_MS {
        let until = gaps.iter().filter(|it| it.as_millis() < column).count();
        print!("{:>7}", until - below);
        below = until;
    }
    println!("{turns:>8}");
}
