//! Where the processes of a node meet: a directory with a lock, which the one has that serves the node, and its socket.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;

const LOCK: &str = "lock";
const SOCKET: &str = "agent.sock";

/// Between the lock and the socket of a process that starts a moment passes.
const START_MAX: Duration = Duration::from_secs(5);
const START_CHECK: Duration = Duration::from_millis(10);

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

/// The right to serve the node. It belongs to the open files: who is given them has it, too.
#[derive(Debug)]
pub(crate) struct Post {
    pub(super) lock: OwnedFd,
    pub(super) socket: UnixListener,
}

/// Who is there.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nobody else.
    Nobody(Post),
    /// A process that serves the node.
    Somebody(UnixStream),
}

impl Place {
    /// Makes the directory where it is not there.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.with_context(|| format!("cannot make --run-dir {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Takes the post, or calls the process that has it.
    pub(crate) fn find(&self) -> anyhow::Result<Found> {
        let start = Instant::now();
        loop {
            let lock = self.open_lock()?;
            match lock.try_lock() {
                Ok(()) => return Ok(Found::Nobody(self.take(lock)?)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).context(self.complaint()),
            }
            match UnixStream::connect(self.directory.join(SOCKET)) {
                Ok(stream) => return Ok(Found::Somebody(stream)),
                // It is starting, or it has just ended.
                Err(_soon) if start.elapsed() < START_MAX => sleep(START_CHECK),
                Err(error) => return Err(error).context(self.complaint()),
            }
        }
    }

    /// Waits until nobody else serves the node.
    pub(crate) fn wait(&self) -> anyhow::Result<Post> {
        let lock = self.open_lock()?;
        lock.lock().with_context(|| self.complaint())?;
        self.take(lock)
    }

    fn take(&self, lock: File) -> anyhow::Result<Post> {
        let path = self.directory.join(SOCKET);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| self.complaint()),
        }
        let socket = UnixListener::bind(&path).with_context(|| self.complaint())?;
        Ok(Post {
            lock: lock.into(),
            socket,
        })
    }

    fn open_lock(&self) -> anyhow::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let opened = options.open(self.directory.join(LOCK));
        opened.with_context(|| self.complaint())
    }

    fn complaint(&self) -> String {
        format!("cannot use --run-dir {}", self.directory.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_finds_the_first_and_follows_when_the_last_copy_of_its_post_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::open(directory.path()).expect("a place");
        let Found::Nobody(first) = place.find().expect("the post") else {
            panic!("somebody is there");
        };
        assert!(matches!(place.find(), Ok(Found::Somebody(_))));

        let shared = first.lock.try_clone().expect("a copy");
        drop(first);
        let waiting = std::thread::spawn(move || place.wait());
        assert!(!waiting.is_finished());
        drop(shared);
        let second = waiting.join().expect("no panic");
        second.expect("the post");
    }
}
