//! The connection between two processes of a node: messages, and open descriptors with them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, getsockopt, recvmsg, sendmsg,
};
use nix::unistd::Uid;

use super::message::{Inbox, Message, encode};

/// Descriptors in one message, more than there are kinds.
const DESCRIPTORS_MAX: usize = 16;
/// How long the other side may take to read.
const SEND_MAX: Duration = Duration::from_secs(5);

/// The connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: UnixStream,
    inbox: Inbox,
    descriptors: VecDeque<OwnedFd>,
}

impl Line {
    /// Speaks with a process of root, or of the same user, and with no other.
    pub(super) fn open(stream: UnixStream) -> anyhow::Result<Self> {
        let peer = getsockopt(&stream, PeerCredentials).context("who is it?")?;
        let user = Uid::from_raw(peer.uid());
        ensure!(
            user.is_root() || user == Uid::effective(),
            "process {} is of user {user}",
            peer.pid()
        );
        stream.set_write_timeout(Some(SEND_MAX))?;
        Ok(Self {
            stream,
            inbox: Inbox::default(),
            descriptors: VecDeque::new(),
        })
    }

    pub(super) fn send(&mut self, message: &Message) -> anyhow::Result<()> {
        self.send_with(message, &[])
    }

    /// Sends a message and descriptors, which the other side shares from then on.
    pub(super) fn send_with(
        &mut self,
        message: &Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> anyhow::Result<()> {
        let bytes = encode(message)?;
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() {
            &rights[..0]
        } else {
            &rights
        };
        let parts = [IoSlice::new(&bytes)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        let sent = sendmsg::<UnixAddr>(self.stream.as_raw_fd(), &parts, rights, flags, None);
        let sent = sent.context("the other process does not listen")?;
        let rest = bytes.get(sent..).unwrap_or_default();
        self.stream
            .write_all(rest)
            .context("the other process does not listen")
    }

    /// Waits for the next message, for some time or for ever.
    pub(super) fn receive(&mut self, within: Option<Duration>) -> anyhow::Result<Message> {
        self.stream.set_read_timeout(within)?;
        loop {
            if let Some(message) = self.inbox.next()? {
                return Ok(message);
            }
            if self.read()? == 0 {
                bail!("the other process has ended");
            }
        }
    }

    /// The descriptors that have come, in order.
    pub(super) fn descriptors(&mut self) -> impl Iterator<Item = OwnedFd> {
        self.descriptors.drain(..)
    }

    /// Lets the other side say no more, and gives what it has said before: it either is there now, or never will be.
    pub(super) fn hang_up(&mut self) -> Option<Message> {
        if self.stream.shutdown(Shutdown::Both).is_err() {
            return None;
        }
        self.receive(None).ok()
    }

    /// Waits until the other process has ended.
    pub(super) fn await_end(mut self) {
        let mut unread = [0; 64];
        if self.stream.set_read_timeout(None).is_ok() {
            while self.stream.read(&mut unread).is_ok_and(|length| length > 0) {}
        }
    }

    #[expect(unsafe_code, reason = "nix gives descriptors that came as numbers")]
    fn read(&mut self) -> anyhow::Result<usize> {
        let mut bytes = [0; 16 << 10];
        let mut rights = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let (socket, flags) = (self.stream.as_raw_fd(), MsgFlags::MSG_CMSG_CLOEXEC);
        let received = recvmsg::<UnixAddr>(socket, &mut parts, Some(&mut rights), flags);
        let received = received.map_err(|errno| match io::Error::from(errno) {
            error if error.kind() == io::ErrorKind::WouldBlock => {
                anyhow::anyhow!("the other process does not answer in time")
            }
            error => error.into(),
        })?;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                // SAFETY: the kernel has just made these descriptors for this process, and nothing else knows them.
                let owned = numbers
                    .iter()
                    .map(|it| unsafe { OwnedFd::from_raw_fd(*it) });
                self.descriptors.extend(owned);
            }
        }
        let length = received.bytes;
        self.inbox.push(bytes.get(..length).unwrap_or_default());
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn descriptors_come_with_their_message_and_are_the_same_file() {
        let (mut one, mut other) = pair();
        let (mut reader, writer) = io::pipe().expect("a pipe");
        one.send(&Message::Ready).expect("sent");
        one.send_with(&Message::Datapath, &[writer.as_fd()])
            .expect("sent");
        drop(writer);

        assert!(matches!(other.receive(SOON), Ok(Message::Ready)));
        assert!(matches!(other.receive(SOON), Ok(Message::Datapath)));
        let came: Vec<OwnedFd> = other.descriptors().collect();
        let [came] = came.try_into().expect("one descriptor");
        io::PipeWriter::from(came).write_all(b"x").expect("written");
        let mut said = String::new();
        reader.read_to_string(&mut said).expect("read");
        assert_eq!(said, "x");
    }

    #[test]
    fn what_was_said_before_the_line_is_cut_counts_and_nothing_after() {
        let (mut one, mut other) = pair();
        other.send(&Message::Taken).expect("sent");
        assert!(matches!(one.hang_up(), Some(Message::Taken)));

        let (mut one, mut other) = pair();
        assert!(one.hang_up().is_none());
        other.send(&Message::Taken).expect_err("nobody listens");
    }

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_is_slow() {
        let (mut one, other) = pair();
        let within = Some(Duration::from_millis(1));
        let slow = one.receive(within).expect_err("nothing was said");
        assert!(slow.to_string().contains("in time"), "{slow}");
        drop(other);
        let ended = one.receive(SOON).expect_err("nobody is there");
        assert!(ended.to_string().contains("has ended"), "{ended}");
    }

    const SOON: Option<Duration> = Some(Duration::from_secs(5));

    fn pair() -> (Line, Line) {
        let (one, other) = UnixStream::pair().expect("sockets");
        let open = |it| Line::open(it).expect("a line");
        (open(one), open(other))
    }
}
