//! Where a document is and what it calls itself, also when it does not decode.

use std::path::{Path, PathBuf};

use gateway_translate::ObjectKey;

use crate::source::document::Document;
use crate::{Problem, Severity};

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// The place and the identity of a document, as far as it has one.
pub(super) struct Place {
    file: PathBuf,
    document: usize,
    line: u64,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl Place {
    pub(super) fn of(file: &Path, document: &Document) -> Self {
        let text = |pointer| Some(document.value.pointer(pointer)?.as_str()?.to_owned());
        Self {
            file: file.to_owned(),
            document: document.index,
            line: document.line,
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
        }
    }

    /// Tells whether the document is meant to be that object.
    pub(super) fn names(&self, key: &ObjectKey) -> bool {
        let namespace = self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        self.kind.as_deref() == Some(key.kind.as_str())
            && self.name.as_deref() == Some(&*key.name.name)
            && (key.name.namespace.is_empty() || *key.name.namespace == *namespace)
    }

    pub(super) fn error(&self, message: String) -> Problem {
        self.problem(Severity::Error, message)
    }

    pub(super) fn ignored(&self, message: String) -> Problem {
        self.problem(Severity::Ignored, message)
    }

    fn problem(&self, severity: Severity, message: String) -> Problem {
        Problem {
            severity,
            file: self.file.clone(),
            line: Some(self.line),
            document: Some(self.document),
            object: self.object(),
            message,
        }
    }

    fn object(&self) -> Option<String> {
        let kind = self.kind.as_deref()?;
        let name = self.name.as_deref().unwrap_or("(no name)");
        Some(match self.namespace.as_deref() {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        })
    }
}
