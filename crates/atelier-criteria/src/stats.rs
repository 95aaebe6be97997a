//! Counting.

use crate::CriteriaTree;
use serde::Serialize;

/// The size of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Dimensions.
    pub roots: usize,
    /// Leaves, each a pair of attributes.
    pub pairs: usize,
    /// The deepest level; a dimension is level 1.
    pub depth: usize,
    /// All nodes, dimensions and leaves included.
    pub nodes: usize,
    /// The same for each dimension, in tree order.
    pub dimensions: Vec<DimensionStats>,
}

/// The size of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DimensionStats {
    /// The dimension's id.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Leaves.
    pub pairs: usize,
    /// The deepest level.
    pub depth: usize,
    /// All nodes, the dimension and its leaves included.
    pub nodes: usize,
}

impl CriteriaTree {
    /// The size of the tree and of each dimension.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let dimensions: Vec<DimensionStats> = self
            .roots()
            .map(|root| DimensionStats {
                id: root.id().to_owned(),
                name: root.name().to_owned(),
                pairs: root.leaves().len(),
                depth: root.walk().map(crate::Node::depth).max().unwrap_or(1),
                nodes: root.walk().count(),
            })
            .collect();
        Stats {
            roots: dimensions.len(),
            pairs: self.leaves().len(),
            depth: dimensions.iter().map(|dimension| dimension.depth).max().unwrap_or(0),
            nodes: self.walk().count(),
            dimensions,
        }
    }
}
