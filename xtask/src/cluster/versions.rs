//! The versions of what the test cluster is built from; reads their one file and nothing else.

use std::fs;

use anyhow::{Context, bail};

use crate::workspace::Workspace;

const FILE: &str = "vm-tests/cluster/versions.toml";

/// One version of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versions {
    /// The oldest Go that serves, as `1.27`.
    pub(super) go: String,
    /// Kubernetes, as `1.37.2`.
    pub(super) kubernetes: String,
    /// etcd, as `3.7.3`.
    pub(super) etcd: String,
    /// The Gateway API and its conformance suite, as `1.7.0`.
    pub(super) gateway_api: String,
    /// The conformance suite's backends, as `0.1.0`.
    pub(super) conformance_images: String,
    /// Helm, as `4.3.1`.
    pub(super) helm: String,
}

impl Versions {
    /// Reads the file.
    pub(super) fn read(workspace: &Workspace) -> anyhow::Result<Self> {
        let path = workspace.root().join(FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            go: value(text, "go")?,
            kubernetes: value(text, "kubernetes")?,
            etcd: value(text, "etcd")?,
            gateway_api: value(text, "gateway-api")?,
            conformance_images: value(text, "conformance-images")?,
            helm: value(text, "helm")?,
        })
    }
}

/// The value of a line `name = "1.2.3"`. It becomes part of paths and of other files, so it is numbers and dots.
fn value(text: &str, name: &str) -> anyhow::Result<String> {
    let found = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .with_context(|| format!("{FILE} does not name {name}"))?;
    let version = found.1.trim().trim_matches('"');
    let is_number = |part: &str| part.parse::<u32>().is_ok();
    if !version.split('.').all(is_number) {
        bail!("{FILE}: {name} has the version {version:?}, which is not numbers and dots");
    }
    Ok(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_order_do_not_matter() {
        let text = "# Go.\netcd = \"3.7.3\"\n\ngo = \"1.27\"\nkubernetes = \"1.37.2\"\n\
                    gateway-api = \"1.7.0\"\nconformance-images = \"0.1.0\"\n\
                    helm = \"4.3.1\"\n";

        let versions = Versions::parse(text).unwrap();

        assert_eq!(versions.go, "1.27");
        assert_eq!(versions.kubernetes, "1.37.2");
        assert_eq!(versions.etcd, "3.7.3");
        assert_eq!(versions.gateway_api, "1.7.0");
        assert_eq!(versions.conformance_images, "0.1.0");
        assert_eq!(versions.helm, "4.3.1");
    }

    #[test]
    fn what_is_missing_or_no_version_is_named() {
        let missing = Versions::parse("go = \"1.27\"\n").unwrap_err().to_string();
        assert!(missing.contains("kubernetes"), "{missing}");

        let bad = Versions::parse("go = \"../x\"\n").unwrap_err().to_string();
        assert!(bad.contains("../x"), "{bad}");
    }
}
