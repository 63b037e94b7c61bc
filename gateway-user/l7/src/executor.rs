//! Spawns the tasks of HTTP/2 streams on the worker's own thread, and keeps a panic inside its task.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::metrics::WorkerCells;

/// hyper's executor: the thread that it is called on.
#[derive(Clone, Debug)]
pub(crate) struct LocalExecutor(pub(crate) Arc<WorkerCells>);

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_guarded(Arc::clone(&self.0), future);
    }
}

/// Spawns a task whose panic ends only itself, and is counted.
pub(crate) fn spawn_guarded<F: Future + 'static>(cells: Arc<WorkerCells>, future: F) {
    // What a panicking task shares with others are cells and single assignments, which are never half written.
    let guarded = AssertUnwindSafe(future).catch_unwind();
    tokio::task::spawn_local(async move {
        if guarded.await.is_err() {
            cells.panics.increment();
            tracing::error!(
                "a connection ended by a defect in the proxy: please report the panic message above"
            );
        }
    });
}
