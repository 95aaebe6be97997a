//! Fitting: linear discriminants by ridge regression, and thresholds, on paintings whose leaves are known.

use super::{Annotator, LeafModel, MEASURED_FROM, SideModel, WEIGHT_UNIT};
use crate::{
    dataset::StudioError,
    knobs::Knobs,
    leaves::LeafKnob,
    measure::{Measures, SIDE},
    painting::PaintingSpec,
};
use atelier_criteria::Side;
use image::{RgbImage, imageops};
use rayon::prelude::*;
use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

/// What to fit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitOptions {
    /// Seed of the paintings.
    pub seed: u64,
    /// How many paintings; each has five to nine active leaves.
    pub paintings: u64,
}

/// Strength of the ridge: as if so many paintings had told nothing. From 3 to 300 the quality hardly changes.
const RIDGE: f64 = 100.0;
/// A side that is found more often by mistake than this is not reported.
const LEAST_PRECISION: f64 = 0.4;
/// A side that is found more rarely than this is not reported.
const LEAST_RECALL: f64 = 0.2;

/// A painting's measures and what it shows.
pub(super) struct Observation {
    pub measures: Vec<f32>,
    pub knobs: Knobs,
}

/// Paints and measures; every other painting is softened a little when `softened`, as an autoencoder would. Ends with
/// [`StudioError::Cancelled`] when `progress` breaks.
pub(super) fn observe(
    seed: u64,
    paintings: u64,
    softened: impl Fn(u64) -> bool + Sync,
    progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<Vec<Observation>, StudioError> {
    let done = AtomicU64::new(0);
    (0..paintings)
        .into_par_iter()
        .map(|index| {
            let spec = PaintingSpec::from_seed(seed, index);
            let painting = spec.paint(SIDE);
            let picture = if softened(index) { soften(&painting) } else { painting };
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if progress(done).is_break() {
                return Err(StudioError::Cancelled { done, total: paintings });
            }
            Ok(Observation { measures: Measures::of(&picture).values().to_vec(), knobs: spec.knobs })
        })
        .collect()
}

fn soften(picture: &RgbImage) -> RgbImage {
    imageops::filter3x3(picture, &[0.04, 0.12, 0.04, 0.12, 0.36, 0.12, 0.04, 0.12, 0.04])
}

impl Annotator {
    /// Fits weights on three quarters of the paintings and thresholds on the last. `progress` is told paintings measured, and
    /// cancels with `Break`.
    ///
    /// # Errors
    /// [`StudioError::Options`] for too few paintings, [`StudioError::Cancelled`].
    pub fn fit(
        options: FitOptions,
        progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
    ) -> Result<Self, StudioError> {
        let (found, least) = (options.paintings, FitOptions::LEAST_PAINTINGS);
        if found < least {
            return Err(StudioError::Options(format!("{found} paintings: a fit needs {least} at least")));
        }
        let observations = observe(options.seed, options.paintings, |index| index % 2 == 1, progress)?;
        let names = Measures::of(&RgbImage::new(1, 1)).names().to_vec();
        let (means, deviations) = moments(&observations, names.len());
        let mut annotator = Self { measures: names, means, deviations, leaves: Vec::new() };
        let rows: Vec<Vec<f32>> = observations.iter().map(|o| annotator.normalised(&o.measures)).collect();
        let (fitted, rest) = rows.split_at(rows.len() * 3 / 4);
        let (known, held_out) = observations.split_at(fitted.len());
        let targets: Vec<(LeafKnob, Side)> = LeafKnob::ALL
            .into_iter()
            .flat_map(|leaf| [(leaf, Side::Positive), (leaf, Side::Negative)])
            .collect();
        let discriminants = Regression::new(fitted, annotator.measures.len());
        let mut sides = targets
            .par_iter()
            .map(|(leaf, side)| discriminants.fit(|index| known[index].knobs.side(*leaf) == Some(*side)))
            .collect::<Vec<_>>()
            .into_iter();
        for leaf in LeafKnob::ALL {
            let (Some(positive), Some(negative)) = (sides.next(), sides.next()) else { break };
            let mut model = LeafModel { leaf: leaf.id().to_owned(), auc: 0.5, positive, negative };
            let estimates: Vec<_> = rest.iter().map(|row| model.estimates(row)).collect();
            let shown = || held_out.iter().map(|observation| observation.knobs.side(leaf));
            model.auc =
                auc(&estimates.iter().map(|estimates| estimates.score()).zip(shown()).collect::<Vec<_>>());
            if model.auc >= MEASURED_FROM {
                let showing = |side| shown().map(move |shown| shown == Some(side));
                let positives = estimates.iter().map(|estimates| estimates.positive);
                let negatives = estimates.iter().map(|estimates| estimates.negative);
                model.positive.threshold = threshold(positives.zip(showing(Side::Positive)).collect());
                model.negative.threshold = threshold(negatives.zip(showing(Side::Negative)).collect());
            }
            annotator.leaves.push(model);
        }
        Ok(annotator)
    }
}

impl FitOptions {
    /// Fewer show no leaf on both sides often enough to tell them apart.
    pub const LEAST_PAINTINGS: u64 = 100;
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

/// Ridge regression of many targets on the same measures; the bias is not regularised. Regression on an indicator gives
/// Fisher's linear discriminant, with the covariance of all paintings (Hastie, Tibshirani, Friedman 2009, section 4.2).
struct Regression {
    /// One per measure, and a last one of ones for the bias.
    columns: Vec<Vec<f32>>,
    /// The Cholesky factor of the columns' products.
    factor: Vec<f64>,
}

impl Regression {
    fn new(rows: &[Vec<f32>], measures: usize) -> Self {
        let mut columns: Vec<Vec<f32>> =
            (0..measures).map(|index| rows.iter().map(|row| row[index]).collect()).collect();
        columns.push(vec![1.0; rows.len()]);
        let size = columns.len();
        let products = |i: usize| {
            let columns = &columns;
            let ridge = if i == measures { 1e-6 } else { RIDGE };
            (0..size).map(move |j| match i.cmp(&j) {
                std::cmp::Ordering::Greater => product(&columns[i], &columns[j]),
                std::cmp::Ordering::Equal => product(&columns[i], &columns[i]) + ridge,
                std::cmp::Ordering::Less => 0.0,
            })
        };
        let mut factor: Vec<f64> = (0..size).into_par_iter().flat_map_iter(products).collect();
        factorise(&mut factor, size);
        Self { columns, factor }
    }

    /// Weights and bias that estimate an indicator, without a threshold.
    fn fit(&self, indicator: impl Fn(usize) -> bool) -> SideModel {
        let rows: Vec<usize> = (0..self.columns[0].len()).filter(|row| indicator(*row)).collect();
        let right =
            self.columns.iter().map(|column| rows.iter().map(|row| f64::from(column[*row])).sum()).collect();
        let mut weights = substitute(&self.factor, right);
        let bias = weights.pop().unwrap_or_default();
        let weights = weights.into_iter().map(|weight| (weight / WEIGHT_UNIT).round() as i32).collect();
        SideModel { bias, threshold: None, weights }
    }
}

fn product(one: &[f32], other: &[f32]) -> f64 {
    // Sums of a few at a time in single precision are exact enough, and four times as fast.
    let chunks = one.chunks(16).zip(other.chunks(16));
    chunks.map(|(one, other)| f64::from(one.iter().zip(other).map(|(x, y)| x * y).sum::<f32>())).sum()
}

/// Turns the lower triangle of a positive definite matrix into its Cholesky factor.
fn factorise(matrix: &mut [f64], size: usize) {
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
}

/// Solves for the right side, given the Cholesky factor of the matrix.
fn substitute(factor: &[f64], mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for i in 0..size {
        let sum: f64 = (0..i).map(|j| factor[i * size + j] * right[j]).sum();
        right[i] = (right[i] - sum) / factor[i * size + i];
    }
    for i in (0..size).rev() {
        let sum: f64 = (i + 1..size).map(|j| factor[j * size + i] * right[j]).sum();
        right[i] = (right[i] - sum) / factor[i * size + i];
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
        // On a disc the discriminant's direction is that of the rule, whatever the threshold.
        let square = (0..6400).map(|i| vec![(i % 80) as f32 / 39.5 - 1.0, (i / 80) as f32 / 39.5 - 1.0]);
        let rows: Vec<Vec<f32>> =
            square.filter(|row: &Vec<f32>| row[0].powi(2) + row[1].powi(2) < 1.0).collect();
        let shows = |row: &[f32]| 2.0 * row[0] - row[1] > 0.3;
        let model = Regression::new(&rows, 2).fit(|index| shows(&rows[index]));
        let ratio = f64::from(model.weights[0]) / f64::from(model.weights[1]);
        // The disc is made of pixels: its corners turn the direction by about a hundredth.
        assert!((ratio + 2.0).abs() < 0.06, "{model:?}");
        let mean = |side: bool| {
            let of_side: Vec<f64> =
                rows.iter().filter(|row| shows(row) == side).map(|row| model.estimate(row)).collect();
            of_side.iter().sum::<f64>() / of_side.len() as f64
        };
        assert!(mean(true) > 0.6 && mean(false) < 0.4, "{} {}", mean(true), mean(false));
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
        factorise(&mut matrix, 2);
        let solution = substitute(&matrix, vec![2.0, 5.0]);
        // 4x + 2y = 2 and 2x + 3y = 5.
        assert!((solution[0] + 0.5).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12, "{solution:?}");
    }
}
