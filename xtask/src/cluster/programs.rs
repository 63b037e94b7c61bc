//! Builds the programs of the test cluster from their Go modules, once for each version.
//!
//! Go's checksum database vouches for what is downloaded, and the versions fix every module below them: Go takes the
//! oldest one that satisfies all, so that a build tomorrow is the build of today.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::go::Go;
use super::versions::Versions;
use crate::run;
use crate::workspace::Workspace;

/// Where the built programs are.
#[derive(Debug)]
pub(super) struct Programs {
    /// The folder of etcd.
    pub(super) etcd: PathBuf,
    /// The folder of kube-apiserver, kube-controller-manager and kubectl.
    pub(super) kubernetes: PathBuf,
    /// The folder of echo-basic.
    pub(super) echo: PathBuf,
}

/// A Go module with programs in it.
struct Module<'a> {
    name: &'static str,
    version: &'a str,
    packages: &'static [&'static str],
}

impl Programs {
    /// Builds what is not there yet. The first time takes about ten minutes on two cores.
    pub(super) fn build(workspace: &Workspace, versions: &Versions) -> anyhow::Result<Self> {
        let etcd = Module {
            name: "etcd",
            version: &versions.etcd,
            packages: &["go.etcd.io/etcd/server/v3"],
        };
        let kubernetes = Module {
            name: "kubernetes",
            version: &versions.kubernetes,
            packages: &[
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kubectl",
            ],
        };
        let echo = Module {
            name: "echo-basic",
            version: &versions.conformance_images,
            packages: &["sigs.k8s.io/gateway-api-conformance-images/echo-basic"],
        };
        let programs = Self {
            etcd: etcd.folder(workspace),
            kubernetes: kubernetes.folder(workspace),
            echo: echo.folder(workspace),
        };
        let folders = [&programs.etcd, &programs.kubernetes, &programs.echo];
        if folders.iter().all(|folder| folder.is_dir()) {
            return Ok(programs);
        }
        let _lock = lock(workspace)?;
        let go = Go::find(workspace, &versions.go)?;
        etcd.build(workspace, &go, |_folder| {
            let version = &versions.etcd;
            Ok(format!("require go.etcd.io/etcd/server/v3 v{version}\n"))
        })?;
        kubernetes.build(workspace, &go, |folder| {
            requirements_of_kubernetes(&go, folder, &versions.kubernetes)
        })?;
        echo.build(workspace, &go, |_folder| {
            let version = &versions.conformance_images;
            let module = "sigs.k8s.io/gateway-api-conformance-images";
            Ok(format!("require {module} v{version}\n"))
        })?;
        Ok(programs)
    }
}

/// What turns the suite into a program.
const SUITE: &str = "package suite

import (
	\"testing\"

	\"sigs.k8s.io/gateway-api/conformance\"
)

func TestConformance(t *testing.T) {
	conformance.RunConformanceWithOptions(t, conformance.DefaultOptions(t))
}
";

/// Builds the conformance suite if it is not there yet: a test program.
pub(super) fn suite(workspace: &Workspace, versions: &Versions) -> anyhow::Result<PathBuf> {
    let suite = Module {
        name: "conformance",
        version: &versions.gateway_api,
        packages: &["."],
    };
    let program = suite.folder(workspace).join(suite.name);
    if program.is_file() {
        return Ok(program);
    }
    let _lock = lock(workspace)?;
    let go = Go::find(workspace, &versions.go)?;
    suite.build(workspace, &go, |folder| {
        fs::write(folder.join("suite_test.go"), SUITE)?;
        let version = &versions.gateway_api;
        let module = "sigs.k8s.io/gateway-api";
        let images = "sigs.k8s.io/gateway-api-conformance-images";
        // The suite names its own repository by a version that does not exist.
        Ok(format!(
            "require {module} v{version}\n\nrequire {module}/conformance v{version}\n\n\
             replace {images} => {images} v{}\n",
            versions.conformance_images
        ))
    })?;
    Ok(program)
}

/// Two checkouts that build at a time would write the same files.
fn lock(workspace: &Workspace) -> anyhow::Result<File> {
    let path = workspace.cache().join("programs.lock");
    fs::create_dir_all(workspace.cache())?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

impl Module<'_> {
    /// Where its programs are, once they are built: a folder is there whole or not at all.
    fn folder(&self, workspace: &Workspace) -> PathBuf {
        let folder = format!("programs/{}-{}", self.name, self.version);
        workspace.cache().join(folder)
    }

    fn build(
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

/// Kubernetes takes the libraries of its own repository from folders beside it; as a dependency it needs the published
/// ones instead, each named.
fn requirements_of_kubernetes(go: &Go, folder: &Path, version: &str) -> anyhow::Result<String> {
    let about = run::quietly(go.command(folder).args([
        "mod",
        "download",
        "-json",
        &format!("k8s.io/kubernetes@v{version}"),
    ]))?;
    let path = about
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"GoMod\": \""))
        .and_then(|rest| rest.split('"').next())
        .context("`go mod download` does not say where the module file is")?;
    let manifest = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(published(&manifest, version))
}

/// The module lines for a version of Kubernetes: its libraries have its version with 0 in front.
fn published(manifest: &str, version: &str) -> String {
    let library_version = version.replacen("1.", "0.", 1);
    let mut lines = format!("require k8s.io/kubernetes v{version}\n\n");
    for line in manifest.lines() {
        let Some((library, target)) = line.split_once(" => ") else {
            continue;
        };
        if target.starts_with("./staging/") {
            let library = library.trim().trim_start_matches("replace ").trim();
            lines.push_str(&format!(
                "replace {library} => {library} v{library_version}\n"
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_in_folders_become_published_ones_of_the_same_release() {
        let manifest = "module k8s.io/kubernetes\n\nrequire k8s.io/api v0.0.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\
                        \tother.io/x => other.io/y v1.0.0\n)\nreplace k8s.io/metrics => ./staging/src/k8s.io/metrics\n";

        assert_eq!(
            published(manifest, "1.37.2"),
            "require k8s.io/kubernetes v1.37.2\n\nreplace k8s.io/api => k8s.io/api v0.37.2\n\
             replace k8s.io/metrics => k8s.io/metrics v0.37.2\n"
        );
    }
}
