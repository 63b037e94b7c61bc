//! The side of the process that serves the node: who asks is given everything, or nothing.

use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use super::line::Line;
use super::message::{Formats, Message, Role};
use super::place::Post;
use crate::gates::succession::{Bequest, Fate, Heir};

/// How long the first word may take.
const HELLO_MAX: Duration = Duration::from_secs(5);
/// How long a successor may take to load its programs and to fill the maps. Nothing new is configured meanwhile.
const STEERED_MAX: Duration = Duration::from_secs(30);
/// How long it may take to take over. Nobody renews a lease meanwhile.
const TAKEN_MAX: Duration = Duration::from_secs(1);

/// How far a successor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    Alone,
    /// It gets ready.
    Preparing,
    /// It is being given what it needs.
    Handing,
    /// It serves the node.
    Handed,
    /// It did, and has ended.
    Orphaned,
}

/// A successor is ready, and asks for the gates.
#[derive(Debug)]
pub(crate) struct Call {
    /// None: it has to wait for the end of this process.
    pub(crate) answer: oneshot::Sender<Result<Heir, String>>,
}

/// What a successor gets beside the gates.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) post: Post,
    /// The sockets of admin servers.
    pub(crate) admin: Vec<OwnedFd>,
}

/// Serves successors on a thread of its own, until one has taken over.
///
/// # Errors
/// When there is no thread.
pub(crate) fn serve(
    estate: Estate,
    calls: mpsc::Sender<Call>,
    state: Arc<watch::Sender<State>>,
) -> anyhow::Result<()> {
    let server = Server {
        estate,
        calls,
        state,
    };
    // It ends with the process.
    let _detached = std::thread::Builder::new()
        .name("succession".to_owned())
        .spawn(move || server.run())?;
    Ok(())
}

struct Server {
    estate: Estate,
    calls: mpsc::Sender<Call>,
    state: Arc<watch::Sender<State>>,
}

impl Server {
    fn run(self) {
        loop {
            let stream = match self.estate.post.socket.accept() {
                Ok((stream, _unnamed)) => stream,
                Err(error) => return warn!(%error, "successors are not heard any more"),
            };
            match self.attend(stream) {
                Ok(line) => {
                    let Self { estate, state, .. } = self;
                    // The successor is the one who has them now.
                    drop(estate);
                    state.send_replace(State::Handed);
                    line.await_end();
                    state.send_replace(State::Orphaned);
                    return;
                }
                Err(error) => {
                    warn!(why = format!("{error:#}"), "a successor has not taken over");
                    self.state.send_replace(State::Alone);
                }
            }
        }
    }

    /// Hands everything over to a process that asks for it.
    fn attend(&self, stream: UnixStream) -> anyhow::Result<Line> {
        let mut line = Line::open(stream)?;
        let Message::Hello(formats) = line.receive(Some(HELLO_MAX))? else {
            bail!("it has not said what it understands");
        };
        if let Some(why) = Formats::own().difference(&formats) {
            return refuse(line, why);
        }
        info!(release = formats.release, "a successor gets ready");
        self.state.send_replace(State::Preparing);
        line.send(&Message::Welcome)?;
        let Message::Ready = line.receive(None)? else {
            bail!("it is not ready and says something else");
        };
        match self.call() {
            Ok(heir) => self.hand_over(line, &heir),
            Err(why) => refuse(line, why),
        }
    }

    /// Asks for the gates.
    fn call(&self) -> Result<Heir, String> {
        let (answer, heir) = oneshot::channel();
        // Where nobody listens, the answer is dropped with the call.
        drop(self.calls.blocking_send(Call { answer }));
        let ending = || Err("the process is ending".to_owned());
        heir.blocking_recv().unwrap_or_else(|_ended| ending())
    }

    fn hand_over(&self, mut line: Line, heir: &Heir) -> anyhow::Result<Line> {
        let handed = self.hand_gates(&mut line, heir);
        if let Ok(Fate::Handed) = handed {
            return Ok(line);
        }
        // Before anything is taken back, so that it can not be used any more.
        drop(line.hang_up());
        heir.take_back()?;
        handed?;
        bail!("it has not taken over in time")
    }

    fn hand_gates(&self, line: &mut Line, heir: &Heir) -> anyhow::Result<Fate> {
        let lock = heir.lend()?;
        line.send_with(&Message::Datapath, &[lock.as_fd()])?;
        let Message::Steered = line.receive(Some(STEERED_MAX))? else {
            bail!("it has not said that its programs run");
        };
        heir.bequeath(|bequest| self.bequeath(line, bequest))
    }

    /// The last step: what was said before the line is cut decides.
    fn bequeath(&self, line: &mut Line, bequest: Bequest) -> Fate {
        let Bequest { legacy, heartbeats } = bequest;
        let post = &self.estate.post;
        let mut all = vec![
            (Role::Lock, post.lock.as_fd()),
            (Role::Meeting, post.socket.as_fd()),
        ];
        all.extend(
            heartbeats
                .iter()
                .map(|it: &UdpSocket| (Role::Heartbeats, it.as_fd())),
        );
        all.extend(self.estate.admin.iter().map(|it| (Role::Admin, it.as_fd())));
        let (descriptors, open): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let message = Message::Legacy {
            legacy: Box::new(legacy),
            descriptors,
        };
        let sent = line.send_with(&message, &open);
        let answer = sent.and_then(|()| line.receive(Some(TAKEN_MAX)));
        let answer = match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                debug!(why = format!("{error:#}"), "no answer of the successor");
                line.hang_up()
            }
        };
        match answer {
            Some(Message::Taken) => Fate::Handed,
            Some(_) | None => Fate::Kept,
        }
    }
}

fn refuse(mut line: Line, why: String) -> anyhow::Result<Line> {
    line.send(&Message::Refused { why: why.clone() })?;
    bail!("{why}; it waits for the end of this process")
}
