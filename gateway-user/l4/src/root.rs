//! The directory of the pins: on a BPF filesystem, and locked while a process uses it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gateway_common::SCHEMA_VERSION;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{FsType, statfs};

use crate::{OpenError, RemoveError};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: FsType = FsType(0xcafe_4a11);
/// Where distributions mount it.
const SYSTEM_BPFFS: &str = "/sys/fs/bpf";

/// How one pin is removed.
type Unpin = fn(&Path) -> io::Result<()>;

/// The directory, locked against other processes until dropped.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    /// It belongs to the open file, so it holds until the last process that has this one closes it.
    lock: File,
}

impl Root {
    /// Makes the directory, mounts a BPF filesystem where there is none, and takes the lock.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        prepare(path)?;
        let directory = File::open(path).map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::lock(path, directory)
    }

    /// The same with the open directory of a process that has the lock, and shares it.
    pub(crate) fn share(path: &Path, lock: OwnedFd) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let directory = File::from(lock);
        let (ours, theirs) = (fs::metadata(path), directory.metadata());
        let (ours, theirs) = (ours.map_err(io)?, theirs.map_err(io)?);
        if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) {
            return Err(io(io::Error::other("another directory is locked")));
        }
        Self::lock(path, directory)
    }

    /// The open directory, for a process that is to share the lock.
    pub(crate) fn shared(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    fn lock(path: &Path, lock: File) -> Result<Self, OpenError> {
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse {
                path: path.to_owned(),
                pid: holder(&lock),
            },
            TryLockError::Error(source) => OpenError::Io {
                path: path.to_owned(),
                source,
            },
        })?;
        let root = Self {
            path: path.to_owned(),
            lock,
        };
        for directory in [root.maps(), root.links()] {
            fs::create_dir_all(&directory).map_err(|source| OpenError::Io {
                path: directory,
                source,
            })?;
        }
        Ok(root)
    }

    /// Where the maps are pinned.
    pub(crate) fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    /// Where the links are pinned.
    pub(crate) fn links(&self) -> PathBuf {
        self.version().join("links")
    }

    fn version(&self) -> PathBuf {
        self.path.join(format!("v{SCHEMA_VERSION}"))
    }

    /// Removes all pins, of every layout, and what was made for them.
    /// `unpin` removes a pinned link, and detaches it before.
    pub(crate) fn remove(self, unpin: Unpin) -> Result<Vec<String>, RemoveError> {
        let Self { path, lock } = self;
        let mut removed = Vec::new();
        // Links first: no program may run on maps that are being taken away.
        let versions = entries(&path)?;
        for version in &versions {
            remove_tree(&version.join("links"), unpin, &mut removed)?;
        }
        for version in &versions {
            remove_tree(version, |pin| fs::remove_file(pin), &mut removed)?;
        }
        drop(lock);
        let io = |source| RemoveError::Io {
            path: path.clone(),
            source,
        };
        if is_mount_point(&path) && path != Path::new(SYSTEM_BPFFS) {
            umount(&path).map_err(|errno| io(errno.into()))?;
            removed.push(format!("mount {}", path.display()));
        }
        match fs::remove_dir(&path) {
            Ok(()) => removed.push(path.display().to_string()),
            // Something else lives there: it is not ours to remove.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(io(error)),
        }
        Ok(removed)
    }
}

/// Removes what a process left behind. Nothing there is no error.
pub(crate) fn uninstall(path: &Path, unpin: Unpin) -> Result<Vec<String>, RemoveError> {
    if !path.exists() || !is_bpffs(path) {
        return Ok(Vec::new());
    }
    match Root::open(path) {
        Ok(root) => root.remove(unpin),
        Err(OpenError::InUse { path, pid }) => Err(RemoveError::InUse { path, pid }),
        Err(OpenError::Io { path, source } | OpenError::NoBpffs { path, source }) => {
            Err(RemoveError::Io { path, source })
        }
        Err(
            error @ (OpenError::NoObject
            | OpenError::NoRights(_)
            | OpenError::ForeignMap { .. }
            | OpenError::Load(_)),
        ) => Err(RemoveError::Io {
            path: path.to_owned(),
            source: io::Error::other(error),
        }),
    }
}

/// Makes sure that the directory exists on a BPF filesystem.
fn prepare(path: &Path) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::NoBpffs {
        path: path.to_owned(),
        source,
    };
    let system = Path::new(SYSTEM_BPFFS);
    // A machine without systemd, or a container: the usual place may be there and empty.
    if path.starts_with(system) && system.is_dir() && !is_bpffs(system) {
        mount_at(system).map_err(failed)?;
    }
    fs::create_dir_all(path).map_err(failed)?;
    if !is_bpffs(path) {
        mount_at(path).map_err(failed)?;
    }
    Ok(())
}

fn mount_at(path: &Path) -> io::Result<()> {
    let (source, kind) = (Some("bpf"), Some("bpf"));
    mount(source, path, kind, MsFlags::empty(), Some("mode=0700"))?;
    Ok(())
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|info| info.filesystem_type() == BPF_FS_MAGIC)
}

fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    path.parent()
        .is_some_and(|parent| device(parent) != device(path))
}

/// The process that holds a lock, as the kernel lists it; 0: it has ended meanwhile, or is in another namespace.
fn holder(file: &File) -> u32 {
    let inode = file.metadata().map(|data| data.ino()).unwrap_or_default();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .filter(|line| line.contains(" FLOCK "))
        .find_map(|line| {
            // 1: FLOCK  ADVISORY  WRITE 4711 00:27:82553 0 EOF
            let mut words = line.split_whitespace().skip(4);
            let pid = words.next()?.parse().ok()?;
            let locked: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
            (locked == inode).then_some(pid)
        })
        .unwrap_or_default()
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, RemoveError> {
    let io = |source| RemoveError::Io {
        path: path.to_owned(),
        source,
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        entries.push(entry.map_err(io)?.path());
    }
    // Only our own directories, `v1` and so on: the filesystem may be shared.
    entries.retain(|entry| is_version(entry));
    entries.sort();
    Ok(entries)
}

fn is_version(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix('v'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn remove_tree(path: &Path, remove: Unpin, removed: &mut Vec<String>) -> Result<(), RemoveError> {
    let io = |source| RemoveError::Io {
        path: path.to_owned(),
        source,
    };
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    for entry in listing {
        let entry = entry.map_err(io)?;
        let child = entry.path();
        if entry.file_type().map_err(io)?.is_dir() {
            remove_tree(&child, remove, removed)?;
        } else {
            remove(&child).map_err(|source| RemoveError::Io {
                path: child.clone(),
                source,
            })?;
            removed.push(child.display().to_string());
        }
    }
    fs::remove_dir(path).map_err(io)
}
