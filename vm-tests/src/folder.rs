//! A folder of YAML files that an operator would edit.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// A configuration folder that ends with this value.
#[derive(Debug)]
pub struct Folder {
    root: TempDir,
    path: PathBuf,
}

impl Folder {
    /// An empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("sanmon-").tempdir()?;
        let path = root.path().join("config");
        std::fs::create_dir(&path)?;
        Ok(Self { root, path })
    }

    /// A copy of the files of another folder (not of its subfolders).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy_of(original: &Path) -> anyhow::Result<Self> {
        let folder = Self::new()?;
        let entries = std::fs::read_dir(original)
            .with_context(|| format!("cannot read {}", original.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), folder.path.join(entry.file_name()))?;
            }
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to remove when this value cannot do it any more.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A place beside the folder, for what is not configuration.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path.join(file)).with_context(|| format!("cannot read {file}"))
    }

    /// Replaces a file in one step, as editors do.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let draft = self.beside("draft");
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, self.path.join(file)).with_context(|| format!("cannot write {file}"))
    }
}
