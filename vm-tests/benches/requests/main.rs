//! CPU time per request of gate 3 beside nginx and HAProxy, on one core, in one run.
//!
//! One process is client and backend at once (64 keep-alive connections, small GETs over loopback) on the second core;
//! the proxy under test has the first core to itself and is kept saturated. Proxies alternate, the order turns round after
//! each round, and ratios are taken of minima and of medians: absolute figures of a shared machine mean little.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a wrong index should end the benchmark"
)]

mod load;
mod peers;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use load::Load;
use peers::Peer;

const ROUNDS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(300);
const RUN: Duration = Duration::from_millis(1_500);
const CONNECTIONS: usize = 64;

/// One measured run of one proxy.
#[derive(Clone, Copy)]
struct Sample {
    cpu_us_per_request: f64,
    busy: f64,
    requests_per_second: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench requests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    usage::pin_to_core(1).context("this benchmark needs two cores")?;
    let mut load = Load::start(CONNECTIONS)?;
    let mut peers = peers::start_all(load.backend())?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); peers.len()];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            samples[index].push(measure(&mut load, &mut peers[index])?);
        }
        eprint!("\rround {}/{ROUNDS}", round + 1);
    }
    eprintln!();
    report(&peers, &samples);
    Ok(())
}

fn measure(load: &mut Load, peer: &mut Peer) -> anyhow::Result<Sample> {
    load.drive(peer.address, WARM_UP)
        .with_context(|| format!("warm-up of {}", peer.name))?;
    let before = usage::cpu_time(peer.pid())?;
    let done = load
        .drive(peer.address, RUN)
        .with_context(|| format!("run of {}", peer.name))?;
    let cpu = usage::cpu_time(peer.pid())? - before;
    anyhow::ensure!(done.requests > 0, "{} answered nothing", peer.name);
    let requests = done.requests as f64;
    Ok(Sample {
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / requests,
        busy: cpu.as_secs_f64() / done.elapsed.as_secs_f64(),
        requests_per_second: requests / done.elapsed.as_secs_f64(),
    })
}

fn report(peers: &[Peer], samples: &[Vec<Sample>]) {
    let minimum = |of: &[Sample]| {
        of.iter()
            .map(|s| s.cpu_us_per_request)
            .fold(f64::INFINITY, f64::min)
    };
    let median = |of: &[Sample], value: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = of.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "small GET, {CONNECTIONS} keep-alive connections, {ROUNDS} rounds of {RUN:?}, one core"
    );
    println!("proxy     CPU µs/request min  median   busy   requests/s   vs nginx min / med");
    let nginx = peers.iter().position(|peer| peer.name == "nginx");
    for (peer, of) in peers.iter().zip(samples) {
        let (least, middle) = (minimum(of), median(of, |s| s.cpu_us_per_request));
        let ratio = nginx.map_or_else(
            || "-".to_owned(),
            |nginx| {
                let base = &samples[nginx];
                format!(
                    "{:.2} / {:.2}",
                    least / minimum(base),
                    middle / median(base, |s| s.cpu_us_per_request)
                )
            },
        );
        println!(
            "{:<9} {least:>18.2} {middle:>7.2} {:>6.2} {:>12.0}   {ratio}",
            peer.name,
            median(of, |s| s.busy),
            median(of, |s| s.requests_per_second),
        );
    }
}
