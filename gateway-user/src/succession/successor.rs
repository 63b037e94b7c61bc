//! The side of the process that takes over. It blocks, so it is for a thread of its own.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::line::Line;
use super::message::{Formats, Message, Role};
use super::place::Post;
use crate::gates::succession::Bequest;

/// How long the other process may take for one step.
const STEP_MAX: Duration = Duration::from_secs(10);

/// The process that serves the node.
#[derive(Debug)]
pub(crate) struct Predecessor {
    line: Line,
}

/// All that it leaves.
#[derive(Debug)]
pub(crate) struct Inheritance {
    /// As long as it is open, the other process knows that it is not needed.
    pub(crate) line: Line,
    pub(crate) bequest: Bequest,
    pub(crate) post: Post,
    pub(crate) admin: Vec<TcpListener>,
}

impl Predecessor {
    /// Waits until the process has time for this one.
    ///
    /// # Errors
    /// When it can hand nothing over.
    pub(crate) fn greet(stream: UnixStream) -> anyhow::Result<Self> {
        let mut line = Line::open(stream)?;
        line.send(&Message::Hello(Formats::own()))?;
        let answer = line.receive(None)?;
        let Message::Welcome = answer else {
            return Err(refused(&answer));
        };
        Ok(Self { line })
    }

    /// Says that the proxy could serve, and gets the lock of maps and programs.
    pub(crate) fn ask(&mut self) -> anyhow::Result<OwnedFd> {
        self.line.send(&Message::Ready)?;
        let answer = self.line.receive(Some(STEP_MAX))?;
        let Message::Datapath = answer else {
            return Err(refused(&answer));
        };
        let lock = self.line.descriptors().next();
        lock.context("no lock has come")
    }

    /// Says that the programs run, and gets all the rest. From then on this process speaks for the node.
    pub(crate) fn take_over(mut self) -> anyhow::Result<Inheritance> {
        self.line.send(&Message::Steered)?;
        let answer = self.line.receive(Some(STEP_MAX))?;
        let Message::Legacy {
            legacy,
            descriptors: roles,
        } = answer
        else {
            return Err(refused(&answer));
        };
        let (mut lock, mut socket, mut heartbeats, mut admin) = (None, None, None, Vec::new());
        for (role, descriptor) in roles.into_iter().zip(self.line.descriptors()) {
            match role {
                Role::Lock => lock = Some(descriptor),
                Role::Meeting => socket = Some(UnixListener::from(descriptor)),
                Role::Heartbeats => heartbeats = Some(UdpSocket::from(descriptor)),
                Role::Admin => admin.push(TcpListener::from(descriptor)),
            }
        }
        let post = Post {
            lock: lock.context("no lock of the directory has come")?,
            socket: socket.context("no socket of the directory has come")?,
        };
        // It is in the kernel before anything is said for the node: the other process reads it or is told that it cannot be
        // said any more.
        self.line.send(&Message::Taken)?;
        Ok(Inheritance {
            line: self.line,
            bequest: Bequest {
                legacy: *legacy,
                heartbeats,
            },
            post,
            admin,
        })
    }
}

fn refused(said: &Message) -> anyhow::Error {
    if let Message::Refused { why } = said {
        return anyhow!("{why}");
    }
    anyhow!("it says something that is no answer")
}
