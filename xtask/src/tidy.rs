//! House rules that no other tool checks: layers inside a crate, file length, file headers, links in the documentation.
//!
//! The rules are pure functions of file contents; only [`check`] reads the tree, and it knows no rule.

mod files;
mod links;
mod manifests;
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::run;
use crate::workspace::Workspace;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A file of the tree, by its path from the root of the checkout.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

/// Applies every rule to every file and prints what it finds.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = tracked(workspace.root())?;
    let rust = read(workspace.root(), &tree, "rs")?;
    let markdown = read(workspace.root(), &tree, "md")?;

    let mut findings: Vec<Finding> = rust.iter().flat_map(files::check).collect();
    for (_, sources) in crates(&tree, &rust) {
        findings.extend(modules::check(&sources));
    }
    let present = with_directories(&tree);
    findings.extend(
        markdown
            .iter()
            .flat_map(|source| links::check(source, &present)),
    );
    let manifests = read(workspace.root(), &tree, "toml")?;
    let (roots, members): (Vec<&Source>, Vec<&Source>) = manifests
        .iter()
        .partition(|source| source.path == "Cargo.toml");
    findings.extend(
        roots
            .into_iter()
            .flat_map(|root| manifests::check(root, &members)),
    );
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 finding"),
        count => bail!("{count} findings"),
    }
}

/// Every file that git knows or would add, so that a build product is never checked.
fn tracked(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let listed = run::quietly(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    Ok(listed
        .lines()
        // A file that was deleted and not yet committed is still listed.
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect())
}

fn read(root: &Path, tree: &BTreeSet<String>, extension: &str) -> anyhow::Result<Vec<Source>> {
    tree.iter()
        .filter(|path| {
            Path::new(path)
                .extension()
                .is_some_and(|found| found == extension)
        })
        .map(|path| {
            let text = fs::read_to_string(root.join(path))
                .with_context(|| format!("cannot read {path}"))?;
            Ok(Source {
                path: path.clone(),
                text,
            })
        })
        .collect()
}

/// The sources of each crate by its root directory; packages nest, so a file belongs to the deepest one above it.
fn crates<'a>(
    tree: &BTreeSet<String>,
    sources: &'a [Source],
) -> BTreeMap<PathBuf, Vec<&'a Source>> {
    let packages: BTreeSet<&Path> = tree
        .iter()
        .map(Path::new)
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter_map(Path::parent)
        .collect();
    let mut crates: BTreeMap<PathBuf, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        let owner = Path::new(&source.path)
            .ancestors()
            .skip(1)
            .find(|directory| packages.contains(directory));
        if let Some(owner) = owner {
            let directory = owner.join("src");
            let Ok(inside) = Path::new(&source.path).strip_prefix(&directory) else {
                continue;
            };
            // Each program below src/bin is a crate of its own.
            let root = match inside.strip_prefix("bin") {
                Ok(program) => directory
                    .join("bin")
                    .join(program.iter().next().unwrap_or_default()),
                Err(_not_below_bin) => directory,
            };
            crates.entry(root).or_default().push(source);
        }
    }
    crates
}

fn with_directories(tree: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    tree.iter()
        .flat_map(|path| Path::new(path).ancestors())
        .map(Path::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_deepest_package_and_each_program_is_a_crate() {
        let paths = [
            "user/Cargo.toml",
            "user/ir/Cargo.toml",
            "user/ir/src/lib.rs",
            "user/ir/tests/golden.rs",
            "user/src/bin/demo/main.rs",
            "user/src/main.rs",
        ];
        let tree: BTreeSet<String> = paths.map(str::to_owned).into();
        let sources: Vec<Source> = paths
            .iter()
            .filter(|path| path.ends_with(".rs"))
            .map(|path| Source {
                path: (*path).to_owned(),
                text: String::new(),
            })
            .collect();

        let found: Vec<PathBuf> = crates(&tree, &sources).into_keys().collect();

        assert_eq!(
            found,
            ["user/ir/src", "user/src", "user/src/bin/demo"].map(PathBuf::from)
        );
    }
}
