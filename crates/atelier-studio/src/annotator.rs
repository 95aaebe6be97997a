//! The measured annotator: which attributes a picture shows, found by measuring it.
//!
//! For each leaf of the studio, a score is a weighted sum of [measures](crate::measure), positive where the positive side
//! shows. The weights are fitted on paintings of one set of seeds (ridge-regularised logistic regression) and their quality
//! is reported on another: [`Annotator::evaluate`]. Two thresholds per leaf decide between positive side, negative side and
//! not active. A leaf whose sides cannot be told apart is said to be *not measured* and never reported.

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
pub const MEASURED_FROM: f64 = 0.8;

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
    /// Positive where the positive side shows; log-odds of positive against negative side.
    pub score: f64,
    /// The side that shows, if either does.
    pub side: Option<Side>,
}

/// How one leaf is scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LeafModel {
    leaf: String,
    /// Area under the ROC curve on the paintings that the thresholds were fitted on.
    auc: f64,
    bias: f64,
    /// Scores under it mean the negative side.
    negative_below: f64,
    /// Scores above it mean the positive side.
    positive_above: f64,
    weights: Vec<f32>,
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
        let complete = annotator.leaves.iter().all(|leaf| leaf.weights.len() == annotator.measures.len());
        let lengths = [annotator.means.len(), annotator.deviations.len()];
        if annotator.measures != expected.names() || !complete || lengths != [annotator.measures.len(); 2] {
            return Err(AnnotatorError::Measures {
                found: annotator.measures.len(),
                expected: expected.names().len(),
            });
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
        let normalised = self.normalised(&Measures::of(picture));
        let measured = self.leaves.iter().filter(|model| model.auc >= MEASURED_FROM);
        measured
            .filter_map(|model| {
                let score = model.score(&normalised);
                Some(LeafMeasure { leaf: LeafKnob::from_id(&model.leaf)?, score, side: model.side(score) })
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

    fn normalised(&self, measures: &Measures) -> Vec<f32> {
        let scaled = measures.values().iter().zip(&self.means).zip(&self.deviations);
        // A picture unlike any painting must not win by one extreme measure.
        scaled.map(|((value, mean), deviation)| ((value - mean) / deviation).clamp(-4.0, 4.0)).collect()
    }
}

impl LeafModel {
    fn score(&self, normalised: &[f32]) -> f64 {
        let products = self.weights.iter().zip(normalised).map(|(weight, value)| f64::from(weight * value));
        self.bias + products.sum::<f64>()
    }

    fn side(&self, score: f64) -> Option<Side> {
        if score > self.positive_above {
            Some(Side::Positive)
        } else if score < self.negative_below {
            Some(Side::Negative)
        } else {
            None
        }
    }
}
