//! Ctrl-C at any moment: `sanmon` is ended the way it cleans up itself, the folder is removed, and the namespaces end with
//! the process.

use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::unistd::Pid;
use parking_lot::{Condvar, Mutex};

/// How long `sanmon` may take to clean up.
const GRACE: Duration = Duration::from_secs(5);
/// Exit code of a process that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// What has to be undone when the process ends early.
#[derive(Clone, Debug)]
pub(crate) struct Cleanup {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Pid>,
    folder: Option<PathBuf>,
    mood: Mood,
}

/// What Ctrl-C means right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    /// Clean up and end.
    #[default]
    End,
    /// The demonstration waits for it and cleans up by itself.
    Awaited,
    /// It came while it was awaited.
    Came,
}

impl Cleanup {
    /// Takes over SIGINT and SIGTERM of the whole process. To be called before the first thread is started.
    pub(crate) fn install() -> Self {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        // Threads inherit the mask, so that the signals wait for the thread below.
        let blocked = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), None);
        let cleanup = Self {
            state: Arc::new((Mutex::default(), Condvar::new())),
        };
        if blocked.is_ok() {
            let undo = cleanup.clone();
            std::thread::spawn(move || {
                while signals.wait().is_ok() {
                    undo.interrupted();
                }
            });
        }
        cleanup
    }

    /// Notes the folder to remove.
    pub(crate) fn folder(&self, folder: PathBuf) {
        self.state.0.lock().folder = Some(folder);
    }

    /// Notes the process to end.
    pub(crate) fn process(&self, process: i32) {
        self.state.0.lock().process = Some(Pid::from_raw(process));
    }

    /// Forgets the process, which has ended.
    pub(crate) fn process_ended(&self) {
        self.state.0.lock().process = None;
    }

    /// Waits for Ctrl-C.
    pub(crate) fn wait(&self) {
        let (state, news) = &*self.state;
        let mut state = state.lock();
        state.mood = Mood::Awaited;
        news.wait_while(&mut state, |state| state.mood == Mood::Awaited);
        state.mood = Mood::End;
    }

    fn interrupted(&self) {
        let (state, news) = &*self.state;
        let mut state = state.lock();
        if state.mood == Mood::Awaited {
            state.mood = Mood::Came;
            news.notify_all();
            return;
        }
        if let Some(process) = state.process.take() {
            end(process);
        }
        if let Some(folder) = state.folder.take() {
            // What cannot be removed now is in the folder for temporary files.
            let _left = std::fs::remove_dir_all(folder);
        }
        exit(INTERRUPTED);
    }
}

/// Ends a process as Ctrl-C does, and looks until it is gone.
fn end(process: Pid) {
    let deadline = Instant::now() + GRACE;
    let mut signal = Some(Signal::SIGINT);
    while kill(process, signal.take()) != Err(Errno::ESRCH) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}
