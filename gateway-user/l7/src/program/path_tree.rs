//! Paths by their elements: what a walk costs depends on the path that is looked up, not on how many are in the tree.

use std::sync::Arc;

use super::steps;
use super::trie::Trie;

/// Nodes of a walk that are noted without an allocation: the paths of most requests have fewer elements.
const NEAR_MAX: usize = 8;

/// Values at paths. `/a/b` has the elements `a` and `b`, `/a/` has `a` and the empty one; the root is the empty path. Copies
/// share what they have in common: a change copies the nodes on the way to it.
#[derive(Clone, Debug, Default)]
pub(super) struct PathTree<T> {
    /// The element before the first slash, which every path has.
    root: Node<T>,
}

#[derive(Clone, Debug, Default)]
struct Node<T> {
    children: Trie<Box<str>, Arc<Self>>,
    /// The bytes of its path.
    length: usize,
    value: T,
}

impl<T: Clone + Default> PathTree<T> {
    /// Changes the value at a path that is empty or starts with a slash; there are no values at other paths, which no
    /// request has. What is then vacant does not stay in the tree.
    pub(super) fn edit(
        &mut self,
        path: &str,
        is_vacant: impl Fn(&T) -> bool,
        change: impl FnOnce(&mut T),
    ) {
        let below = path.strip_prefix('/');
        if below.is_some() || path.is_empty() {
            self.root.edit(below, &is_vacant, change);
        }
    }
}

impl<T: Clone + Default> Node<T> {
    /// Tells whether nothing is left.
    fn edit(
        &mut self,
        below: Option<&str>,
        is_vacant: &impl Fn(&T) -> bool,
        change: impl FnOnce(&mut T),
    ) -> bool {
        match below {
            None => change(&mut self.value),
            Some(below) => {
                let split = below.split_once('/');
                let (element, below) = split.map_or((below, None), |(it, rest)| (it, Some(rest)));
                let length = self.length + 1 + element.len();
                let child = self.children.entry(element.into(), Arc::default);
                let child = Arc::make_mut(child);
                child.length = length;
                if child.edit(below, is_vacant, change) {
                    self.children.remove(element);
                }
            }
        }
        is_vacant(&self.value) && self.children.is_empty()
    }
}

impl<T> PathTree<T> {
    /// Goes along a path as far as the tree has it; a path that does not start with a slash stays at the root.
    pub(super) fn walk(&self, path: &str) -> Way<'_, T> {
        let mut way = Way {
            end: &self.root,
            above: Above {
                near: [None; NEAR_MAX],
                count: 0,
                far: Vec::new(),
            },
            whole: false,
        };
        let Some(elements) = path.strip_prefix('/') else {
            return way;
        };
        for element in elements.split('/') {
            steps::count();
            match way.end.children.get(element) {
                Some(child) => way.above.push(std::mem::replace(&mut way.end, child)),
                None => return way,
            }
        }
        way.whole = true;
        way
    }

    /// Whether there is no path but the root.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.children.is_empty()
    }

    /// The value at the root.
    pub(super) fn root(&self) -> &T {
        &self.root.value
    }
}

/// The nodes that a walk has come by.
#[derive(Debug)]
pub(super) struct Way<'t, T> {
    end: &'t Node<T>,
    above: Above<'t, T>,
    /// Whether the whole path is in the tree, not only some of its first elements.
    whole: bool,
}

/// Nodes from the root on.
#[derive(Debug)]
struct Above<'t, T> {
    near: [Option<&'t Node<T>>; NEAR_MAX],
    count: usize,
    far: Vec<&'t Node<T>>,
}

impl<'t, T> Above<'t, T> {
    fn push(&mut self, node: &'t Node<T>) {
        match self.near.get_mut(self.count) {
            Some(slot) => *slot = Some(node),
            None => self.far.push(node),
        }
        self.count += 1;
    }
}

impl<'t, T> Way<'t, T> {
    /// The value at the path, if the whole path is in the tree.
    pub(super) fn whole(&self) -> Option<&'t T> {
        self.whole.then_some(&self.end.value)
    }

    /// The values on the way from its end up to the root, each with the bytes of its path.
    pub(super) fn up(&self) -> impl Iterator<Item = (usize, &'t T)> {
        let near = self.above.near.iter().flatten();
        let above = near.chain(&self.above.far).rev();
        let nodes = std::iter::once(self.end).chain(above.copied());
        nodes.map(|node| (node.length, &node.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_along_whole_elements() {
        let tree = tree(&["", "/a", "/a/", "/a/b", "/a/b/c/d"]);
        for (path, way, whole) in [
            ("/", &[""][..], false),
            ("/a", &["/a", ""], true),
            ("/a/", &["/a/", "/a", ""], true),
            ("/ab", &[""], false),
            ("/a/b/c", &["/a/b", "/a", ""], true),
            ("/a/b/x", &["/a/b", "/a", ""], false),
            ("/a//b", &["/a/", "/a", ""], false),
        ] {
            assert_eq!(tree.walk(path).whole().is_some(), whole, "{path}");
            assert_eq!(up(&tree, path), way, "{path}");
        }
        assert_eq!(tree.walk("*").up().count(), 1);
    }

    #[test]
    fn a_walk_of_many_elements_comes_back_by_all_of_them() {
        let paths: Vec<String> = (0..30).map(|depth| "/x".repeat(depth)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let tree = tree(&paths);
        let upwards: Vec<&str> = paths.iter().rev().copied().collect();
        assert_eq!(up(&tree, &"/x".repeat(40)), upwards);
    }

    #[test]
    fn what_is_vacant_does_not_stay() {
        let mut tree = tree(&["/a/b", "/a/b/c/d", "/e"]);
        let before = tree.clone();
        for path in ["/a/b/c/d", "/e", "/never", "*"] {
            tree.edit(path, Option::is_none, |it| *it = None);
        }
        assert_eq!(tree.walk("/a/b/c/d").up().count(), 3);
        assert_eq!(tree.walk("/e").up().count(), 1);
        assert_eq!(up(&before, "/a/b/c/d"), ["/a/b/c/d", "/a/b"]);
        tree.edit("/a/b", Option::is_none, |it| *it = None);
        assert!(tree.is_empty());
    }

    type Tree<'p> = PathTree<Option<&'p str>>;

    fn tree<'p>(paths: &[&'p str]) -> Tree<'p> {
        let mut tree = PathTree::default();
        for path in paths {
            tree.edit(path, Option::is_none, |it| *it = Some(*path));
        }
        tree
    }

    /// The values on the way up.
    fn up<'p>(tree: &Tree<'p>, path: &str) -> Vec<&'p str> {
        let way = tree.walk(path);
        let values = way.up().filter_map(|(length, value)| {
            assert!(value.is_none_or(|path| path.len() == length));
            *value
        });
        values.collect()
    }
}
