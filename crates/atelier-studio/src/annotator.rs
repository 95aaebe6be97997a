//! The measured annotator: which attributes a picture shows, found by measuring it.
//!
//! For either side of each leaf of the studio, a weighted sum of [measures](crate::measure) estimates whether the side shows;
//! the leaf's score is the difference of the two. The weights are linear discriminants, fitted for all leaves at once by
//! ridge regression on paintings of one set of seeds: every painting then teaches every leaf what the other leaves do to
//! the measures. Their quality is reported on another set: [`Annotator::evaluate`]. A threshold for each side decides between
//! positive side, negative side and not active. A leaf whose sides cannot be told apart is said to be *not measured* and
//! never reported; a side that would be reported too often by mistake is not reported either.

mod evaluation;
mod fit;

pub use evaluation::{EvaluationTable, LeafEvaluation};
pub use fit::FitOptions;

use crate::{leaves::LeafKnob, measure::Measures};
use atelier_criteria::{Labels, Side};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use thiserror::Error;

/// Below this area under the ROC curve on held-out paintings a leaf counts as not measured.
pub const MEASURED_FROM: f64 = 0.75;
/// Weights are kept as multiples of this: finer ones change no decision and make a larger file.
const WEIGHT_UNIT: f64 = 1e-4;

/// An annotator cannot be used.
#[derive(Debug, Error)]
pub enum AnnotatorError {
    /// The file does not follow the format.
    #[error("the annotator's weights cannot be read: {0}; fit them anew with `atelier studio fit`")]
    Json(#[from] serde_json::Error),
    /// The weights were fitted for other measures.
    #[error(
        "the annotator's weights are for {found} measures, this version takes {expected}; fit them anew with `atelier studio fit`"
    )]
    Measures {
        /// Measures in the file.
        found: usize,
        /// Measures of this version.
        expected: usize,
    },
}

/// What was measured of one leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeafMeasure {
    /// The leaf.
    pub leaf: LeafKnob,
    /// The estimate for the positive side less that for the negative side: near 1 and -1 where they show clearly.
    pub score: f64,
    /// The side that shows, if either does.
    pub side: Option<Side>,
}

/// How one side of a leaf is estimated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SideModel {
    bias: f64,
    /// Estimates above it mean that the side shows; none if the side is not reported.
    threshold: Option<f64>,
    /// In units of [`WEIGHT_UNIT`].
    weights: Vec<i32>,
}

/// How one leaf is scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LeafModel {
    leaf: String,
    /// Area under the ROC curve on the paintings that the thresholds were fitted on.
    auc: f64,
    positive: SideModel,
    negative: SideModel,
}

/// Scores pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Annotator {
    measures: Vec<String>,
    /// Mean of each measure over the fitted paintings.
    means: Vec<f32>,
    /// Standard deviation of each measure over the fitted paintings.
    deviations: Vec<f32>,
    leaves: Vec<LeafModel>,
}

impl Annotator {
    /// The annotator that comes with the crate.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static ANNOTATOR: OnceLock<Annotator> = OnceLock::new();
        let json = include_str!("annotator/fitted.json");
        ANNOTATOR.get_or_init(|| Self::from_json(json).expect("the embedded weights pass their own test"))
    }

    /// Reads weights that [`Annotator::to_json`] wrote.
    ///
    /// # Errors
    /// [`AnnotatorError`] for anything else, and for weights of other measures.
    pub fn from_json(json: &str) -> Result<Self, AnnotatorError> {
        let annotator: Self = serde_json::from_str(json)?;
        let expected = Measures::of(&RgbImage::new(1, 1));
        let count = annotator.measures.len();
        let complete = annotator.sides().all(|side| side.weights.len() == count);
        let lengths = [annotator.means.len(), annotator.deviations.len()];
        if annotator.measures != expected.names() || !complete || lengths != [count; 2] {
            return Err(AnnotatorError::Measures { found: count, expected: expected.names().len() });
        }
        Ok(annotator)
    }

    /// The weights as a file.
    ///
    /// # Errors
    /// [`AnnotatorError::Json`] for numbers that are not finite, which no fit gives.
    pub fn to_json(&self) -> Result<String, AnnotatorError> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The leaves that can be told, in the order of [`LeafKnob::ALL`].
    pub fn measured(&self) -> impl Iterator<Item = LeafKnob> {
        let measured = self.leaves.iter().filter(|model| model.auc >= MEASURED_FROM);
        measured.filter_map(|model| LeafKnob::from_id(&model.leaf))
    }

    /// Measures every leaf that can be told.
    #[must_use]
    pub fn measure(&self, picture: &RgbImage) -> Vec<LeafMeasure> {
        let normalised = self.normalised(Measures::of(picture).values());
        let measured = self.leaves.iter().filter(|model| model.auc >= MEASURED_FROM);
        measured
            .filter_map(|model| {
                let estimates = model.estimates(&normalised);
                let score = estimates.score();
                Some(LeafMeasure {
                    leaf: LeafKnob::from_id(&model.leaf)?,
                    score,
                    side: model.side(estimates),
                })
            })
            .collect()
    }

    /// The leaves that `picture` shows on either side.
    #[must_use]
    pub fn annotate(&self, picture: &RgbImage) -> Labels {
        let measured = self.measure(picture);
        let on = |side| {
            measured
                .iter()
                .filter(|found| found.side == Some(side))
                .map(|found| found.leaf.id().to_owned())
                .collect()
        };
        Labels { positive: on(Side::Positive), negative: on(Side::Negative) }
    }

    fn sides(&self) -> impl Iterator<Item = &SideModel> {
        self.leaves.iter().flat_map(|leaf| [&leaf.positive, &leaf.negative])
    }

    fn normalised(&self, measures: &[f32]) -> Vec<f32> {
        let scaled = measures.iter().zip(&self.means).zip(&self.deviations);
        // A picture unlike any painting must not win by one extreme measure.
        scaled.map(|((value, mean), deviation)| ((value - mean) / deviation).clamp(-4.0, 4.0)).collect()
    }
}

