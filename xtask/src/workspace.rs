//! Where things are: the checkout, the target directory of this build, the tools that setup installs.
//!
//! Knows paths only; it creates and runs nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The places that every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cache: PathBuf,
    tools: PathBuf,
}

impl Workspace {
    /// Finds the checkout that this xtask belongs to.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        // Set by `cargo run`; the compiled-in path serves a directly started xtask. A target directory that
        // several checkouts share makes the compiled-in one the less certain of the two.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .with_context(|| format!("{} has no parent directory", manifest.display()))?
            .to_owned();
        // Cargo put this executable at <target>/debug/xtask, whatever its configuration says the target directory is.
        let executable = env::current_exe().context("cannot find this executable")?;
        let target = executable
            .ancestors()
            .nth(2)
            .with_context(|| format!("{} is not in a target directory", executable.display()))?
            .to_owned();
        let home =
            env::var_os("HOME").context("HOME is not set; setup keeps its tools below it")?;
        let cache = Path::new(&home).join(".cache/sanmon");
        let tools = cache.join("tools");
        Ok(Self {
            root,
            target,
            cache,
            tools,
        })
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory, as this xtask was built into it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// What outlives checkouts: toolchains and programs that take long to get.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// The `--root` of the tools that are installed for this project.
    pub(crate) fn tools(&self) -> &Path {
        &self.tools
    }

    /// Where a program of the development profile is, once it is built.
    pub(crate) fn debug_binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }
}
