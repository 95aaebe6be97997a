//! From log-odds to probabilities: Platt scaling, per leaf.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `probability = sigmoid(scale * evidence + bias)`, where the evidence is the paired error difference of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeafCalibration {
    /// kappa, in units of one over the squared noise error.
    pub scale: f64,
    /// The log-odds at no evidence.
    pub bias: f64,
}

impl LeafCalibration {
    /// Fits scale and bias on `(evidence, shows the positive side)` by penalised maximum likelihood (Newton's method
    /// on the logistic regression; Platt, 1999). `prior_scale` is where few observations pull the scale to.
    pub fn fit(observations: &[(f64, bool)], prior_scale: f64) -> Self {
        // The evidence is scaled to order one so that one penalty suits every model.
        let unit = 1.0 / prior_scale.abs().max(f64::MIN_POSITIVE);
        let (mut scale, mut bias) = (1.0_f64, 0.0_f64);
        for _ in 0..50 {
            let (mut gradient, mut hessian) =
                ([PENALTY * (scale - 1.0), PENALTY * bias], [PENALTY, 0.0, PENALTY]);
            for &(evidence, positive) in observations {
                let x = evidence / unit;
                let p = sigmoid(scale * x + bias);
                let (error, weight) = (p - f64::from(u8::from(positive)), p * (1.0 - p));
                gradient = [gradient[0] + error * x, gradient[1] + error];
                hessian = [hessian[0] + weight * x * x, hessian[1] + weight * x, hessian[2] + weight];
            }
            let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
            let step = [
                (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
                (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
            ];
            // A long Newton step overshoots where the likelihood is flat.
            let length = step[0].hypot(step[1]);
            let factor = if length > 2.0 { 2.0 / length } else { 1.0 };
            scale -= factor * step[0];
            bias -= factor * step[1];
            if length < 1e-10 {
                break;
            }
        }
        Self { scale: scale / unit, bias }
    }

    /// The probability that the positive side is shown.
    pub fn probability(&self, evidence: f64) -> f64 {
        sigmoid(self.scale * evidence + self.bias)
    }
}

/// The strength of the penalty that keeps the fit finite on separable or scarce observations.
const PENALTY: f64 = 1.0;

/// The calibration of a model, leaf by leaf; stored beside the model as `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// For leaves that are not in `leaves`.
    pub default: LeafCalibration,
    /// By leaf id: the leaves that the model reads, those with an area under the ROC curve of at least [`READ_FROM`].
    pub leaves: BTreeMap<String, LeafCalibration>,
    /// Expected calibration error on held-out observations of `leaves`, in `[0, 1]`, if it was measured.
    pub expected_error: Option<f64>,
    /// Area under the ROC curve of the evidence, by leaf id: of every leaf whose two sides both occurred in the annotated
    /// pictures, also of those that the model does not read.
    #[serde(default)]
    pub areas_under_curve: BTreeMap<String, f64>,
}

/// The smallest area under the ROC curve of a leaf that counts as read; chance is 0.5.
pub const READ_FROM: f64 = 0.6;

impl Calibration {
    /// Fits every leaf that is read on `(leaf id, evidence, shows the positive side)`, all leaves sharing the default's
    /// scale as their prior.
    pub fn fit<'a>(observations: impl IntoIterator<Item = (&'a str, f64, bool)>) -> Self {
        let mut by_leaf: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
        for (leaf, evidence, positive) in observations {
            by_leaf.entry(leaf.to_owned()).or_default().push((evidence, positive));
        }
        let all: Vec<(f64, bool)> = by_leaf.values().flatten().copied().collect();
        let spread = (all.iter().map(|(x, _)| x * x).sum::<f64>() / all.len().max(1) as f64).sqrt();
        let prior = if spread > 0.0 { 1.0 / spread } else { 1.0 };
        let default = LeafCalibration::fit(&all, prior);
        let areas_under_curve: BTreeMap<String, f64> = by_leaf
            .iter()
            .filter_map(|(leaf, observations)| Some((leaf.clone(), area_under_curve(observations)?)))
            .collect();
        let is_read = |leaf: &String| areas_under_curve.get(leaf).is_some_and(|&area| area >= READ_FROM);
        let leaves = by_leaf
            .into_iter()
            .filter(|(leaf, _)| is_read(leaf))
            .map(|(leaf, observations)| (leaf, LeafCalibration::fit(&observations, default.scale)))
            .collect();
        Self { default, leaves, expected_error: None, areas_under_curve }
    }

    /// As [`Calibration::fit`], with the expected error measured: a fit on two of three observations predicts those of the
    /// others that are about leaves which are read.
    pub fn fit_held_out(observations: &[(String, f64, bool)]) -> Self {
        let part = |held: bool| {
            let chosen = observations.iter().enumerate().filter(move |(index, _)| (index % 3 == 2) == held);
            chosen.map(|(_, (leaf, evidence, positive))| (leaf.as_str(), *evidence, *positive))
        };
        let fitted = Self::fit(part(false));
        let predictions: Vec<(f64, bool)> = part(true)
            .filter(|(leaf, ..)| fitted.leaves.contains_key(*leaf))
            .map(|(leaf, evidence, positive)| (fitted.leaf(leaf).probability(evidence), positive))
            .collect();
        let all = observations.iter().map(|(leaf, evidence, positive)| (leaf.as_str(), *evidence, *positive));
        let expected_error = (!predictions.is_empty()).then(|| expected_calibration_error(&predictions));
        Self { expected_error, ..Self::fit(all) }
    }

    /// The calibration of one leaf.
    pub fn leaf(&self, id: &str) -> LeafCalibration {
        self.leaves.get(id).copied().unwrap_or(self.default)
    }
}

