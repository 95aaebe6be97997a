//! Inner nodes of the criteria tree: what their active leaves say together.

use super::LeafExplanation;
use atelier_criteria::CriteriaTree;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the leaves below one inner node say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeSummary {
    /// The node's id: a dimension or a prefix of leaf ids.
    pub id: String,
    /// The mean of `2 p - 1` over the active leaves, in `[-1, 1]`; 0 without any.
    pub score: f64,
    /// Leaves below whose sign is certain.
    pub active: usize,
    /// Leaves below that were evaluated.
    pub evaluated: usize,
}

/// Summaries of every inner node that has an evaluated leaf, in the order of their ids.
pub fn summarise(tree: &CriteriaTree, leaves: &[LeafExplanation]) -> Vec<NodeSummary> {
    let mut sums: BTreeMap<&str, (f64, usize, usize)> = BTreeMap::new();
    for explanation in leaves.iter().filter(|leaf| tree.leaf(&leaf.leaf).is_some()) {
        let ends = explanation.leaf.match_indices('.').map(|(at, _)| at);
        for node in ends.map(|end| &explanation.leaf[..end]) {
            let (sum, active, evaluated) = sums.entry(node).or_default();
            *evaluated += 1;
            if explanation.certain {
                *sum += 2.0 * explanation.probability - 1.0;
                *active += 1;
            }
        }
    }
    sums.into_iter()
        .map(|(id, (sum, active, evaluated))| NodeSummary {
            id: id.to_owned(),
            score: if active == 0 { 0.0 } else { sum / active as f64 },
            active,
            evaluated,
        })
        .collect()
}
