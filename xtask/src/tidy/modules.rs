//! Modules of a crate form layers: no module needs a sibling that needs it.
//!
//! A directory of modules is one node for its siblings, and its own children are held to the same rule. A parent and
//! its children may name each other: they are one thing in two files.

mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Finding, Source};
use paths::Mention;

type Module = Vec<String>;

/// Who names whom among the children of one module, and where first.
type Edges = BTreeMap<String, BTreeMap<String, (String, usize)>>;

/// Names lead through re-exports; a chain longer than this is a cycle of `use` declarations.
const HOPS_MAX: usize = 8;

/// Checks the files of one crate.
pub(super) fn check(sources: &[&Source]) -> Vec<Finding> {
    let files: Vec<File<'_>> = sources
        .iter()
        .filter_map(|source| {
            Some(File {
                path: &source.path,
                module: module_of(&source.path)?,
                mentions: paths::mentions(&source.text),
            })
        })
        .collect();
    let names = Names::of(&files);
    let mut scopes: BTreeMap<Module, Edges> = BTreeMap::new();
    for file in &files {
        for mention in &file.mentions {
            let Some(target) = names.resolve(&file.module, &mention.segments) else {
                continue;
            };
            let shared = file
                .module
                .iter()
                .zip(&target)
                .take_while(|(here, there)| here == there)
                .count();
            if let (Some(from), Some(to)) = (file.module.get(shared), target.get(shared)) {
                let scope: Module = target.iter().take(shared).cloned().collect();
                scopes
                    .entry(scope)
                    .or_default()
                    .entry(from.clone())
                    .or_default()
                    .entry(to.clone())
                    .or_insert_with(|| (file.path.to_owned(), mention.line));
            }
        }
    }
    scopes.values().filter_map(cycle).collect()
}

struct File<'a> {
    path: &'a str,
    module: Module,
    mentions: Vec<Mention>,
}

/// What the names of a crate mean.
struct Names {
    modules: BTreeSet<Module>,
    /// (module, name) → the path that a `use` there gave this name.
    bound: BTreeMap<(Module, String), Vec<String>>,
}

impl Names {
    fn of(files: &[File<'_>]) -> Self {
        let modules = files.iter().map(|file| file.module.clone()).collect();
        let bound = files
            .iter()
            .flat_map(|file| {
                file.mentions.iter().filter_map(|mention| {
                    let name = mention.binds.clone()?;
                    Some(((file.module.clone(), name), mention.segments.clone()))
                })
            })
            .collect();
        Self { modules, bound }
    }

    /// The module of this crate that defines what `segments`, written in `module`, lead to.
    fn resolve(&self, module: &Module, segments: &[String]) -> Option<Module> {
        let mut from = module.clone();
        let mut segments = segments.to_vec();
        for _ in 0..HOPS_MAX {
            let (found, rest) = self.walk(&from, &segments)?;
            let Some((name, tail)) = rest.split_first() else {
                return Some(found);
            };
            let Some(target) = self.bound.get(&(found.clone(), name.clone())) else {
                return Some(found);
            };
            from = found;
            segments = [target.as_slice(), tail].concat();
        }
        None
    }

    /// Follows a path as far as it names modules; `None` for a path into another crate.
    fn walk<'a>(&self, from: &Module, segments: &'a [String]) -> Option<(Module, &'a [String])> {
        let (first, mut rest) = segments.split_first()?;
        let mut at = from.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
                while let Some((_, tail)) = rest.split_first().filter(|(next, _)| *next == "super")
                {
                    at.pop()?;
                    rest = tail;
                }
            }
            child => {
                at.push(child.to_owned());
                if !self.modules.contains(&at) {
                    return None;
                }
            }
        }
        while let Some((next, tail)) = rest.split_first() {
            at.push(next.clone());
            if !self.modules.contains(&at) {
                at.pop();
                break;
            }
            rest = tail;
        }
        Some((at, rest))
    }
}

