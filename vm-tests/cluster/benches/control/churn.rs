//! A second client, which changes routes all the time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{MissedTickBehavior, interval};

use crate::objects::{Objects, workload};

/// Distance of two changes. API server and etcd need several milliseconds of a core for each, and as much for the status
/// that follows.
const DISTANCE: Duration = Duration::from_millis(50);
/// Routes between one that is changed and the next: a prime, so that all have their turn and neighbours do not.
const STEP: usize = 1_009;

/// Changes that go on until they are ended.
pub(crate) struct Churn {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<usize>>,
}

impl Churn {
    /// Starts to change the routes that have Services of their own.
    pub(crate) fn start(kubeconfig: PathBuf, routes: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let objects = Objects::connect(&kubeconfig).await?;
                let mut ticks = interval(DISTANCE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut changes = 0;
                while !stopped.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let name = workload(changes * STEP % routes);
                    objects.change_route(&name, &name, changes).await?;
                    changes += 1;
                }
                Ok(changes)
            })
        });
        Self { stop, thread }
    }

    /// Ends, and says how many changes there were.
    pub(crate) fn end(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let changes = self.thread.join();
        changes.map_err(|_panic| anyhow!("the second client panicked"))?
    }
}
