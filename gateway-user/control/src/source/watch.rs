//! Watches a folder and loads it again when something in it changed.
//!
//! A change is taken up at once: what arrives while a load runs is taken together next. A file that is being written is
//! left alone until its writer closes it, because half a file may well be valid YAML.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::{debug, warn};

use super::folder::{Folder, is_yaml};
use crate::publish::Content;

/// A file whose writer does not close it is read after this time without a further write.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// A file that is gone counts as gone after this time: editors move the old one away before they write the new one.
const GONE_AFTER: Duration = Duration::from_millis(100);
/// The folder is read again after this time even if nothing was seen: a network file system tells nothing.
const RESCAN: Duration = Duration::from_secs(10);

/// A folder that is watched by a thread of its own; dropping it ends the thread.
#[derive(Debug)]
pub struct FolderSource {
    stop: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Signal {
    Event(notify::Result<Event>),
    Stop,
}

impl FolderSource {
    /// Hands the folder's content to `publish`, now and after every change.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(folder: Folder, publish: impl Fn(Content) + Send + 'static) -> io::Result<Self> {
        let (stop, signals) = channel();
        let events = stop.clone();
        let thread = std::thread::Builder::new()
            .name("config".to_owned())
            .spawn(move || Watch::new(folder, events).run(&signals, publish))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for FolderSource {
    fn drop(&mut self) {
        if self.stop.send(Signal::Stop).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread that watches the configuration panicked");
        }
    }
}

/// Device and inode: another directory under the same name needs a watch of its own.
type Identity = (u64, u64);

struct Watch {
    folder: Folder,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    /// Files between two states, with the moment from which they are taken as they are.
    unfinished: BTreeMap<PathBuf, Instant>,
}

impl Watch {
    fn new(folder: Folder, events: Sender<Signal>) -> Self {
        let handler = move |event: notify::Result<Event>| {
            // Reading is no change, or every load would be the cause of the next.
            if event.as_ref().is_ok_and(is_read) {
                return;
            }
            if events.send(Signal::Event(event)).is_err() {
                debug!("file event after the end of the source");
            }
        };
        let watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| warn!(%error, "no file events; the folder is read every 10 s"))
            .ok();
        Self {
            folder,
            watcher,
            watched: BTreeMap::new(),
            unfinished: BTreeMap::new(),
        }
    }

    fn run(mut self, signals: &Receiver<Signal>, publish: impl Fn(Content)) {
        loop {
            let unfinished = self.unfinished.keys().cloned().collect();
            let mut content = self.folder.load(&unfinished);
            // What changed between the load and a new watch is seen by nobody, so it is loaded again.
            while self.watch() {
                content = self.folder.load(&unfinished);
            }
            publish(content);
            if self.wait(signals) == Next::Stop {
                return;
            }
        }
    }

    /// Waits until there is something to load, and takes in everything that has arrived.
    fn wait(&mut self, signals: &Receiver<Signal>) -> Next {
        let rescan = Instant::now() + RESCAN;
        let mut wanted = false;
        loop {
            let now = Instant::now();
            let overdue = self.unfinished.extract_if(.., |_, until| *until <= now);
            wanted |= overdue.count() > 0;
            let next = self.unfinished.values().min().copied();
            let until = if wanted {
                now
            } else {
                next.map_or(rescan, |next| next.min(rescan))
            };
            match signals.recv_timeout(until.saturating_duration_since(now)) {
                Ok(Signal::Event(event)) => wanted |= self.take(event),
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::Stop,
                Err(RecvTimeoutError::Timeout) if wanted || Instant::now() >= rescan => {
                    return Next::Load;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Notes an event; tells whether there is something to load.
    fn take(&mut self, event: notify::Result<Event>) -> bool {
        let Ok(event) = event else {
            return true;
        };
        // An overflow of the kernel's queue names no path.
        let paths: Vec<_> = event
            .paths
            .iter()
            .filter(|path| self.concerns(path))
            .collect();
        if paths.is_empty() {
            return event.paths.is_empty();
        }
        let wait = match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) | EventKind::Create(CreateKind::File) => {
                Some(WRITE_MAX)
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                Some(GONE_AFTER)
            }
            EventKind::Any
            | EventKind::Access(_)
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Other => None,
        };
        let mut wanted = false;
        for path in paths {
            // A link is whole from the start, and nobody closes it.
            let unfinished = is_yaml(path) && !path.is_symlink();
            match wait {
                Some(wait) if unfinished => {
                    self.unfinished.insert(path.clone(), Instant::now() + wait);
                }
                Some(_) | None => {
                    self.unfinished.remove(path);
                    wanted = true;
                }
            }
        }
        wanted
    }

    /// Tells whether a path has to do with the folder: its parent's other children have not.
    fn concerns(&self, path: &Path) -> bool {
        path.starts_with(self.folder.root())
            || self.folder.targets().contains(path)
            || absolute(path).starts_with(absolute(self.folder.root()))
    }

    /// Watches exactly what the last load looked into; tells whether a watch is new.
    fn watch(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let wanted = wanted(&self.folder);
        let gone = |path: &PathBuf, identity: &mut Identity| wanted.get(path) != Some(identity);
        for (path, _) in self.watched.extract_if(.., gone) {
            // The kernel has dropped the watch of a removed directory already.
            if let Err(error) = watcher.unwatch(&path) {
                debug!(path = %path.display(), %error, "watch was gone already");
            }
        }
        let mut fresh = false;
        for (path, identity) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, identity);
                    fresh = true;
                }
                Err(error) => warn!(path = %path.display(), %error, "directory is not watched"),
            }
        }
        fresh
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Load,
    Stop,
}

/// Every directory where a change matters: those that were read, the one that holds the folder, those of link targets.
fn wanted(folder: &Folder) -> BTreeMap<PathBuf, Identity> {
    let parent = match folder.root().parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(Path::new(".")),
        parent => parent,
    };
    let targets = folder.targets().iter().filter_map(|target| target.parent());
    let read = folder.directories().iter().map(PathBuf::as_path);
    read.chain(parent)
        .chain(targets)
        .filter_map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((path.to_owned(), (metadata.dev(), metadata.ino())))
        })
        .collect()
}

fn is_read(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_unreachable| path.to_owned())
}

#[cfg(test)]
mod tests;
