//! Paths by their elements: what a walk costs depends on the path that is looked up, not on how many are in the tree.

use std::collections::HashMap;

use super::steps;

/// The root's position: the element before the first slash, which every path has.
const ROOT: usize = 0;

/// Values at paths. `/a/b` has the elements `a` and `b`, `/a/` has `a` and the empty one; the root is the empty path.
#[derive(Debug)]
pub(super) struct PathTree<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug, Default)]
struct Node<T> {
    children: HashMap<Box<str>, usize>,
    /// None: the root.
    parent: Option<usize>,
    /// The bytes of its path.
    length: usize,
    value: T,
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    node: usize,
    /// Whether the whole path is in the tree, not only some of its first elements.
    pub(super) whole: bool,
}

impl<T: Default> PathTree<T> {
    /// A tree with the root alone.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// The value at a path that is empty or starts with a slash, made if it is not there; nothing for other paths, which
    /// no request has.
    pub(super) fn entry(&mut self, path: &str) -> Option<&mut T> {
        let mut node = ROOT;
        if !path.is_empty() {
            for element in path.strip_prefix('/')?.split('/') {
                node = match self.child(node, element) {
                    Some(child) => child,
                    None => self.add(node, element)?,
                };
            }
        }
        self.nodes.get_mut(node).map(|node| &mut node.value)
    }

    fn add(&mut self, parent: usize, element: &str) -> Option<usize> {
        let child = self.nodes.len();
        let above = self.nodes.get_mut(parent)?;
        above.children.insert(element.into(), child);
        let length = above.length + 1 + element.len();
        self.nodes.push(Node {
            parent: Some(parent),
            length,
            ..Node::default()
        });
        Some(child)
    }
}

impl<T> PathTree<T> {
    /// The same paths with other values.
    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> PathTree<U> {
        let nodes = self.nodes.into_iter().map(|node| Node {
            children: node.children,
            parent: node.parent,
            length: node.length,
            value: change(node.value),
        });
        PathTree {
            nodes: nodes.collect(),
        }
    }

    /// Goes along a path as far as the tree has it; a path that does not start with a slash stays at the root.
    pub(super) fn walk(&self, path: &str) -> Reached {
        let mut reached = Reached {
            node: ROOT,
            whole: false,
        };
        let Some(elements) = path.strip_prefix('/') else {
            return reached;
        };
        for element in elements.split('/') {
            steps::count();
            match self.child(reached.node, element) {
                Some(child) => reached.node = child,
                None => return reached,
            }
        }
        reached.whole = true;
        reached
    }

    fn child(&self, node: usize, element: &str) -> Option<usize> {
        self.nodes.get(node)?.children.get(element).copied()
    }

    /// The value at the root.
    pub(super) fn root(&self) -> Option<&T> {
        self.nodes.first().map(|node| &node.value)
    }

    /// The value where a walk ended.
    pub(super) fn at(&self, reached: Reached) -> Option<&T> {
        self.nodes.get(reached.node).map(|node| &node.value)
    }

    /// The values on the way of a walk from its end up to the root, each with the bytes of its path.
    pub(super) fn up(&self, reached: Reached) -> impl Iterator<Item = (usize, &T)> {
        let last = self.nodes.get(reached.node);
        let upwards = std::iter::successors(last, |node| self.nodes.get(node.parent?));
        upwards.map(|node| (node.length, &node.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_along_whole_elements() {
        let mut tree = PathTree::<Option<&str>>::new();
        for path in ["", "/a", "/a/", "/a/b", "/a/b/c/d"] {
            *tree.entry(path).expect("a path") = Some(path);
        }
        for (path, way, whole) in [
            ("/", &[""][..], false),
            ("/a", &["/a", ""], true),
            ("/a/", &["/a/", "/a", ""], true),
            ("/ab", &[""], false),
            ("/a/b/c", &["/a/b", "/a", ""], true),
            ("/a/b/x", &["/a/b", "/a", ""], false),
            ("/a//b", &["/a/", "/a", ""], false),
        ] {
            let reached = tree.walk(path);
            assert_eq!(reached.whole, whole, "{path}");
            let up = tree.up(reached).filter_map(|(length, value)| {
                assert!(value.is_none_or(|path| path.len() == length));
                *value
            });
            assert_eq!(up.collect::<Vec<_>>(), way, "{path}");
        }
        assert_eq!(tree.up(tree.walk("*")).count(), 1);
        assert!(tree.entry("*").is_none());
    }
}
