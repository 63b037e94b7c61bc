//! Counts instructions without a performance counter, which virtual machines seldom have: a child process is stepped
//! through what is measured, one instruction at a time.

use std::hint::black_box;

use anyhow::Context as _;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// The instructions of one call of a function: those of two calls less those of one.
pub(crate) fn of_a_call<T>(call: impl Fn() -> T) -> anyhow::Result<u64> {
    // Everything that is done once, lazily, is done here.
    black_box(call());
    let once = of_calls(1, &call)?;
    Ok(of_calls(2, &call)? - once)
}

#[expect(
    unsafe_code,
    reason = "a child of this very program is what is counted"
)]
fn of_calls<T>(calls: usize, call: &impl Fn() -> T) -> anyhow::Result<u64> {
    // SAFETY: this process has one thread, so the child may go on as if it were the parent.
    match unsafe { fork() }.context("no child can be made")? {
        ForkResult::Child => {
            let traced = ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP));
            for _ in 0..calls {
                black_box(call());
            }
            std::process::exit(i32::from(
                traced.and_then(|()| raise(Signal::SIGSTOP)).is_err(),
            ));
        }
        ForkResult::Parent { child } => {
            let counted = steps_until_stop(child);
            ptrace::kill(child).ok();
            waitpid(child, None).ok();
            counted
        }
    }
}

fn steps_until_stop(child: Pid) -> anyhow::Result<u64> {
    let first = waitpid(child, None)?;
    anyhow::ensure!(
        first == WaitStatus::Stopped(child, Signal::SIGSTOP),
        "the child cannot be traced: {first:?}"
    );
    let mut steps = 0;
    loop {
        ptrace::step(child, None).context("the child cannot be stepped")?;
        match waitpid(child, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => steps += 1,
            WaitStatus::Stopped(_, Signal::SIGSTOP) => return Ok(steps),
            other @ (WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive) => anyhow::bail!("the child ended early: {other:?}"),
        }
    }
}
