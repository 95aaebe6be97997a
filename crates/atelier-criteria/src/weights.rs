//! How much each dimension matters to a user.

use crate::{CriteriaError, CriteriaTree, Leaf, ids};

/// The largest weight; only their ratios matter.
const LARGEST: f64 = 1e6;

/// A weight for every dimension. The default weighs all alike, whatever the tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DimensionWeights {
    /// By dimension; a dimension past the end weighs 1.
    weights: Vec<f64>,
}

impl DimensionWeights {
    /// Reads pairs `dimension=weight`, such as `color-relations=2.5`. Dimensions without a pair weigh 1.
    ///
    /// # Errors
    /// [`CriteriaError::UnknownId`] for a dimension that `tree` lacks; [`CriteriaError::Weight`] for a text of another
    /// form, a weight that is negative, not finite or absurdly large, a dimension named twice, or nothing but zeros.
    pub fn parse<P: AsRef<str>>(
        tree: &CriteriaTree,
        pairs: impl IntoIterator<Item = P>,
    ) -> Result<Self, CriteriaError> {
        let mut named: Vec<Option<f64>> = vec![None; tree.dimensions().len()];
        let mut last = String::new();
        for pair in pairs {
            let pair = pair.as_ref();
            let refused =
                |reason: &str| CriteriaError::Weight { pair: pair.to_owned(), reason: reason.to_owned() };
            let (id, weight) = pair.split_once('=').ok_or_else(|| refused("write `dimension=weight`"))?;
            let (id, weight) = (id.trim(), weight.trim());
            let dimension = tree.dimensions().iter().position(|dimension| dimension.id == id);
            let dimension = dimension.ok_or_else(|| unknown_dimension(tree, id))?;
            let weight: f64 = weight.parse().map_err(|_| refused("the weight is not a number"))?;
            if !(0.0..=LARGEST).contains(&weight) {
                return Err(refused("the weight must be a number from 0 to 1000000"));
            }
            if named[dimension].replace(weight).is_some() {
                return Err(refused("this dimension has a weight already"));
            }
            pair.clone_into(&mut last);
        }
        let weights = Self { weights: named.into_iter().map(|weight| weight.unwrap_or(1.0)).collect() };
        if weights.max() > 0.0 {
            Ok(weights)
        } else {
            Err(CriteriaError::Weight {
                pair: last,
                reason: "all dimensions weigh 0; one must count".to_owned(),
            })
        }
    }

    /// The weight of a leaf: that of its dimension.
    #[must_use]
    pub fn of(&self, leaf: &Leaf) -> f64 {
        self.weights.get(leaf.dimension).copied().unwrap_or(1.0)
    }

    /// The largest weight, always positive.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.weights.iter().copied().reduce(f64::max).unwrap_or(1.0)
    }
}

/// Names the dimensions near `id`, or all of them.
fn unknown_dimension(tree: &CriteriaTree, id: &str) -> CriteriaError {
    let known = || tree.dimensions().iter().map(|dimension| dimension.id.as_str());
    let mut nearest = ids::nearest(id, known());
    if nearest.is_empty() {
        nearest = known().map(str::to_owned).collect();
    }
    CriteriaError::UnknownId { id: id.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_that_is_not_named_weighs_one() {
        let tree = CriteriaTree::embedded();
        let weights =
            DimensionWeights::parse(tree, ["color-relations=2.5", "composition = 0"]).expect("weights");
        for leaf in tree.leaves() {
            let expected = match tree.dimension_of(leaf).id.as_str() {
                "color-relations" => 2.5,
                "composition" => 0.0,
                _ => 1.0,
            };
            assert_eq!(weights.of(leaf), expected, "{}", leaf.id);
        }
        assert_eq!(weights.max(), 2.5);
        assert_eq!(DimensionWeights::default().max(), 1.0);
    }

    #[test]
    fn a_weight_that_cannot_be_used_is_named() {
        let tree = CriteriaTree::embedded();
        for pair in [
            "composition",
            "composition=heavy",
            "composition=-1",
            "composition=inf",
            "composition=nan",
            "composition=1e300",
            "colour=1",
        ] {
            let message = DimensionWeights::parse(tree, [pair]).expect_err(pair).to_string();
            let named = pair.split('=').next().expect("a name");
            assert!(message.contains(named), "{message}");
        }
        let twice = DimensionWeights::parse(tree, ["composition=1", "composition=2"]);
        assert!(twice.is_err_and(|error| error.to_string().contains("already")));
        let nothing = tree.dimensions().iter().map(|dimension| format!("{}=0", dimension.id));
        assert!(DimensionWeights::parse(tree, nothing).is_err());
    }
}
