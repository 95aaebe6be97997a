//! The attributes of one picture.

use crate::{CriteriaError, CriteriaTree, Leaf, Side, prompt::Prompt};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The active leaves of one picture, by their full ids: `A_pos` and `A_neg` of the paper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// Leaves in which the picture succeeds.
    pub positive: Vec<String>,
    /// Leaves in which it fails.
    pub negative: Vec<String>,
}

impl Labels {
    /// The ids of one side.
    #[must_use]
    pub fn side(&self, side: Side) -> &[String] {
        match side {
            Side::Positive => &self.positive,
            Side::Negative => &self.negative,
        }
    }

    /// Whether no leaf is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positive.is_empty() && self.negative.is_empty()
    }

    /// Checks that every leaf is in `tree` and is labelled once.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`], [`CriteriaError::BothSides`] or [`CriteriaError::RepeatedLabel`] for the first leaf
    /// at fault.
    pub fn validate(&self, tree: &CriteriaTree) -> Result<(), CriteriaError> {
        let mut seen: HashMap<&str, Side> = HashMap::new();
        for side in Side::BOTH {
            for id in self.side(side) {
                tree.require_leaf(id)?;
                match seen.insert(id, side) {
                    None => {}
                    Some(first) if first == side => {
                        return Err(CriteriaError::RepeatedLabel { leaf: id.clone(), side });
                    }
                    Some(_) => return Err(CriteriaError::BothSides { leaf: id.clone() }),
                }
            }
        }
        Ok(())
    }

    /// The labels whose leaf `holds`, for instance in a part of the picture.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] if a leaf is not in `tree`.
    pub fn filter(&self, tree: &CriteriaTree, holds: impl Fn(&Leaf) -> bool) -> Result<Self, CriteriaError> {
        let side = |ids: &[String]| -> Result<Vec<String>, CriteriaError> {
            let mut kept = Vec::new();
            for id in ids {
                if holds(tree.require_leaf(id)?) {
                    kept.push(id.clone());
                }
            }
            Ok(kept)
        };
        Ok(Self { positive: side(&self.positive)?, negative: side(&self.negative)? })
    }

    /// The score of the picture, `#A_pos - #A_neg`, which ranks the pictures of one caption.
    #[must_use]
    pub fn score(&self) -> i64 {
        self.positive.len() as i64 - self.negative.len() as i64
    }

    /// The phrases of one side, in the order of the labels.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] if a leaf is not in `tree`.
    pub fn phrases(&self, tree: &CriteriaTree, side: Side) -> Result<Vec<String>, CriteriaError> {
        let phrase = |id: &String| Ok(tree.require_leaf(id)?.attribute(side).phrase.clone());
        self.side(side).iter().map(phrase).collect()
    }

    /// The prompt of the picture: its caption and the phrases of both sides.
    ///
    /// # Errors
    /// As [`Labels::phrases`], and [`CriteriaError::Prompt`] if the template cannot hold the caption.
    pub fn prompt(&self, caption: &str, tree: &CriteriaTree) -> Result<Prompt, CriteriaError> {
        let (positive, negative) = (self.phrases(tree, Side::Positive)?, self.phrases(tree, Side::Negative)?);
        Ok(Prompt::new(caption, positive, negative)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "color-relations.purity.mixture.cleanliness.clean";
    const LEVEL: &str = "composition.division.horizon.levelness.level";

    fn labels(positive: &[&str], negative: &[&str]) -> Labels {
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Labels { positive: own(positive), negative: own(negative) }
    }

    #[test]
    fn a_leaf_is_labelled_once_and_on_one_side() {
        let tree = CriteriaTree::embedded();
        labels(&[CLEAN], &[LEVEL]).validate(tree).expect("two leaves");
        let both = labels(&[CLEAN], &[CLEAN]).validate(tree);
        assert!(matches!(both, Err(CriteriaError::BothSides { leaf }) if leaf == CLEAN));
        let twice = labels(&[], &[LEVEL, LEVEL]).validate(tree);
        assert!(matches!(twice, Err(CriteriaError::RepeatedLabel { side: Side::Negative, .. })));
    }

    #[test]
    fn what_a_part_of_the_picture_does_not_show_is_left_out() {
        let tree = CriteriaTree::embedded();
        let cropped = labels(&[CLEAN], &[LEVEL]).filter(tree, |leaf| !leaf.changed_by_crop);
        assert_eq!(cropped.expect("two leaves"), labels(&[CLEAN], &[]));
        assert!(labels(&["no.such.leaf"], &[]).filter(tree, |_| true).is_err());
    }

    #[test]
    fn an_unknown_leaf_gets_the_nearest_ids() {
        let mistyped = CLEAN.replace("color", "colour");
        let error = labels(&[&mistyped], &[]).validate(CriteriaTree::embedded());
        let message = error.expect_err("no such leaf").to_string();
        assert!(message.contains(&mistyped) && message.contains(CLEAN), "{message}");
    }

    #[test]
    fn the_score_weighs_both_sides_against_each_other() {
        assert_eq!(labels(&[CLEAN], &[]).score(), 1);
        assert_eq!(labels(&[], &[CLEAN, LEVEL]).score(), -2);
        assert_eq!(Labels::default().score(), 0);
    }
}
