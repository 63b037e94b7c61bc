//! What the proxy does for one changed route among many: from a snapshot to the program that can be served.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_ir::Snapshot;
use gateway_l7::Lookup;
use gateway_translate::{Settings, Translator};

use crate::corpus::{Shape, put};
use crate::{instructions, memory};

const RUNS: usize = 20;
const FORMS: u32 = 3;
/// What takes longer has millions of instructions, and each is a switch to the process that counts.
const STEPPED_MAX: Duration = Duration::from_millis(1);

/// The cost of one change.
pub(crate) struct Cost {
    /// None: too many to step through.
    pub(crate) instructions: Option<u64>,
    pub(crate) allocations: u64,
    /// The least of several.
    pub(crate) time: Duration,
}

/// Compiles the forms of a route among so many, in turns.
pub(crate) fn cost(shape: Shape, count: usize) -> anyhow::Result<Cost> {
    let forms = forms(shape, count);
    let lookup = Lookup::new(&forms[0]).context("the proxy cannot compile")?;
    let lookup = RefCell::new(lookup);
    let round = || {
        let mut lookup = lookup.borrow_mut();
        forms.iter().for_each(|form| lookup.update(form));
    };
    let timed = |_| {
        let start = Instant::now();
        let ((), usage) = memory::of(round);
        (
            start.elapsed() / FORMS,
            usage.allocations / u64::from(FORMS),
        )
    };
    let runs: Vec<(Duration, u64)> = (0..RUNS).map(timed).collect();
    let time = runs.iter().map(|it| it.0).min().unwrap_or_default();
    let stepped = (time < STEPPED_MAX).then(|| instructions::of_a_call(round));
    Ok(Cost {
        instructions: stepped.transpose()?.map(|all| all / u64::from(FORMS)),
        allocations: runs[RUNS - 1].1,
        time,
    })
}

/// Snapshots that differ in the backend of one route, as a translation that remembers makes them. More than two, because the
/// program in force and the one before it are there in any case.
fn forms(shape: Shape, count: usize) -> [Snapshot; FORMS as usize] {
    let mut inputs = shape.inputs(count);
    let mut translator = Translator::default();
    [80, 81, 82].map(|port| {
        put(&mut inputs, &shape.route(count / 2, port));
        translator.translate(&inputs, &Settings::default()).snapshot
    })
}
