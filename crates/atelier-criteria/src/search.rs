//! Finding leaves by words.

use crate::{CriteriaTree, Leaf};

/// How much a word counts by where it stands: in the name, the id, a phrase or an explanation.
const RANKS: [u32; 4] = [8, 4, 2, 1];

impl CriteriaTree {
    /// The leaves with every word of `query` somewhere in their name, id, phrases or explanations, whatever the
    /// capitals. The best come first: a word in the name counts most, then the id, the phrases and the explanations;
    /// equals stay in tree order. A query without words finds nothing.
    #[must_use]
    pub fn search(&self, query: &str) -> Vec<&Leaf> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(u32, &Leaf)> =
            self.leaves().iter().filter_map(|leaf| Some((rank(leaf, &words)?, leaf))).collect();
        found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        found.into_iter().map(|(_, leaf)| leaf).collect()
    }
}

/// The rank of a leaf; `None` if a word is missing.
fn rank(leaf: &Leaf, words: &[String]) -> Option<u32> {
    let texts = [
        leaf.name.to_lowercase(),
        leaf.id.clone(),
        format!("{}\n{}", leaf.positive.phrase, leaf.negative.phrase).to_lowercase(),
        format!("{}\n{}", leaf.positive.explanation, leaf.negative.explanation).to_lowercase(),
    ];
    let mut total = 0;
    for word in words {
        let places = texts.iter().zip(RANKS).filter(|(text, _)| text.contains(word));
        let rank: u32 = places.map(|(_, rank)| rank).sum();
        if rank == 0 {
            return None;
        }
        total += rank;
    }
    Some(total)
}
