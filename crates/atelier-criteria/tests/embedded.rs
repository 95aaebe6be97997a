//! The criteria of painting that come with the crate.

use atelier_criteria::{CriteriaTree, Node, Side};
use std::collections::HashSet;

#[test]
fn it_has_seven_dimensions_five_levels_and_246_pairs() {
    let stats = CriteriaTree::embedded().stats();
    assert_eq!((stats.roots, stats.pairs, stats.depth), (7, 246, 5));
    assert_eq!(stats.dimensions.iter().map(|dimension| dimension.pairs).sum::<usize>(), 246);
    assert!(CriteriaTree::embedded().leaves().iter().all(|leaf| leaf.depth() == 5));
    assert_eq!(CriteriaTree::embedded_problems().len(), 0);
}

#[test]
fn crops_change_what_is_about_the_frame_and_flips_change_nothing() {
    let tree = CriteriaTree::embedded();
    for leaf in tree.leaves() {
        let composition = tree.dimension_of(leaf).id == "composition";
        assert!(leaf.changed_by_crop || !composition, "{} is about the frame", leaf.id);
        assert!(!leaf.changed_by_flip, "{} names no side", leaf.id);
        for side in Side::BOTH {
            let attribute = leaf.attribute(side);
            let phrase = attribute.phrase.to_lowercase();
            let about_the_frame =
                ["focus", "placed", "horizon on", "headroom", "corners", "across the picture"];
            if about_the_frame.iter().any(|word| phrase.contains(word)) {
                assert!(leaf.changed_by_crop, "{}: {phrase}", leaf.id);
            }
        }
    }
    let changed = tree.leaves().iter().filter(|leaf| leaf.changed_by_crop).count();
    assert_eq!(changed, 56);
}

#[test]
fn no_two_attributes_are_told_in_the_same_words() {
    let mut seen = HashSet::new();
    for leaf in CriteriaTree::embedded().leaves() {
        for side in Side::BOTH {
            let attribute = leaf.attribute(side);
            assert!(seen.insert(attribute.phrase.to_lowercase()), "{}", attribute.phrase);
            assert!(seen.insert(attribute.explanation.to_lowercase()), "{}", attribute.explanation);
            assert!(attribute.explanation.ends_with('.'), "{} is no sentence", attribute.explanation);
        }
    }
}

#[test]
fn a_walk_meets_every_leaf_once_in_tree_order() {
    let tree = CriteriaTree::embedded();
    let met: Vec<&str> = tree.walk().filter_map(Node::leaf).map(|leaf| leaf.id.as_str()).collect();
    let leaves: Vec<&str> = tree.leaves().iter().map(|leaf| leaf.id.as_str()).collect();
    assert_eq!(met, leaves);
    for node in tree.walk().filter(|node| node.leaf().is_none()) {
        let below: usize = node.children().map(|child| child.leaves().len()).sum();
        assert_eq!(below, node.leaves().len(), "{}", node.id());
    }
}

#[test]
fn a_selection_is_what_lies_below_its_prefixes() {
    let tree = CriteriaTree::embedded();
    let all = tree.select(tree.dimensions().iter().map(|dimension| &dimension.id)).expect("dimensions");
    assert_eq!(all.len(), 246);
    let purity = tree.select(["color-relations.purity", "color-relations.purity.mixture"]).expect("nodes");
    assert_eq!(purity.len(), tree.require_node("color-relations.purity").expect("a node").leaves().len());
    let unknown = tree.select(["color-relations.purty"]).expect_err("no such node").to_string();
    assert!(unknown.contains("color-relations.purity"), "{unknown}");
}

#[test]
fn a_search_puts_names_first_and_needs_every_word() {
    let tree = CriteriaTree::embedded();
    let found = tree.search("Clean MIXTURES");
    assert_eq!(found[0].id, "color-relations.purity.mixture.cleanliness.clean");
    assert!(tree.search("clean mixtures of elephants").is_empty());
    assert!(tree.search("  ").is_empty());
}
