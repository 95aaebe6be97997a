//! The radar chart: what a picture reaches in each dimension, and where that lies in the chart.

use atelier_criteria::CriteriaTree;
use std::f64::consts::TAU;

/// What was read of one leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The leaf's place in the tree.
    pub leaf: usize,
    /// Probability of the positive side.
    pub probability: f64,
    /// Whether its side is certain.
    pub certain: bool,
}

/// For each dimension the mean of `2p - 1` over the leaves whose side is certain, mapped to `[0, 1]`: 1 if all of them show
/// the positive side, 0.5 in balance. None where no leaf is certain.
#[must_use]
pub fn scores(tree: &CriteriaTree, readings: &[Reading]) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_u32); tree.dimensions().len()];
    for reading in readings.iter().filter(|reading| reading.certain) {
        let (sum, count) = &mut sums[tree.leaves()[reading.leaf].dimension];
        *sum += 2.0 * reading.probability - 1.0;
        *count += 1;
    }
    let score = |(sum, count): (f64, u32)| (count > 0).then(|| (sum / f64::from(count) + 1.0) / 2.0);
    sums.into_iter().map(score).collect()
}

/// The point of axis `index` of `count` at `distance` from the middle: the first axis points up, the others follow clockwise;
/// `y` grows downward.
#[must_use]
pub fn point(index: usize, count: usize, distance: f64) -> (f64, f64) {
    let angle = TAU * index as f64 / count as f64;
    (distance * angle.sin(), -distance * angle.cos())
}

/// The points of a polygon with these distances from the middle, as SVG wants them. What is unknown is drawn in balance.
#[must_use]
pub fn polygon(scores: &[Option<f64>], radius: f64) -> String {
    let points = scores.iter().enumerate().map(|(index, score)| {
        let (x, y) = point(index, scores.len(), radius * score.unwrap_or(0.5));
        format!("{x:.2},{y:.2}")
    });
    points.collect::<Vec<_>>().join(" ")
}

/// The chart in words, for those who do not see it: `Composition 70 of 100, Color Relations not certain yet`.
#[must_use]
pub fn spoken(tree: &CriteriaTree, scores: &[Option<f64>]) -> String {
    let parts = tree.dimensions().iter().zip(scores).map(|(dimension, score)| match score {
        Some(score) => format!("{} {:.0} of 100", dimension.name, 100.0 * score),
        None => format!("{} not certain yet", dimension.name),
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_axis_points_up_and_the_next_to_the_right() {
        let close = |(x, y): (f64, f64), expected: (f64, f64)| {
            assert!((x - expected.0).abs() < 1e-9 && (y - expected.1).abs() < 1e-9, "{x}, {y}");
        };
        close(point(0, 7, 2.0), (0.0, -2.0));
        close(point(1, 4, 1.0), (1.0, 0.0));
        close(point(2, 4, 1.0), (0.0, 1.0));
    }

    #[test]
    fn a_polygon_has_a_point_for_each_dimension() {
        assert_eq!(
            polygon(&[Some(1.0), None, Some(0.0), Some(0.5)], 10.0),
            "0.00,-10.00 5.00,-0.00 0.00,0.00 -5.00,0.00"
        );
    }

    #[test]
    fn scores_are_means_of_what_is_certain() {
        let tree = CriteriaTree::embedded();
        let reading = |leaf, probability, certain| Reading { leaf, probability, certain };
        let scores = scores(tree, &[reading(0, 1.0, true), reading(1, 0.5, true), reading(2, 0.0, false)]);
        assert_eq!(scores.len(), 7);
        assert_eq!(scores[0], Some(0.75));
        assert!(scores[1..].iter().all(Option::is_none));
        let spoken = spoken(tree, &scores);
        assert!(spoken.starts_with("Composition 75 of 100, Color Relations not certain yet"), "{spoken}");
    }
}
