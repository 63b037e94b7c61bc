//! A folder of YAML files as a source of objects: reads, remembers the last good content, says what is wrong.
//!
//! It does what an API server does to what it is given: an object that does not decode is refused and its last good
//! form stays. Knows nothing of when to read: that is [`watch`](super::watch)'s part.

mod place;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gateway_crds::rules::violations;
use gateway_translate::{Inputs, Object, ObjectError, ObjectKey};
use serde_json::Value;

use self::place::Place;
pub(super) use self::walk::is_yaml;
use super::document::{self, Document, FILE_BYTES_MAX};
use crate::publish::Content;
use crate::{Problem, Severity, peer};

/// Where the key of the heartbeats is: files have no namespace of an agent.
const NAMESPACE: &str = "sanmon-system";

/// A folder with the last good content of each of its files.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    files: BTreeMap<PathBuf, File>,
    directories: BTreeSet<PathBuf>,
    targets: BTreeSet<PathBuf>,
}

/// What a file said last.
#[derive(Debug, Default)]
struct File {
    /// Hash of the text that `objects` and `problems` came from; none before the first read.
    hash: Option<u64>,
    objects: Vec<Placed>,
    problems: Vec<Problem>,
}

/// An object with its place.
#[derive(Clone, Debug)]
struct Placed {
    key: ObjectKey,
    document: usize,
    line: u64,
    object: Object,
}

impl Folder {
    /// Names a folder; nothing is read yet.
    ///
    /// # Errors
    /// When it is no folder or cannot be listed: at the start that is a mistake of the caller, later it may pass.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        drop(fs::read_dir(&root)?);
        Ok(Self {
            root,
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            targets: BTreeSet::new(),
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every directory that the last load looked into: what there is to watch.
    pub fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// The files outside the folder that symbolic links of the last load led to.
    pub fn targets(&self) -> &BTreeSet<PathBuf> {
        &self.targets
    }

    /// Reads what has changed and gives everything that is in force.
    ///
    /// Files in `unfinished` keep what they said, also if they are gone: half a file may well be valid YAML.
    pub fn load(&mut self, unfinished: &BTreeSet<PathBuf>) -> Content {
        let found = match walk::walk(&self.root) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("{error}; what it held last stays in force");
                return self.content(vec![Problem::of_file(&self.root, message)]);
            }
        };
        self.files
            .retain(|path, _| found.files.contains(path) || unfinished.contains(path));
        for path in &found.files {
            let file = self.files.entry(path.clone()).or_default();
            if !unfinished.contains(path) {
                file.read(path);
            }
        }
        self.directories = found.directories;
        self.targets = found.targets;
        self.content(found.problems)
    }

    /// Puts the files together; of an object that is there twice the first one counts.
    fn content(&self, mut problems: Vec<Problem>) -> Content {
        let mut inputs = Inputs::default();
        let mut owners: BTreeMap<&ObjectKey, (&Path, u64)> = BTreeMap::new();
        for (path, file) in &self.files {
            problems.extend(file.problems.iter().cloned());
            for placed in &file.objects {
                if let Some((first, line)) = owners.get(&placed.key) {
                    let message = format!(
                        "is already in {}:{line}, which counts; this one is left out",
                        first.display()
                    );
                    problems.push(placed.problem(path, message));
                    continue;
                }
                owners.insert(&placed.key, (path, placed.line));
                inputs.insert(placed.object.clone());
            }
        }
        problems.sort();
        Content {
            membership_key: peer::membership_key(&inputs, NAMESPACE),
            inputs,
            problems,
        }
    }
}

impl File {
    fn read(&mut self, path: &Path) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => {
                self.hash = None;
                return self.keep(Problem::of_file(path, error.to_string()));
            }
        };
        let hash = hash_of(&text);
        if self.hash == Some(hash) {
            return;
        }
        self.hash = Some(hash);
        match document::parse(&text) {
            Ok(documents) => self.replace(path, documents),
            Err(error) => {
                let line = error.line;
                let problem = Problem::of_file(path, error.message);
                self.keep(Problem { line, ..problem });
            }
        }
    }

    /// The file cannot be used: what it held last stays.
    fn keep(&mut self, mut problem: Problem) {
        problem.message.push_str(if self.objects.is_empty() {
            "; nothing of this file is in force"
        } else {
            "; the file's last good content stays in force"
        });
        self.problems = vec![problem];
    }

    fn replace(&mut self, path: &Path, documents: Vec<Document>) {
        let before = std::mem::take(&mut self.objects);
        self.problems.clear();
        for document in documents {
            let place = Place::of(path, &document);
            match decode(&document) {
                Ok(placed) => {
                    let unknown = placed.object.unknown_fields(&document.value);
                    self.problems.extend(
                        unknown
                            .iter()
                            .map(|field| place.ignored(format!("unknown field {field}: ignored"))),
                    );
                    let refused = violations(placed.key.kind.as_str(), &document.value);
                    self.problems.extend(refused.iter().map(|violation| {
                        place.error(format!(
                            "{violation}; no API server would take it, and it is served as far as it can be"
                        ))
                    }));
                    self.objects.push(placed);
                }
                Err(error @ ObjectError::UnknownKind { .. }) => {
                    self.problems
                        .push(place.ignored(format!("{error}: ignored")));
                }
                Err(error @ (ObjectError::NoName { .. } | ObjectError::Invalid { .. })) => {
                    let last = before.iter().find(|placed| place.names(&placed.key));
                    let outcome = match last {
                        Some(_) => "its last good form stays in force",
                        None => "it is left out",
                    };
                    let message = format!("{}; {outcome}", chain(&error));
                    self.problems.push(place.error(message));
                    self.objects.extend(last.cloned());
                }
            }
        }
    }
}

impl Placed {
    fn problem(&self, path: &Path, message: String) -> Problem {
        Problem {
            severity: Severity::Error,
            file: path.to_owned(),
            line: Some(self.line),
            document: Some(self.document),
            object: Some(self.key.to_string()),
            message,
        }
    }
}

fn decode(document: &Document) -> Result<Placed, ObjectError> {
    let text = |field| document.value.get(field).and_then(Value::as_str);
    let kind = text("kind").unwrap_or("(none)");
    let api_version = text("apiVersion").unwrap_or("(none)");
    let object = Object::from_manifest(kind, api_version, document.value.clone())?;
    Ok(Placed {
        key: object.key(),
        document: document.index,
        line: document.line,
        object,
    })
}

/// An error with what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn read_text(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= FILE_BYTES_MAX) {
        return Ok(text);
    }
    Err(io::Error::other(format!(
        "larger than {} MiB",
        FILE_BYTES_MAX / 1024 / 1024
    )))
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