/// The estimates for the two sides of a leaf.
#[derive(Debug, Clone, Copy)]
struct Estimates {
    positive: f64,
    negative: f64,
}

impl Estimates {
    fn score(self) -> f64 {
        self.positive - self.negative
    }
}

impl SideModel {
    fn estimate(&self, normalised: &[f32]) -> f64 {
        let products =
            self.weights.iter().zip(normalised).map(|(weight, value)| f64::from(*weight) * f64::from(*value));
        self.bias + WEIGHT_UNIT * products.sum::<f64>()
    }
}

impl LeafModel {
    fn estimates(&self, normalised: &[f32]) -> Estimates {
        Estimates {
            positive: self.positive.estimate(normalised),
            negative: self.negative.estimate(normalised),
        }
    }

    /// The side whose threshold is passed by more.
    fn side(&self, estimates: Estimates) -> Option<Side> {
        let excess =
            |model: &SideModel, estimate: f64| model.threshold.map_or(f64::MIN, |least| estimate - least);
        let positive = excess(&self.positive, estimates.positive);
        let negative = excess(&self.negative, estimates.negative);
        if positive.max(negative) <= 0.0 {
            None
        } else if positive > negative {
            Some(Side::Positive)
        } else {
            Some(Side::Negative)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::painting::PaintingSpec;

    #[test]
    fn robust_leaves_are_told_apart_on_paintings_of_another_seed() {
        let annotator = Annotator::embedded();
        let (mut right, mut wrong) = (0, 0);
        for index in 0..8 {
            let spec = PaintingSpec::from_seed(0x5eed, index);
            for leaf in [
                LeafKnob::Containment,
                LeafKnob::LivingSurface,
                LeafKnob::WeightedForeground,
                LeafKnob::WarmCool,
            ] {
                let [positive, negative] = [Side::Positive, Side::Negative].map(|side| {
                    let knobs = spec.knobs.clone().with(leaf, Some(side));
                    let picture = crate::painting::paint(&spec.spec, &knobs, crate::measure::SIDE, spec.seed);
                    let found = annotator.measure(&picture).into_iter().find(|found| found.leaf == leaf);
                    found.expect("robust leaves are measured").score
                });
                if positive > negative { right += 1 } else { wrong += 1 }
            }
        }
        // Each has an AUC above 0.99 on held-out paintings.
        assert!(right >= 30, "{right} right, {wrong} wrong");
    }

    #[test]
    fn weights_survive_the_file() {
        let annotator = Annotator::embedded();
        let json = annotator.to_json().expect("written");
        assert_eq!(&Annotator::from_json(&json).expect("read"), annotator);
        assert!(matches!(Annotator::from_json("{}"), Err(AnnotatorError::Json(_))));
        let other = json.replacen("lightness p1", "another measure", 1);
        assert!(matches!(Annotator::from_json(&other), Err(AnnotatorError::Measures { .. })));
    }

    #[test]
    fn leaves_that_cannot_be_told_are_never_reported() {
        let annotator = Annotator::embedded();
        let measured: Vec<&str> = annotator.measured().map(LeafKnob::id).collect();
        for index in 0..4 {
            let labels = annotator.annotate(&PaintingSpec::from_seed(3, index).paint(64));
            assert!(labels.positive.iter().chain(&labels.negative).all(|id| measured.contains(&id.as_str())));
        }
    }
}
