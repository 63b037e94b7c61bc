//! Relative links of Markdown files lead to files of the tree.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{Finding, Source};

/// Checks the links of one Markdown file against the files and directories of the tree.
pub(super) fn check(source: &Source, present: &BTreeSet<PathBuf>) -> Vec<Finding> {
    let directory = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in source.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let Some(path) = local(target) else { continue };
            if !resolve(directory, path).is_some_and(|path| present.contains(&path)) {
                findings.push(Finding {
                    file: source.path.clone(),
                    line: index + 1,
                    text: format!("the link to {target} leads nowhere"),
                });
            }
        }
    }
    findings
}

/// The targets of `[text](target)` and `[text]: target` in one line.
fn targets(line: &str) -> Vec<&str> {
    let inline = line
        .match_indices("](")
        .filter_map(|(at, mark)| line.get(at + mark.len()..)?.split_once(')'))
        .map(|(target, _)| target);
    let reference = line
        .starts_with('[')
        .then(|| line.split_once("]: "))
        .flatten()
        .map(|(_, target)| target);
    inline
        .chain(reference)
        // `[text](target "title")`
        .filter_map(|target| target.split_whitespace().next())
        .collect()
}

/// The path of a link inside the tree; addresses and anchors of the same page are not this rule's.
fn local(target: &str) -> Option<&str> {
    let path = target.split('#').next().filter(|path| !path.is_empty())?;
    (!path.contains("://") && !path.starts_with("mailto:")).then_some(path)
}

/// Takes `.` and `..` out of a path; `None` when it leads out of the tree.
fn resolve(directory: &Path, target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in directory.join(target).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_and_directories_of_the_tree_resolve() {
        let text = "[a](../README.md) and [b](adr/) [c](adr/0001-x.md#why)\n[d]: guide.md\n";

        assert_eq!(broken("docs/index.md", text), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found_with_its_line() {
        let source = source("docs/index.md", "fine\n[a](gone.md)\n");

        let findings = check(&source, &tree());

        assert_eq!(findings[0].line, 2);
        assert!(findings[0].text.contains("gone.md"));
    }

    #[test]
    fn a_link_out_of_the_tree_is_found() {
        assert_eq!(
            broken("docs/index.md", "[a](../../other/README.md)\n").len(),
            1
        );
        assert_eq!(broken("docs/index.md", "[a](/etc/passwd)\n").len(), 1);
    }

    #[test]
    fn addresses_anchors_and_code_are_left_alone() {
        let text = "[a](https://example.org/x) [b](#here)\n```\n[c](gone.md)\n```\n";

        assert_eq!(broken("docs/index.md", text), [""; 0]);
    }

    fn broken(path: &str, text: &str) -> Vec<String> {
        check(&source(path, text), &tree())
            .into_iter()
            .map(|finding| finding.text)
            .collect()
    }

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn tree() -> BTreeSet<PathBuf> {
        super::super::with_directories(&BTreeSet::from(
            [
                "README.md",
                "docs/index.md",
                "docs/guide.md",
                "docs/adr/0001-x.md",
            ]
            .map(str::to_owned),
        ))
    }
}
