//! Fitting: ridge-regularised logistic regression and thresholds, on paintings whose leaves are known.

use super::{Annotator, LeafModel, MEASURED_FROM};
use crate::{
    knobs::Knobs,
    leaves::LeafKnob,
    measure::{Measures, SIDE},
    painting::PaintingSpec,
};
use atelier_criteria::Side;
use image::{RgbImage, imageops};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// What to fit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitOptions {
    /// Seed of the paintings.
    pub seed: u64,
    /// How many paintings; each has five to nine active leaves.
    pub paintings: u64,
}

/// Strength of the ridge, in units of normalised weights: chosen on paintings between fitting and evaluation.
const RIDGE: f64 = 12.0;
/// Newton's method needs no more on a strictly convex loss.
const ITERATIONS: usize = 12;
/// A side that is found more often by mistake than this is not reported.
const LEAST_PRECISION: f64 = 0.4;
/// A side that is found more rarely than this is not reported.
const LEAST_RECALL: f64 = 0.2;

/// A painting's measures and what it shows.
pub(super) struct Observation {
    pub measures: Vec<f32>,
    pub knobs: Knobs,
}

/// Paints and measures; every other painting is softened a little when `softened`, as an autoencoder would.
pub(super) fn observe(
    seed: u64,
    paintings: u64,
    softened: impl Fn(u64) -> bool + Sync,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<Observation> {
    let done = AtomicU64::new(0);
    (0..paintings)
        .into_par_iter()
        .map(|index| {
            let spec = PaintingSpec::from_seed(seed, index);
            let painting = spec.paint(SIDE);
            let picture = if softened(index) { soften(&painting) } else { painting };
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Observation { measures: Measures::of(&picture).values().to_vec(), knobs: spec.knobs }
        })
        .collect()
}

fn soften(picture: &RgbImage) -> RgbImage {
    imageops::filter3x3(picture, &[0.04, 0.12, 0.04, 0.12, 0.36, 0.12, 0.04, 0.12, 0.04])
}

impl Annotator {
    /// Fits weights on three quarters of the paintings and thresholds on the last. `progress` is told paintings measured.
    #[must_use]
    pub fn fit(options: FitOptions, progress: &(dyn Fn(u64) + Sync)) -> Self {
        let observations = observe(options.seed, options.paintings, |index| index % 2 == 1, progress);
        let names = Measures::of(&RgbImage::new(1, 1)).names().to_vec();
        let (means, deviations) = moments(&observations, names.len());
        let mut annotator = Self { measures: names, means, deviations, leaves: Vec::new() };
        let rows: Vec<Vec<f32>> = observations
            .iter()
            .map(|observation| {
                let scaled = observation.measures.iter().zip(&annotator.means).zip(&annotator.deviations);
                scaled
                    .map(|((value, mean), deviation)| ((value - mean) / deviation).clamp(-4.0, 4.0))
                    .collect()
            })
            .collect();
        let fitted = observations.len() * 3 / 4;
        annotator.leaves = LeafKnob::ALL
            .into_par_iter()
            .map(|leaf| {
                let side = |index: usize| observations[index].knobs.side(leaf);
                let examples: Vec<(&[f32], bool)> = (0..fitted)
                    .filter_map(|index| Some((rows[index].as_slice(), side(index)? == Side::Positive)))
                    .collect();
                let (weights, bias) = logistic_regression(&examples, annotator.measures.len());
                let mut model = LeafModel {
                    leaf: leaf.id().to_owned(),
                    auc: 0.5,
                    bias,
                    negative_below: f64::MIN,
                    positive_above: f64::MAX,
                    weights,
                };
                let scores: Vec<(f64, Option<Side>)> =
                    (fitted..rows.len()).map(|index| (model.score(&rows[index]), side(index))).collect();
                model.auc = auc(&scores);
                if model.auc >= MEASURED_FROM {
                    let above = |side| {
                        scores.iter().map(move |(score, shown)| (*score, *shown == Some(side))).collect()
                    };
                    let below: Vec<(f64, bool)> = scores
                        .iter()
                        .map(|(score, shown)| (-score, *shown == Some(Side::Negative)))
                        .collect();
                    model.positive_above = threshold(above(Side::Positive)).unwrap_or(f64::MAX);
                    model.negative_below = threshold(below).map_or(f64::MIN, |value| -value);
                }
                model
            })
            .collect();
        annotator
    }
}

fn moments(observations: &[Observation], count: usize) -> (Vec<f32>, Vec<f32>) {
    let number = observations.len().max(1) as f64;
    let mean = |power: &dyn Fn(f64, usize) -> f64, measure: usize| {
        observations.iter().map(|o| power(f64::from(o.measures[measure]), measure)).sum::<f64>() / number
    };
    let means: Vec<f64> = (0..count).map(|measure| mean(&|value, _| value, measure)).collect();
    let deviations = (0..count)
        .map(|measure| {
            mean(&|value, measure| (value - means[measure]).powi(2), measure).sqrt().max(1e-6) as f32
        })
        .collect();
    (means.iter().map(|mean| *mean as f32).collect(), deviations)
}

/// Newton's method on the ridge-regularised log-likelihood; the bias is not regularised.
fn logistic_regression(examples: &[(&[f32], bool)], count: usize) -> (Vec<f32>, f64) {
    let size = count + 1;
    let mut weights = vec![0.0_f64; size];
    for _ in 0..ITERATIONS {
        let mut gradient = vec![0.0_f64; size];
        let mut hessian = vec![0.0_f64; size * size];
        for (row, outcome) in examples {
            let score =
                weights[count] + row.iter().zip(&weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>();
            let probability = 1.0 / (1.0 + libm::exp(-score));
            let error = probability - f64::from(u8::from(*outcome));
            let curvature = (probability * (1.0 - probability)).max(1e-6);
            let value = |index: usize| if index == count { 1.0 } else { f64::from(row[index]) };
            for i in 0..size {
                let x = value(i);
                gradient[i] += error * x;
                let scaled = curvature * x;
                let line = &mut hessian[i * size..i * size + i + 1];
                for (j, cell) in line.iter_mut().enumerate() {
                    *cell += scaled * value(j);
                }
            }
        }
        for i in 0..size {
            let ridge = if i == count { 1e-6 } else { RIDGE };
            gradient[i] += ridge * weights[i];
            hessian[i * size + i] += ridge;
        }
        let step = solve(&mut hessian, gradient, size);
        let length = step.iter().map(|s| s * s).sum::<f64>().sqrt();
        weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= step);
        if length < 1e-4 {
            break;
        }
    }
    let bias = weights[count];
    weights.truncate(count);
    // Four significant digits decide the same and make a smaller file.
    (weights.into_iter().map(|weight| ((weight * 1e4).round() / 1e4) as f32).collect(), bias)
}

/// Solves `matrix x = right` for a positive definite matrix given by its lower triangle (Cholesky).
fn solve(matrix: &mut [f64], mut right: Vec<f64>, size: usize) -> Vec<f64> {
    for i in 0..size {
        for j in 0..=i {
            let (before, rest) = matrix.split_at(i * size);
            let products =
                |row: &[f64], other: &[f64]| row.iter().zip(other).map(|(x, y)| x * y).sum::<f64>();
            let sum = if i == j {
                rest[i] - products(&rest[..j], &rest[..j])
            } else {
                rest[j] - products(&rest[..j], &before[j * size..j * size + j])
            };
            matrix[i * size + j] = if i == j { sum.max(1e-12).sqrt() } else { sum / matrix[j * size + j] };
        }
    }
    for i in 0..size {
        let sum: f64 = (0..i).map(|j| matrix[i * size + j] * right[j]).sum();
        right[i] = (right[i] - sum) / matrix[i * size + i];
    }
    for i in (0..size).rev() {
        let sum: f64 = (i + 1..size).map(|j| matrix[j * size + i] * right[j]).sum();
        right[i] = (right[i] - sum) / matrix[i * size + i];
    }
    right
}

/// The area under the ROC curve of positive against negative sides: the chance that a painting with the positive side
/// scores higher than one with the negative side.
pub(super) fn auc(scores: &[(f64, Option<Side>)]) -> f64 {
    let mut known: Vec<(f64, bool)> =
        scores.iter().filter_map(|(score, side)| Some((*score, (*side)? == Side::Positive))).collect();
    known.sort_by(|x, y| x.0.total_cmp(&y.0));
    let positives = known.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = known.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 0.5;
    }
    let ranks: f64 =
        (1..).zip(&known).filter(|(_, (_, positive))| *positive).map(|(rank, _)| f64::from(rank)).sum();
    (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// The threshold above which the F1 of finding `true` is largest; none if even that finds too little or too much.
fn threshold(mut scores: Vec<(f64, bool)>) -> Option<f64> {
    scores.sort_by(|x, y| y.0.total_cmp(&x.0));
    let all = scores.iter().filter(|(_, shown)| *shown).count() as f64;
    let mut found = 0.0;
    let mut best = (0.0, None);
    for (index, pair) in scores.windows(2).enumerate() {
        found += f64::from(u8::from(pair[0].1));
        let reported = (index + 1) as f64;
        let quality = 2.0 * found / (reported + all);
        if quality > best.0 && found / reported >= LEAST_PRECISION && found / all >= LEAST_RECALL {
            best = (quality, Some(0.5 * (pair[0].0 + pair[1].0)));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_rule_is_found() {
        let rows: Vec<[f32; 2]> =
            (0..400).map(|i| [(i % 20) as f32 / 10.0 - 1.0, (i / 20) as f32 / 10.0 - 1.0]).collect();
        let examples: Vec<(&[f32], bool)> =
            rows.iter().map(|row| (row.as_slice(), 2.0 * row[0] - row[1] > 0.3)).collect();
        let (weights, bias) = logistic_regression(&examples, 2);
        // The ridge shrinks both alike, so their ratio is that of the rule.
        assert!((weights[0] / weights[1] + 2.0).abs() < 0.2, "{weights:?}");
        assert!((f64::from(weights[1]) * -0.3 - -bias).abs() < 1.2 && bias < 0.0, "{weights:?} {bias}");
    }

    #[test]
    fn the_area_under_the_curve_counts_pairs() {
        let side = |positive| Some(if positive { Side::Positive } else { Side::Negative });
        let scores =
            [(0.1, side(false)), (0.4, side(true)), (0.35, side(false)), (0.8, side(true)), (0.9, None)];
        assert_eq!(auc(&scores), 1.0);
        let scores = [(0.5, side(false)), (0.4, side(true)), (0.3, side(false)), (0.8, side(true))];
        assert_eq!(auc(&scores), 0.75);
    }

    #[test]
    fn a_threshold_lies_between_what_it_separates() {
        let scores = vec![(3.0, true), (2.0, true), (1.0, false), (0.0, false)];
        assert_eq!(threshold(scores), Some(1.5));
        assert_eq!(threshold((0..100).map(|i| (f64::from(i), i % 10 == 0)).collect()), None);
    }

    #[test]
    fn cholesky_solves() {
        let mut matrix = vec![4.0, 0.0, 2.0, 3.0];
        let solution = solve(&mut matrix, vec![2.0, 5.0], 2);
        // 4x + 2y = 2 and 2x + 3y = 5.
        assert!((solution[0] + 0.5).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12, "{solution:?}");
    }
}
