//! What the test cluster is made of, and what else is built from Go modules: which modules, and what each requires.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::go::Go;
use super::module::{self, Module};
use super::versions::Versions;
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
        let _lock = module::lock(workspace)?;
        let go = Go::find(workspace, &versions.go)?;
        etcd.build(workspace, &go, |_folder| {
            let version = &versions.etcd;
            Ok(format!("require go.etcd.io/etcd/server/v3 v{version}\n"))
        })?;
        kubernetes.build(workspace, &go, |_folder| {
            requirements_of_kubernetes(&go, &versions.kubernetes)
        })?;
        echo.build(workspace, &go, |_folder| {
            let version = &versions.conformance_images;
            let module = "sigs.k8s.io/gateway-api-conformance-images";
            Ok(format!("require {module} v{version}\n"))
        })?;
        Ok(programs)
    }
}

/// The Go module of the Gateway API.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";

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
    let _lock = module::lock(workspace)?;
    let go = Go::find(workspace, &versions.go)?;
    suite.build(workspace, &go, |folder| {
        fs::write(folder.join("suite_test.go"), SUITE)?;
        let version = &versions.gateway_api;
        let module = GATEWAY_API;
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

/// Builds Helm if it is not there yet: a test renders the chart.
pub(super) fn helm(workspace: &Workspace, versions: &Versions) -> anyhow::Result<()> {
    let helm = Module {
        name: "helm",
        version: &versions.helm,
        packages: &["helm.sh/helm/v4/cmd/helm"],
    };
    if helm.folder(workspace).is_dir() {
        return Ok(());
    }
    let _lock = module::lock(workspace)?;
    let go = Go::find(workspace, &versions.go)?;
    let version = &versions.helm;
    helm.build(workspace, &go, |_folder| {
        Ok(format!("require helm.sh/helm/v4 v{version}\n"))
    })
}

/// Takes the Gateway API's CRDs of the experimental channel out of its module if they are not there yet: a folder that
/// `kubectl apply --kustomize` takes.
pub(super) fn crds(workspace: &Workspace, versions: &Versions) -> anyhow::Result<PathBuf> {
    let version = &versions.gateway_api;
    let name = format!("programs/gateway-api-crds-{version}");
    let target = workspace.cache().join(&name);
    if target.is_dir() {
        return Ok(target);
    }
    let _lock = module::lock(workspace)?;
    let module = Go::find(workspace, &versions.go)?.download(GATEWAY_API, version)?;
    let partial = workspace.cache().join(name + ".partial");
    fs::create_dir_all(&partial)?;
    for file in fs::read_dir(module.join("config/crd/experimental"))? {
        let file = file?;
        fs::copy(file.path(), partial.join(file.file_name()))?;
    }
    fs::rename(&partial, &target).with_context(|| format!("cannot make {}", target.display()))?;
    Ok(target)
}

/// Kubernetes takes the libraries of its own repository from folders beside it; as a dependency it needs the published
/// ones instead, each named.
fn requirements_of_kubernetes(go: &Go, version: &str) -> anyhow::Result<String> {
    let path = go.download("k8s.io/kubernetes", version)?.join("go.mod");
    let manifest = fs::read_to_string(&path);
    let manifest = manifest.with_context(|| format!("cannot read {}", path.display()))?;
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
