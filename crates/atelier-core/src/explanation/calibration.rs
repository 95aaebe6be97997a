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
    /// For leaves that were not seen in the annotated pictures.
    pub default: LeafCalibration,
    /// By leaf id.
    pub leaves: BTreeMap<String, LeafCalibration>,
    /// Expected calibration error on held-out observations, in `[0, 1]`, if it was measured.
    pub expected_error: Option<f64>,
}

impl Calibration {
    /// Fits every leaf on `(leaf id, evidence, shows the positive side)`, all leaves sharing the default's scale as
    /// their prior.
    pub fn fit<'a>(observations: impl IntoIterator<Item = (&'a str, f64, bool)>) -> Self {
        let mut by_leaf: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
        for (leaf, evidence, positive) in observations {
            by_leaf.entry(leaf.to_owned()).or_default().push((evidence, positive));
        }
        let all: Vec<(f64, bool)> = by_leaf.values().flatten().copied().collect();
        let spread = (all.iter().map(|(x, _)| x * x).sum::<f64>() / all.len().max(1) as f64).sqrt();
        let prior = if spread > 0.0 { 1.0 / spread } else { 1.0 };
        let default = LeafCalibration::fit(&all, prior);
        let leaves = by_leaf
            .into_iter()
            .map(|(leaf, observations)| (leaf, LeafCalibration::fit(&observations, default.scale)))
            .collect();
        Self { default, leaves, expected_error: None }
    }

    /// As [`Calibration::fit`], with the expected error measured: a fit on two of three observations predicts the others.
    pub fn fit_held_out(observations: &[(String, f64, bool)]) -> Self {
        let part = |held: bool| {
            let chosen = observations.iter().enumerate().filter(move |(index, _)| (index % 3 == 2) == held);
            chosen.map(|(_, (leaf, evidence, positive))| (leaf.as_str(), *evidence, *positive))
        };
        let fitted = Self::fit(part(false));
        let predictions: Vec<(f64, bool)> = part(true)
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
    fn always_wrong_certainty_has_error_one() {
        assert_eq!(expected_calibration_error(&[(1.0, false), (0.0, true)]), 1.0);
    }
}
