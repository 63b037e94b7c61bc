//! What `sanmon agent` adds to `sanmon run`: the statuses that the cluster is to have, and what operators are told.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_control::events::Events;
use gateway_control::status::acknowledged::Acknowledged;
use gateway_control::status::fleet::Fleet;
use gateway_control::status::writer::Wanted;
use tokio::sync::watch;

use crate::board::Board;
use crate::conflicts::Conflicts;
use crate::moves::Moves;

/// How often the time is looked at while a gate or a node lags behind.
const LAGGARD_CHECK: Duration = Duration::from_secs(1);

/// The statuses to write, from here on: those of the publication that every gate has taken over, here and on the other
/// nodes.
///
/// A thread of its own works at every change, and nothing that serves waits for it.
///
/// # Errors
/// When there is no thread.
pub(crate) fn wanted(board: Arc<Board>) -> io::Result<watch::Receiver<Wanted>> {
    let (sender, wanted) = watch::channel(None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    // It ends with the process: who is told may be gone before.
    let _detached = std::thread::Builder::new()
        .name("statuses".to_owned())
        .spawn(move || runtime.block_on(follow(board, sender)))?;
    Ok(wanted)
}

/// What operators are told, from here on.
pub(crate) fn events(board: &Board) -> Events {
    let events = Events::default();
    let (mut owned, told) = (board.owned(), events.clone());
    tokio::spawn(async move {
        let (mut moves, mut conflicts) = (Moves::default(), Conflicts::default());
        while owned.changed().await.is_ok() {
            let owners = owned.borrow_and_update().clone();
            let happenings = conflicts.next(&owners).into_iter();
            let happenings = happenings.chain(moves.next(&owners));
            happenings.for_each(|it| told.tell(it));
        }
    });
    events
}

async fn follow(board: Arc<Board>, sender: watch::Sender<Wanted>) {
    let (mut publications, mut reported) = (board.publications(), board.reported());
    let mut others = board.fleet();
    let (mut acknowledged, mut fleet) = (Acknowledged::default(), Fleet::default());
    let start = Instant::now();
    // What was published before is told too.
    publications.mark_changed();
    while !sender.is_closed() {
        let now = start.elapsed();
        let next = acknowledged.deadline().into_iter();
        let next = next.chain(fleet.deadline(now)).min();
        let rest = next.map(|it| it.saturating_sub(now).max(LAGGARD_CHECK));
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
            changed = others.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(rest.unwrap_or(Duration::MAX)), if rest.is_some() => {}
        }
        let now = start.elapsed();
        fleet.hear(now, &others.borrow_and_update());
        let spoken = acknowledged.conditions(now, &board.reports());
        if let Some(reached) = acknowledged.reached() {
            board.run(reached);
        }
        let Some((generation, statuses)) = spoken else {
            continue;
        };
        let statuses = fleet.agree(now, generation, &statuses);
        sender.send_if_modified(|last| {
            let changed = last.as_ref() != Some(&statuses);
            if changed {
                *last = Some(statuses);
            }
            changed
        });
    }
}
