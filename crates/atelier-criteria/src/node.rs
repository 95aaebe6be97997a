//! Walking the tree.

use crate::{CriteriaTree, Leaf};
use std::ops::Range;

/// One node as the tree stores it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeEntry {
    pub id: String,
    pub name: String,
    pub depth: usize,
    /// The leaves below, as indices.
    pub leaves: Range<usize>,
}

/// A dimension, an inner node or a leaf, seen in its tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    tree: &'a CriteriaTree,
    index: usize,
}

impl<'a> Node<'a> {
    fn entry(self) -> &'a NodeEntry {
        &self.tree.nodes[self.index]
    }

    /// The full id.
    #[must_use]
    pub fn id(self) -> &'a str {
        &self.entry().id
    }

    /// The name to show.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.entry().name
    }

    /// The level, from 1 for a dimension.
    #[must_use]
    pub fn depth(self) -> usize {
        self.entry().depth
    }

    /// The leaf, if this node is one.
    #[must_use]
    pub fn leaf(self) -> Option<&'a Leaf> {
        self.tree.leaf(self.id())
    }

    /// The leaves below, in tree order; a leaf is below itself.
    #[must_use]
    pub fn leaves(self) -> &'a [Leaf] {
        &self.tree.leaves()[self.leaf_range()]
    }

    /// The positions of the leaves below in [`CriteriaTree::leaves`].
    #[must_use]
    pub fn leaf_range(self) -> Range<usize> {
        self.entry().leaves.clone()
    }

    /// The nodes one level down, in tree order.
    pub fn children(self) -> impl Iterator<Item = Self> {
        self.walk().filter(move |node| node.depth() == self.depth() + 1)
    }

    /// This node and all nodes below, depth first.
    pub fn walk(self) -> impl Iterator<Item = Self> {
        let below = self.tree.walk().skip(self.index + 1).take_while(move |node| node.depth() > self.depth());
        std::iter::once(self).chain(below)
    }
}

impl CriteriaTree {
    /// The dimensions as nodes.
    pub fn roots(&self) -> impl Iterator<Item = Node<'_>> {
        self.walk().filter(|node| node.depth() == 1)
    }

    /// All nodes, depth first; [`Node::depth`] tells the level.
    pub fn walk(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len()).map(|index| Node { tree: self, index })
    }

    /// The dimension, inner node or leaf with the full id `id`.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<Node<'_>> {
        self.walk().find(|node| node.id() == id)
    }
}
