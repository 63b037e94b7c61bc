//! A network namespace with a thread of its own that does all work inside it.
//!
//! Sockets that are made on the thread belong to the namespace for good, and processes that are started from it inherit
//! it, so nothing else ever enters a namespace.

use std::fs::File;
use std::future::Future;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, gettid};
use tokio::runtime;
use tokio::sync::{mpsc as jobs, oneshot};
use tokio::task::LocalSet;

/// Longest time that one piece of work may take, unless it says otherwise.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace. It ends with this value, with everything in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    net: File,
    thread: Pid,
    jobs: Option<jobs::UnboundedSender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Makes a namespace with its loopback interface up, its own `/sys` and no IPv6 chatter.
    ///
    /// # Errors
    /// When the process may not make namespaces (no root), or the kernel refuses.
    pub fn new(name: impl Into<String>) -> anyhow::Result<Self> {
        let namespace = Self::with_thread(name.into(), enter)?;
        namespace.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        namespace.run(|| async { crate::netlink::up("lo").await })?;
        Ok(namespace)
    }

    /// The namespace that the process is in already, with a thread of its own: for those who may not make any.
    ///
    /// # Errors
    /// When the process is out of threads.
    pub fn current(name: impl Into<String>) -> anyhow::Result<Self> {
        Self::with_thread(name.into(), own)
    }

    /// The same network namespace and the mounts as they are now, with a thread and later mounts of its own: for what
    /// shares a host's network and yet has its own view of files.
    ///
    /// # Errors
    /// When the process is out of threads, or the kernel refuses.
    pub fn share(&self, name: impl Into<String>) -> anyhow::Result<Self> {
        let net = self.net.try_clone()?;
        let mounts = format!("/proc/self/task/{}/ns/mnt", self.thread);
        let mounts = File::open(&mounts).with_context(|| format!("cannot open {mounts}"))?;
        Self::with_thread(name.into(), move || join(&net, &mounts))
    }

    fn with_thread(
        name: String,
        enter: impl FnOnce() -> anyhow::Result<File> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (ready, is_ready) = mpsc::channel();
        let (sender, receiver) = jobs::unbounded_channel();
        let worker = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || work(enter, &ready, receiver))
            .context("cannot start a thread")?;
        let (net, thread) = is_ready
            .recv()
            .map_err(|_gone| anyhow!("the thread of namespace {name} ended"))?
            .with_context(|| format!("cannot make network namespace {name}"))?;
        Ok(Self {
            name,
            net,
            thread,
            jobs: Some(sender),
            worker: Some(worker),
        })
    }

    /// The name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor that stands for the namespace, valid as long as this value.
    pub fn fd(&self) -> RawFd {
        self.net.as_raw_fd()
    }

    /// The thread that lives inside: `nsenter --target` takes it for a process.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// Does work inside and waits for its result.
    ///
    /// # Errors
    /// What the work returns; or that it took too long or panicked.
    pub fn run<F, Fut, T>(&self, work: F) -> anyhow::Result<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<T>> + 'static,
        T: Send + 'static,
    {
        self.spawn(work).join(WORK_TIMEOUT)
    }

    /// Starts work inside; it is cancelled when the task is dropped.
    pub fn spawn<F, Fut, T>(&self, work: F) -> Task<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<T>> + 'static,
        T: Send + 'static,
    {
        let (result, results) = mpsc::channel();
        let (cancel, cancelled) = oneshot::channel();
        let job = move || {
            let work = work();
            let _detached = tokio::task::spawn_local(async move {
                tokio::select! {
                    done = work => { let _nobody_waits = result.send(done); }
                    _ = cancelled => {}
                }
            });
        };
        if let Some(jobs) = &self.jobs {
            // A closed channel shows as a missing result.
            let _closed = jobs.send(Box::new(job));
        }
        Task {
            namespace: self.name.clone(),
            results,
            _cancel: cancel,
        }
    }

    /// Starts a process inside. It dies with the namespace at the latest.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&self, mut command: Command) -> anyhow::Result<Child> {
        let program = command.get_program().to_string_lossy().into_owned();
        #[expect(
            unsafe_code,
            reason = "std has no safe way to tie a child's life to its parent's"
        )]
        // SAFETY: the closure only makes the system calls `prctl` and `sigprocmask`, which are allowed between fork and
        // exec.
        unsafe {
            command.pre_exec(|| {
                set_pdeathsig(Signal::SIGKILL)?;
                // The demonstration blocks signals, and a mask is inherited.
                Ok(SigSet::empty().thread_set_mask()?)
            });
        }
        self.run(move || async move { command.spawn().map_err(anyhow::Error::from) })
            .with_context(|| format!("cannot start {program}"))
    }

    /// Writes a kernel parameter, `net/ipv4/ip_forward` for example.
    ///
    /// # Errors
    /// When the kernel has no such parameter or refuses the value.
    pub fn sysctl(&self, parameter: &str, value: &str) -> anyhow::Result<()> {
        let path = format!("/proc/sys/{parameter}");
        let value = value.to_owned();
        self.run(move || async move {
            std::fs::write(&path, value).with_context(|| format!("cannot write {path}"))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // A panic there was reported by the work that panicked.
            let _reported = worker.join();
        }
    }
}

/// Work under way in a namespace.
#[derive(Debug)]
pub struct Task<T> {
    namespace: String,
    results: mpsc::Receiver<anyhow::Result<T>>,
    /// Its end cancels the work.
    _cancel: oneshot::Sender<()>,
}

impl<T> Task<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// What the work returns; or that it took too long or panicked.
    pub fn join(self, timeout: Duration) -> anyhow::Result<T> {
        match self.results.recv_timeout(timeout) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(anyhow!(
                "work in namespace {} took longer than {timeout:?}",
                self.namespace
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(anyhow!("work in namespace {} panicked", self.namespace))
            }
        }
    }
}

/// The life of a namespace's thread.
fn work(
    enter: impl FnOnce() -> anyhow::Result<File>,
    ready: &mpsc::Sender<anyhow::Result<(File, Pid)>>,
    mut receiver: jobs::UnboundedReceiver<Job>,
) {
    let started = enter().and_then(|net| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok((net, runtime))
    });
    let (net, runtime) = match started {
        Ok(started) => started,
        Err(error) => {
            let _nobody_waits = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok((net, gettid()))).is_err() {
        return;
    }
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        while let Some(job) = receiver.recv().await {
            job();
        }
    });
}

/// Moves the calling thread into new namespaces: network, and mounts, since `/sys` shows the network namespace that it
/// was mounted in. BPF objects are pinned in a file system that ends with the namespace too.
fn enter() -> anyhow::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .context("not allowed: namespaces need root")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make the mounts private")?;
    mount(none, "/sys", Some("sysfs"), MsFlags::empty(), none).context("cannot mount /sys")?;
    mount(none, "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none)
        .context("cannot mount /sys/fs/bpf")?;
    own()
}

/// Moves the calling thread into a network namespace and into a copy of a mount namespace.
fn join(net: &File, mounts: &File) -> anyhow::Result<File> {
    // The kernel lets nobody enter mounts who shares a root directory with another thread.
    unshare(CloneFlags::CLONE_FS)?;
    setns(net, CloneFlags::CLONE_NEWNET).context("cannot join the network")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).context("cannot join the mounts")?;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot copy the mounts")?;
    own()
}

/// Opens the network namespace of the calling thread.
fn own() -> anyhow::Result<File> {
    File::open("/proc/thread-self/ns/net").context("cannot open the namespace")
}
