//! Which readings come first.

use std::cmp::Ordering;

/// What the order needs of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// The leaf's place in the tree.
    pub leaf: usize,
    /// Probability of the positive side.
    pub probability: f64,
    /// Half-width of the probability's range.
    pub error: f64,
}

impl Rank {
    /// How far the range of the probability stays away from a draw, 0 to 0.5; 0 if it reaches it.
    fn margin(self) -> f64 {
        (self.distance() - self.error).max(0.0)
    }

    fn distance(self) -> f64 {
        (self.probability - 0.5).abs()
    }
}

/// The leaves, the most decisive reading first: by what is certain of the distance from a draw, then by the distance itself,
/// then in tree order.
#[must_use]
pub fn most_decisive_first(mut ranks: Vec<Rank>) -> Vec<usize> {
    ranks.sort_by(|a, b| {
        descending(a.margin(), b.margin())
            .then_with(|| descending(a.distance(), b.distance()))
            .then(a.leaf.cmp(&b.leaf))
    });
    ranks.into_iter().map(|rank| rank.leaf).collect()
}

/// A leaf that two pictures were read for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The leaf's place in the tree.
    pub leaf: usize,
    /// Probability of the positive side in the first picture.
    pub before: f64,
    /// Probability of the positive side in the second picture.
    pub after: f64,
}

/// The `count` leaves whose probability changed most, and by at least 5 percent points.
#[must_use]
pub fn largest_changes(mut changes: Vec<Change>, count: usize) -> Vec<Change> {
    let size = |change: &Change| (change.after - change.before).abs();
    changes.retain(|change| size(change) >= 0.05);
    changes.sort_by(|a, b| descending(size(a), size(b)).then(a.leaf.cmp(&b.leaf)));
    changes.truncate(count);
    changes
}

fn descending(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(leaf: usize, probability: f64, error: f64) -> Rank {
        Rank { leaf, probability, error }
    }

    #[test]
    fn certain_readings_come_before_bold_ones() {
        let order = most_decisive_first(vec![
            rank(0, 0.55, 0.2),
            rank(1, 0.9, 0.05),
            rank(2, 0.03, 0.02),
            rank(3, 0.95, 0.3),
            rank(4, 0.7, 0.25),
        ]);
        assert_eq!(order, [2, 1, 3, 4, 0]);
    }

    #[test]
    fn equals_stay_in_tree_order() {
        let order = most_decisive_first(vec![rank(5, 0.5, 0.5), rank(2, 0.5, 0.5), rank(9, 0.5, 0.5)]);
        assert_eq!(order, [2, 5, 9]);
    }

    #[test]
    fn only_what_changed_is_a_change() {
        let change = |leaf, before, after| Change { leaf, before, after };
        let all = vec![change(0, 0.5, 0.52), change(1, 0.2, 0.9), change(2, 0.9, 0.1), change(3, 0.4, 0.5)];
        let leaves = |count| largest_changes(all.clone(), count).iter().map(|c| c.leaf).collect::<Vec<_>>();
        assert_eq!(leaves(9), [2, 1, 3]);
        assert_eq!(leaves(2), [2, 1]);
    }
}
