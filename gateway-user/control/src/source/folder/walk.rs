//! Finds the files of a folder: `*.yaml` and `*.yml`, in every directory below it, each once.
//!
//! A mounted ConfigMap is a directory of links through `..data`, so names that begin with two dots are passed over and
//! links are followed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Problem;

/// How deep directories may nest: a limit for links that lead in a circle through a changing tree.
const DEPTH_MAX: usize = 16;
/// How many files are read; a folder with more is somebody's home directory.
const FILES_MAX: usize = 20_000;

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) directories: BTreeSet<PathBuf>,
    /// Where links to files lead.
    pub(super) targets: BTreeSet<PathBuf>,
    pub(super) problems: Vec<Problem>,
}

/// Walks a folder.
///
/// # Errors
/// When the folder itself cannot be listed; a directory below it that cannot becomes a problem.
pub(super) fn walk(root: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let mut seen = BTreeSet::from([fs::canonicalize(root)?]);
    found.directories.insert(root.to_owned());
    let mut next = vec![(root.to_owned(), list(root)?, 0)];
    while let Some((directory, names, depth)) = next.pop() {
        for name in names {
            let path = directory.join(&name);
            let Ok(metadata) = fs::metadata(&path) else {
                found.dangling(&path);
                continue;
            };
            if !metadata.is_dir() {
                found.file(path);
                continue;
            }
            let fresh = fs::canonicalize(&path).is_ok_and(|real| seen.insert(real));
            if !fresh || depth >= DEPTH_MAX {
                continue;
            }
            found.directories.insert(path.clone());
            match list(&path) {
                Ok(names) => next.push((path, names, depth + 1)),
                Err(error) => {
                    let problem = Problem::of_file(&path, error.to_string());
                    found.problems.push(problem);
                }
            }
        }
    }
    Ok(found)
}

impl Found {
    fn file(&mut self, path: PathBuf) {
        if !is_yaml(&path) {
            return;
        }
        if self.files.len() >= FILES_MAX {
            let message = format!("more than {FILES_MAX} files in the folder; it is left out");
            self.problems.push(Problem::of_file(path, message));
            return;
        }
        if path.is_symlink() {
            self.targets.extend(fs::canonicalize(&path));
        }
        self.files.insert(path);
    }

    /// A link to nowhere keeps its file: a mounted ConfigMap is in this state for a moment while it is swapped. A name
    /// that vanished since it was listed is no news: its removal is an event of its own.
    fn dangling(&mut self, path: &Path) {
        if is_yaml(path) && path.is_symlink() {
            self.files.insert(path.to_owned());
        }
    }
}

/// Tells by its name whether a file is read.
pub(in crate::source) fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The names in a directory, without those of a ConfigMap's machinery.
fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b"..") {
            names.push(name);
        }
    }
    Ok(names)
}
