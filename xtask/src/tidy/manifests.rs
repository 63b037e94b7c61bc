//! Every dependency that the workspace names is used by one of its crates.

use super::{Finding, Source};

/// Checks the workspace's manifest against those of its crates.
pub(super) fn check(workspace: &Source, members: &[&Source]) -> Vec<Finding> {
    entries(&workspace.text, "[workspace.dependencies]")
        .filter(|(_, name)| !members.iter().any(|member| inherits(&member.text, name)))
        .map(|(line, name)| Finding {
            file: workspace.path.clone(),
            line,
            text: format!("no crate uses the workspace's dependency {name}"),
        })
        .collect()
}

/// Line and name of each entry in a table of a manifest.
fn entries<'a>(text: &'a str, table: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines()
        .enumerate()
        .skip_while(move |(_, line)| line.trim() != table)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.starts_with('#'))
        .filter_map(|(index, line)| Some((index + 1, line.split_once('=')?.0.trim())))
}

/// Whether a crate's manifest has `name.workspace = true` or `name = { workspace = true, … }`.
fn inherits(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| {
        line.strip_prefix(name).is_some_and(|rest| {
            rest.starts_with(".workspace") || rest.starts_with(" = { workspace")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_no_crate_inherits_is_found() {
        let workspace = "[workspace.dependencies]\n# Why.\na = \"1\"\nb-c = { path = \"b\" }\nd = \"1\"\n\n[profile.dev]\ne = 1\n";
        let members = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb-c = { workspace = true, features = [] }\n";

        let findings = check(&source(workspace), &[&source(members)]);

        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].line, 5);
        assert!(findings[0].text.ends_with("dependency d"));
    }

    #[test]
    fn a_name_that_begins_like_another_is_not_taken_for_it() {
        let workspace = source("[workspace.dependencies]\nhttp = \"1\"\n");

        let findings = check(&workspace, &[&source("http-body.workspace = true\n")]);

        assert_eq!(findings.len(), 1);
    }

    fn source(text: &str) -> Source {
        Source {
            path: "Cargo.toml".to_owned(),
            text: text.to_owned(),
        }
    }
}