/// The module that a file holds: `…/src/a/b.rs` is `a::b`; `None` for tests, which may look anywhere.
fn module_of(path: &str) -> Option<Module> {
    let (_, inside) = path.rsplit_once("src/")?;
    // A program below src/bin is a crate of its own, in one file or in a directory with a main.rs.
    let inside = match inside.strip_prefix("bin/") {
        Some(program) => program.split_once('/')?.1,
        None => inside,
    };
    let mut module: Module = Path::new(inside)
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module == ["lib"] || module == ["main"] {
        module.clear();
    }
    (!module.iter().any(|part| part == "tests")).then_some(module)
}

/// The first cycle among siblings, with the place of each step.
fn cycle(edges: &Edges) -> Option<Finding> {
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        let path = search(edges, start, &mut Vec::new(), &mut done)?;
        let steps: Vec<(String, &(String, usize))> = path
            .iter()
            .zip(path.iter().cycle().skip(1))
            .filter_map(|(from, to)| {
                let place = edges.get(from)?.get(to)?;
                Some((
                    format!("{from} needs {to} ({}:{})", place.0, place.1),
                    place,
                ))
            })
            .collect();
        let (file, line) = steps.first()?.1.clone();
        let texts: Vec<&str> = steps.iter().map(|(text, _)| text.as_str()).collect();
        Some(Finding {
            file,
            line,
            text: format!("modules form a cycle: {}", texts.join(", ")),
        })
    })
}

fn search(
    edges: &Edges,
    node: &str,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|name| name == node) {
        return Some(path.split_off(start));
    }
    if done.contains(node) {
        return None;
    }
    path.push(node.to_owned());
    let targets = edges.get(node).into_iter().flat_map(BTreeMap::keys);
    let found = targets
        .into_iter()
        .find_map(|target| search(edges, target, path, done));
    path.pop();
    done.insert(node.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_pass() {
        let files = [
            (
                "c/src/lib.rs",
                "mod a;\nmod b;\npub use a::A;\npub use b::B;\n",
            ),
            ("c/src/a.rs", "use crate::b::B;\n"),
            ("c/src/b.rs", "use std::fmt;\n"),
        ];

        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn a_cycle_is_printed_with_the_place_of_each_step() {
        let files = [
            ("c/src/a.rs", "use crate::b::B;\n"),
            ("c/src/b.rs", "\nuse crate::d;\n"),
            ("c/src/d.rs", "fn f() { crate::a::g() }\n"),
        ];

        assert_eq!(
            found(&files),
            [
                "modules form a cycle: a needs b (c/src/a.rs:1), b needs d (c/src/b.rs:2), d needs a (c/src/d.rs:1)"
            ]
        );
    }

    #[test]
    fn a_cycle_through_a_re_export_is_found() {
        let files = [
            ("c/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
            ("c/src/a.rs", "use crate::b::B;\n"),
            ("c/src/b.rs", "use crate::A;\n"),
        ];

        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn a_directory_is_one_node_for_its_siblings() {
        let files = [
            ("c/src/a.rs", "mod x;\nuse x::X;\n"),
            ("c/src/a/x.rs", "use super::Thing;\nuse crate::b::B;\n"),
            ("c/src/b.rs", "use crate::a::Thing;\n"),
        ];

        let texts = found(&files);

        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("a needs b (c/src/a/x.rs:2)"), "{texts:?}");
    }

    #[test]
    fn children_of_a_module_are_held_to_the_rule_and_their_parent_is_not() {
        let parent_and_child = [
            ("c/src/a.rs", "mod x;\nuse x::X;\n"),
            ("c/src/a/x.rs", "use super::Thing;\n"),
        ];
        let siblings = [
            ("c/src/a.rs", "mod x;\nmod y;\n"),
            ("c/src/a/x.rs", "use super::y::Y;\n"),
            ("c/src/a/y.rs", "use super::x::X;\n"),
        ];

        assert_eq!(found(&parent_and_child), [""; 0]);
        assert_eq!(found(&siblings).len(), 1);
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        let files = [
            (
                "c/src/a.rs",
                "use b::B;\n#[cfg(test)]\nmod tests { use crate::b::B; }\n",
            ),
            ("c/src/a/tests.rs", "use crate::b::B;\n"),
            ("c/src/b.rs", "use crate::a::A;\n"),
        ];

        assert_eq!(found(&files), [""; 0]);
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let sources: Vec<&Source> = sources.iter().collect();
        check(&sources)
            .into_iter()
            .map(|finding| finding.text)
            .collect()
    }
}
