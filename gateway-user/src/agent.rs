//! What `sanmon agent` adds to `sanmon run`: the statuses that the cluster is to have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_control::status::acknowledged::Acknowledged;
use gateway_control::status::writer::Wanted;
use tokio::sync::watch;

use crate::board::Board;

/// How often the time is looked at while a gate lags behind.
const LAGGARD_CHECK: Duration = Duration::from_secs(1);

/// The statuses to write, from here on: those of the publication that every gate has taken over.
pub(crate) fn wanted(board: Arc<Board>) -> watch::Receiver<Wanted> {
    let (sender, wanted) = watch::channel(None);
    tokio::spawn(async move {
        let (mut publications, mut reported) = (board.publications(), board.reported());
        let mut acknowledged = Acknowledged::default();
        let start = Instant::now();
        // What was published before is told too.
        publications.mark_changed();
        while !sender.is_closed() {
            let rest = acknowledged.deadline();
            let rest = rest.map(|it| it.saturating_sub(start.elapsed()).max(LAGGARD_CHECK));
            tokio::select! {
                changed = publications.changed() => {
                    let published = publications.borrow_and_update().clone();
                    match (changed, published) {
                        (Err(_ended), _) => return,
                        (Ok(()), None) => {}
                        (Ok(()), Some(it)) => acknowledged.publish(start.elapsed(), it),
                    }
                }
                changed = reported.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(rest.unwrap_or(Duration::MAX)), if rest.is_some() => {}
            }
            let statuses = acknowledged.conditions(start.elapsed(), &board.reports());
            sender.send_if_modified(|last| {
                let changed = statuses.is_some() && last.as_deref() != statuses.as_ref();
                if changed {
                    *last = statuses.map(Arc::new);
                }
                changed
            });
        }
    });
    wanted
}
