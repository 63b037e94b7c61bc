//! Builds programs from a Go module into the cache, once for each version.
//!
//! Go's checksum database vouches for what is downloaded, and the version fixes every module below it: Go takes the
//! oldest one that satisfies all, so that a build tomorrow is the build of today.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::go::Go;
use crate::run;
use crate::workspace::Workspace;

/// A Go module with programs in it.
pub(super) struct Module<'a> {
    /// The name of its folder, and of its program if it has one only.
    pub(super) name: &'static str,
    /// Its version, without the `v`.
    pub(super) version: &'a str,
    /// The packages of its programs.
    pub(super) packages: &'static [&'static str],
}

/// Two checkouts that build at a time would write the same files.
pub(super) fn lock(workspace: &Workspace) -> anyhow::Result<File> {
    let path = workspace.cache().join("programs.lock");
    fs::create_dir_all(workspace.cache())?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

impl Module<'_> {
    /// Where its programs are, once they are built: a folder is there whole or not at all.
    pub(super) fn folder(&self, workspace: &Workspace) -> PathBuf {
        let folder = format!("programs/{}-{}", self.name, self.version);
        workspace.cache().join(folder)
    }

    /// Builds its programs if they are not there yet. `requirements` gives the lines of the module file, and may write
    /// sources beside it.
    pub(super) fn build(
        &self,
        workspace: &Workspace,
        go: &Go,
        requirements: impl FnOnce(&Path) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let target = self.folder(workspace);
        if target.is_dir() {
            return Ok(());
        }
        println!("cluster: building {} {}", self.name, self.version);
        let start = Instant::now();
        // `with_extension` would take the last number of the version for one.
        let beside = |suffix: &str| {
            let mut path = target.clone().into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        let (source, partial) = (beside(".module"), beside(".partial"));
        for folder in [&source, &partial] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let head = format!(
            "module sanmon.dev/testbed/{}\n\ngo {}\n\n",
            self.name,
            go.oldest()
        );
        let manifest = source.join("go.mod");
        fs::write(&manifest, &head)?;
        let requirements = requirements(&source)?;
        fs::write(&manifest, head + &requirements)
            .with_context(|| format!("cannot write {}", manifest.display()))?;
        // Go would call etcd's program `server`; of several it takes the folder, and their names are right.
        let output = match self.packages {
            [_one] => partial.join(self.name),
            _several => partial.join(""),
        };
        run::quietly(
            go.command(&source)
                .args(self.verb())
                .args(["-trimpath", "-ldflags"])
                .arg(self.linker_flags())
                .arg("-o")
                .arg(output)
                .args(self.packages),
        )?;
        fs::remove_dir_all(&source)?;
        fs::rename(&partial, &target)
            .with_context(|| format!("cannot make {}", target.display()))?;
        println!(
            "cluster: {} took {}",
            self.name,
            run::elapsed(start.elapsed())
        );
        Ok(())
    }

    /// A folder's own package has nothing but tests.
    fn verb(&self) -> &'static [&'static str] {
        match self.packages {
            ["."] => &["test", "-c", "-vet=off"],
            _programs => &["build"],
        }
    }

    /// Without symbols, and with the version that Kubernetes' programs show.
    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        for package in [
            "k8s.io/component-base/version",
            "k8s.io/client-go/pkg/version",
        ] {
            flags.push_str(&format!(" -X {package}.gitVersion=v{}", self.version));
        }
        flags
    }
}
