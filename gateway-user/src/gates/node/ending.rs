//! The end of gate 1: its addresses go to other nodes, or nobody answers for them.

use std::sync::mpsc::Sender;
use std::time::Duration;

use gateway_announce::View;
use gateway_ir::AnnounceSettings;

use super::Node;
use crate::gates::clock::now;
use crate::gates::{Leave, tell};

/// A hand-over takes some milliseconds; without an answer a lease ends by itself within this time.
const LEAVE_MAX: Duration = Duration::from_millis(400);

impl Node {
    /// Hands over every VIP; `done` is told when this node answers for none.
    pub(in crate::gates) fn leave(&mut self, done: Sender<()>) {
        let now = now();
        self.published = None;
        self.running = None;
        self.retry = None;
        self.announcer.leave(now);
        self.leaving = Some((now + LEAVE_MAX, done));
        self.execute();
        self.finish_leaving(now);
    }

    pub(super) fn finish_leaving(&mut self, now: Duration) {
        let is_over = |until: &Duration| self.announcer.is_silent() || *until <= now;
        if let Some((_, done)) = self.leaving.take_if(|(until, _)| is_over(until)) {
            self.silence();
            tell(done.send(()));
        }
    }

    /// Stops answering for every VIP.
    fn silence(&mut self) {
        self.published = None;
        self.running = None;
        self.retry = None;
        self.announcer.update(
            now(),
            View {
                vips: &[],
                pools: &[],
                services: &[],
                interfaces: &[],
                peers: &[],
                rules: &AnnounceSettings::default(),
                witnesses: &[],
                part: None,
            },
        );
        self.execute();
    }

    pub(in crate::gates) fn end(mut self, leave: Leave) {
        self.silence();
        self.steering.end(leave);
    }
}
