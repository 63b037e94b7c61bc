//! Where a pod's processes run: a network namespace, and a root directory of their own.
//!
//! The root is the machine's, read through an overlay: what is written, volumes included, is in memory and ends with the
//! namespace. Nothing knows of containers here.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gateway_vm_tests::{Host, Namespace};
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};

/// Where things wait, in the new root, for the place that they are wanted at.
const WAITING: &str = ".testbed";
/// What the overlay does not show, because other file systems are mounted there.
const KERNEL: [&str; 3] = ["proc", "dev", "sys"];

/// The network of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Its own, with an address.
    Own(Ipv4Addr),
    /// The node's.
    Node,
}

/// What a pod may write to, beside its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its root directory, and the kernel's parameters.
    Everything,
    /// Nothing, as `readOnlyRootFilesystem` says and as container runtimes mount the kernel's file systems.
    Nothing,
}

/// What is to be made.
#[derive(Debug)]
pub(super) struct Plan {
    /// A name that is short enough for a network interface.
    pub(super) name: String,
    /// The network.
    pub(super) network: Network,
    /// An empty folder of the machine to mount over.
    pub(super) mount_point: PathBuf,
    /// Folders to be, by their path in the new root.
    pub(super) folders: Vec<PathBuf>,
    /// Files to be, by their path in the new root.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// Files and folders of the machine, and their path in the new root.
    pub(super) binds: Vec<(PathBuf, PathBuf)>,
    /// What else may be written to.
    pub(super) access: Access,
}

/// Makes it. Processes that are started in the result see the new root. Blocks.
pub(super) fn make(host: &Host, plan: Plan) -> anyhow::Result<Namespace> {
    let namespace = match plan.network {
        Network::Own(address) => host.pod(&plan.name, address)?.namespace,
        Network::Node => host.namespace.share(&plan.name)?,
    };
    namespace.run(move || async move { enter(&plan) })?;
    Ok(namespace)
}

/// Moves the calling thread, which has mounts of its own, into the new root.
fn enter(plan: &Plan) -> anyhow::Result<()> {
    let base = &plan.mount_point;
    mount_new("tmpfs", base, None)?;
    let place = |name: &str| base.join(name);
    let (upper, work, root) = (place("upper"), place("work"), place("root"));
    for folder in [&upper, &work, &root] {
        fs::create_dir(folder)?;
    }
    let layers = format!(
        "lowerdir=/,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    mount_new("overlay", &root, Some(&layers))?;
    for name in KERNEL {
        bind(&Path::new("/").join(name), &root.join(name))?;
    }
    let waiting = |number: usize| Path::new(WAITING).join(number.to_string());
    for (number, (source, _)) in plan.binds.iter().enumerate() {
        bind(source, &root.join(waiting(number)))?;
    }
    chroot(&root).context("cannot change the root directory")?;
    chdir("/")?;
    // Only now, because links such as /var/run lead to absolute paths.
    for folder in &plan.folders {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for (path, content) in &plan.files {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for (number, (_, target)) in plan.binds.iter().enumerate() {
        bind(&Path::new("/").join(waiting(number)), target)?;
    }
    match plan.access {
        Access::Everything => Ok(()),
        Access::Nothing => seal(),
    }
}

/// Makes the root directory and the kernel's file systems read-only; what is mounted below them stays as it is.
fn seal() -> anyhow::Result<()> {
    let parameters = Path::new("/proc/sys");
    bind(parameters, parameters)?;
    let none: Option<&str> = None;
    for place in [parameters, Path::new("/sys"), Path::new("/")] {
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(none, place, none, read_only, none)
            .with_context(|| format!("cannot make {} read-only", place.display()))?;
    }
    Ok(())
}

fn mount_new(kind: &str, target: &Path, options: Option<&str>) -> anyhow::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

/// Shows a file or folder at a second place, with all that is mounted in it.
fn bind(source: &Path, target: &Path) -> anyhow::Result<()> {
    if source.is_dir() {
        fs::create_dir_all(target)?;
    } else {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::create(target)?;
    }
    let none: Option<&str> = None;
    mount(
        Some(source),
        target,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )
    .with_context(|| format!("cannot show {} at {}", source.display(), target.display()))
}
