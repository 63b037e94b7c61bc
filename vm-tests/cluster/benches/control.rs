//! What a change costs in a cluster: from the request that makes a route to the first answer by it, against a real API
//! server, with what that server needs by itself reported apart; and what an agent weighs with that many routes.
//!
//! `SANMON_BENCH_ROUTES` says how many routes there are; each quarter of them is reported by itself, so that growth shows.

#[path = "../tests/cluster/bed.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod bed;
#[path = "control/client.rs"]
mod client;
#[path = "control/process.rs"]
mod process;

use std::io::Write;
use std::time::Duration;

use anyhow::Context;

use bed::Bed;
use client::{Client, Propagation};
use process::Agent;

/// How many routes are made one after another, if nothing else is said.
const ROUTES: usize = 3_000;
/// How many are made at once after that.
const BURST: usize = 1_000;
/// How long the agent is left alone.
const REST: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let routes = match std::env::var("SANMON_BENCH_ROUTES") {
        Ok(text) => text.parse().context("SANMON_BENCH_ROUTES is no number")?,
        Err(_unset) => ROUTES,
    };
    let Some(cluster) = Bed::start("control", 1)? else {
        return Ok(());
    };
    cluster.install_sanmon()?;
    let address = cluster.serve()?;
    // It takes every host, so that nobody could tell when another route is there.
    cluster.kubectl(&["delete", "--namespace=first", "httproute/echo"])?;
    let agent = Agent::new(cluster.program("sanmon")?);
    say(&format!("agent before: {}", agent.memory()?));

    let measured = Client::run(&cluster.client(), address, routes, BURST)?;
    say("one route after another, milliseconds:");
    let quarter = measured.one_by_one.len().div_ceil(4).max(1);
    for (number, part) in measured.one_by_one.chunks(quarter).enumerate() {
        let served: Vec<Duration> = part.iter().map(|it| it.served).collect();
        let seen: Vec<Duration> = part.iter().map(|it| it.seen).collect();
        let from = number * quarter;
        say(&format!(
            "  {from:>5}..: create to answer {}; create to watch event {}",
            figures(served),
            figures(seen)
        ));
    }
    let own = |it: &Propagation| it.served.saturating_sub(it.seen);
    let own: Vec<Duration> = measured.one_by_one.iter().map(own).collect();
    say(&format!("  watch event to answer {}", figures(own)));
    say(&format!(
        "attachedRoutes is right {:?} after the last of {BURST} creates; {} writes of the Gateway",
        measured.lag, measured.writes
    ));
    let total = routes + BURST;
    say(&format!("agent with {total} routes: {}", agent.memory()?));
    say(&format!("agent at rest: {:.4} cores", agent.cores(REST)?));
    Ok(())
}

/// Mean, median and the ends of a distribution.
fn figures(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |percent: usize| {
        let index = all.len().saturating_sub(1) * percent / 100;
        all.get(index).map_or(0.0, |it| it.as_secs_f64() * 1_000.0)
    };
    let sum: Duration = all.iter().sum();
    let mean = sum.as_secs_f64() * 1_000.0 / all.len().max(1) as f64;
    format!(
        "mean {mean:.2}, median {:.2}, p99 {:.2}, max {:.2}",
        at(50),
        at(99),
        at(100)
    )
}

fn say(line: &str) {
    // A closed standard output leaves nobody to tell.
    let _unheard = writeln!(std::io::stdout(), "{line}");
}
