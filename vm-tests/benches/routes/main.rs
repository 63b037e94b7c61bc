//! What many routes cost: instructions of a lookup, time and allocations of a translation and of a compilation, memory.
//!
//! Instructions are counted by stepping through them, so they are the same on a busy machine and on a quiet one.
//! Times are minima of several runs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a wrong index should end the benchmark"
)]

mod changes;
mod corpus;
mod instructions;
mod memory;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_l7::Lookup;
use gateway_translate::{Inputs, Outcome, Settings, Translator, translate};
use http::Request;

use corpus::{Shape, endpoints, put, workloads};
use memory::Usage;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const MANY: usize = 10_000;
const CHANGED_AMONG: [usize; 4] = [1, 100, 1_000, 10_000];
const WORKLOADS: usize = 5_000;
const RUNS: usize = 9;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench routes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    println!("instructions of a lookup among so many routes");
    println!(
        "{:<32} {}",
        "routes differ in",
        COUNTS.map(|it| format!("{it:>8}")).concat()
    );
    for shape in [Shape::Paths, Shape::Hosts, Shape::Headers] {
        let counted: Vec<String> = COUNTS
            .iter()
            .map(|count| Ok(format!("{:>8}", lookup(shape, *count)?)))
            .collect::<anyhow::Result<_>>()?;
        println!("{:<32} {}", shape.name(), counted.concat());
    }
    println!("\ntranslation of {MANY} routes to a snapshot and its generation");
    println!(
        "{:<32} {:<16} {:>10} {:>12} {:>12}",
        "routes differ in", "what changed", "ms, least", "allocations", "bytes kept"
    );
    for shape in [Shape::Paths, Shape::Hosts] {
        translation(shape);
    }
    println!("\nthe proxy's compilation of one changed route among so many");
    println!(
        "{:<32} {:>8} {:>12} {:>12} {:>10}",
        "routes differ in", "routes", "instructions", "allocations", "ms, least"
    );
    for shape in [Shape::Paths, Shape::Hosts, Shape::Headers] {
        compilation(shape)?;
    }
    weights()
}

fn compilation(shape: Shape) -> anyhow::Result<()> {
    for count in CHANGED_AMONG {
        let cost = changes::cost(shape, count)?;
        let instructions = cost
            .instructions
            .map_or("-".to_owned(), |it| it.to_string());
        println!(
            "{:<32} {count:>8} {:>12} {:>12} {:>10.4}",
            shape.name(),
            instructions,
            cost.allocations,
            cost.time.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// What a route with its own Service and EndpointSlice weighs, by what has it.
fn weights() -> anyhow::Result<()> {
    println!("\nbytes of a route, a Service and an EndpointSlice, among {WORKLOADS} of each");
    let row = |what: &str, usage: Usage| {
        println!("{what:<32} {:>10}", usage.bytes / WORKLOADS as u64);
    };
    let (inputs, usage) = memory::of(|| workloads(WORKLOADS));
    row("as they are read", usage);
    let mut translator = Translator::default();
    let (outcome, usage) = memory::of(|| translator.translate(&inputs, &Settings::default()));
    row("translated", usage);
    let (lookup, usage) = memory::of(|| Lookup::new(&outcome.snapshot));
    row("compiled by the proxy", usage);
    drop(lookup.context("the proxy cannot compile")?);
    Ok(())
}

/// The instructions that it takes to find a route in the middle.
fn lookup(shape: Shape, count: usize) -> anyhow::Result<u64> {
    let snapshot = translate(&shape.inputs(count), &Settings::default()).snapshot;
    let lookup = Lookup::new(&snapshot).context("the proxy cannot compile")?;
    let index = count / 2;
    let (host, path) = (shape.host(index), shape.path(index));
    let request = Request::get(format!("{path}/item?color=red"))
        .header("host", &host)
        .header("user-agent", "bench")
        .header("accept", "*/*")
        .header("x-tenant", index.to_string())
        .body(())?;
    let local = ([127, 0, 0, 1], 80).into();
    let found = lookup.rule(local, &host, &request);
    let found = &found.context("no route is found")?.route.object.name;
    anyhow::ensure!(**found == *format!("route-{index:05}"), "found {found}");
    instructions::of_a_call(|| lookup.rule(local, &host, &request).is_some())
}

fn translation(shape: Shape) {
    let settings = Settings::default();
    let mut inputs = shape.inputs(MANY);
    let row = |what: &str, (time, usage): (Duration, Usage)| {
        println!(
            "{:<32} {what:<16} {:>10.3} {:>12} {:>12}",
            shape.name(),
            time.as_secs_f64() * 1e3,
            usage.allocations,
            usage.bytes
        );
    };
    let mut translator = Translator::default();
    let ((), whole) = memory::of(|| {
        generation(&translator.translate(&inputs, &settings));
    });
    let time = least((0..3).map(|_| timed(&mut Translator::default(), &inputs).0));
    row("everything", (time, whole));
    let mut change = |inputs: &mut Inputs, what: &str, edit: &dyn Fn(&mut Inputs, usize)| {
        let runs: Vec<(Duration, Usage)> = (0..RUNS)
            .map(|run| {
                edit(inputs, run);
                timed(&mut translator, inputs)
            })
            .collect();
        row(what, (least(runs.iter().map(|it| it.0)), runs[RUNS - 1].1));
    };
    change(&mut inputs, "one route", &|inputs, run| {
        let port = if run % 2 == 0 { 81 } else { 80 };
        put(inputs, &shape.route(MANY / 2, port));
    });
    change(&mut inputs, "nothing", &|_, _| {});
    change(&mut inputs, "endpoints of all", &|inputs, run| {
        put(inputs, &endpoints(if run % 2 == 0 { 2 } else { 1 }));
    });
}

fn timed(translator: &mut Translator, inputs: &Inputs) -> (Duration, Usage) {
    let start = Instant::now();
    let ((), usage) = memory::of(|| {
        generation(&translator.translate(inputs, &Settings::default()));
    });
    (start.elapsed(), usage)
}

fn generation(outcome: &Outcome) {
    std::hint::black_box(outcome.snapshot.generation());
}

fn least(times: impl Iterator<Item = Duration>) -> Duration {
    times.min().unwrap_or_default()
}