/// The area under the ROC curve of `(evidence, outcome)`: the probability that an observation with the outcome has more
/// evidence than one without, ties counting half. None if all outcomes are alike.
pub fn area_under_curve(observations: &[(f64, bool)]) -> Option<f64> {
    let of = |outcome: bool| observations.iter().filter(move |(_, o)| *o == outcome).map(|(x, _)| *x);
    let pairs = of(true).count() * of(false).count();
    let ahead = |x: f64, y: f64| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 };
    let sum: f64 = of(true).flat_map(|x| of(false).map(move |y| ahead(x, y))).sum();
    (pairs > 0).then(|| sum / pairs as f64)
}

/// The expected calibration error over ten equal bins (Naeini et al., 2015) of `(probability, outcome)`: the mean
/// distance between what was promised and what came true.
pub fn expected_calibration_error(predictions: &[(f64, bool)]) -> f64 {
    let mut bins = [(0.0_f64, 0.0_f64); 10];
    for &(probability, outcome) in predictions {
        let bin = &mut bins[((probability * 10.0) as usize).min(9)];
        *bin = (bin.0 + probability, bin.1 + f64::from(u8::from(outcome)));
    }
    bins.iter().map(|(promised, came)| (promised - came).abs()).sum::<f64>() / predictions.len().max(1) as f64
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::NoiseSource;

    #[test]
    fn the_fit_recovers_a_known_scale_and_bias() {
        let mut source = NoiseSource::new(1);
        let truth = LeafCalibration { scale: 300.0, bias: -0.5 };
        let observations: Vec<(f64, bool)> = source
            .normals(20_000)
            .into_iter()
            .map(|z| f64::from(z) * 0.005)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|x| (x, f64::from(source.uniform()) < truth.probability(x)))
            .collect();
        let fitted = LeafCalibration::fit(&observations, 200.0);
        // The standard error of a logistic slope with 20 000 observations is about 2 % here.
        assert!((fitted.scale / truth.scale - 1.0).abs() < 0.08, "{fitted:?}");
        assert!((fitted.bias - truth.bias).abs() < 0.08, "{fitted:?}");
        let predictions: Vec<_> = observations.iter().map(|&(x, y)| (fitted.probability(x), y)).collect();
        assert!(expected_calibration_error(&predictions) < 0.02);
    }

    #[test]
    fn separable_observations_stay_finite() {
        let fitted = LeafCalibration::fit(&[(1e-3, true), (2e-3, true), (-1e-3, false)], 1000.0);
        assert!(fitted.scale.is_finite() && fitted.scale > 0.0, "{fitted:?}");
    }

    #[test]
    fn the_area_counts_pairs_in_the_right_order() {
        assert_eq!(area_under_curve(&[(1.0, true), (2.0, true), (0.5, false)]), Some(1.0));
        assert_eq!(area_under_curve(&[(1.0, true), (1.0, false), (0.0, false), (2.0, false)]), Some(0.5));
        assert_eq!(area_under_curve(&[(1.0, true)]), None);
    }

    #[test]
    fn a_leaf_that_is_not_read_is_left_out_but_its_area_is_told() {
        let observations = |leaf: &'static str, positives: [f64; 2], negatives: [f64; 2]| {
            let of = move |values: [f64; 2], shown| values.map(move |x| (leaf, x, shown));
            of(positives, true).into_iter().chain(of(negatives, false))
        };
        let read = observations("read", [2e-3, 1e-3], [-1e-3, -2e-3]);
        let chance = observations("chance", [2e-3, -2e-3], [1e-3, -1e-3]);
        let one_side = [("one side", 1e-3, true)];
        let calibration = Calibration::fit(read.chain(chance).chain(one_side));
        assert_eq!(calibration.leaves.keys().collect::<Vec<_>>(), ["read"]);
        let areas = &calibration.areas_under_curve;
        assert_eq!(
            areas.iter().map(|(leaf, area)| (leaf.as_str(), *area)).collect::<Vec<_>>(),
            [("chance", 0.5), ("read", 1.0)]
        );
        assert_eq!(calibration.leaf("chance"), calibration.default);
    }

    #[test]
    fn always_wrong_certainty_has_error_one() {
        assert_eq!(expected_calibration_error(&[(1.0, false), (0.0, true)]), 1.0);
    }
}
