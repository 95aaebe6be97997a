//! How well the annotator does on paintings that it was not fitted on.

use super::{Annotator, Estimates, LeafModel, MEASURED_FROM, fit};
use crate::{dataset::StudioError, knobs::Knobs, leaves::LeafKnob};
use atelier_criteria::{CriteriaTree, Side};
use serde::Serialize;
use std::{fmt, ops::ControlFlow};

/// The quality of one leaf's measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeafEvaluation {
    /// The leaf's id.
    pub leaf: String,
    /// Area under the ROC curve, positive against negative sides.
    pub auc: f64,
    /// The same on paintings that were softened as an autoencoder would.
    pub auc_softened: f64,
    /// Whether the leaf counts as measured.
    pub measured: bool,
    /// Estimates of the negative side above it are reported; none if none are.
    pub negative_threshold: Option<f64>,
    /// Estimates of the positive side above it are reported; none if none are.
    pub positive_threshold: Option<f64>,
    /// Of the paintings said to show the negative side, the share that does; none if never said.
    pub negative_precision: Option<f64>,
    /// Of the paintings that show the negative side, the share that is found.
    pub negative_recall: f64,
    /// Of the paintings said to show the positive side, the share that does; none if never said.
    pub positive_precision: Option<f64>,
    /// Of the paintings that show the positive side, the share that is found.
    pub positive_recall: f64,
}

/// The quality of all leaves; printed as a table in Markdown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationTable {
    /// Seed of the held-out paintings.
    pub seed: u64,
    /// Number of held-out paintings.
    pub paintings: u64,
    /// One entry per leaf, in the order of [`LeafKnob::ALL`].
    pub leaves: Vec<LeafEvaluation>,
}

impl Annotator {
    /// Measures held-out paintings: take a seed that was not fitted on. `progress` is told paintings measured, of twice as
    /// many as `paintings`, and cancels with `Break`.
    ///
    /// # Errors
    /// [`StudioError::Cancelled`].
    pub fn evaluate(
        &self,
        seed: u64,
        paintings: u64,
        progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
    ) -> Result<EvaluationTable, StudioError> {
        let sharp = fit::observe(seed, paintings, |_| false, progress)?;
        let soft = fit::observe(seed, paintings, |_| true, &|done| progress(paintings + done))?;
        let normalised = |observations: Vec<fit::Observation>| -> Vec<(Vec<f32>, Knobs)> {
            observations.into_iter().map(|o| (self.normalised(&o.measures), o.knobs)).collect()
        };
        let (sharp, soft) = (normalised(sharp), normalised(soft));
        let estimates = |model: &LeafModel, leaf: LeafKnob, paintings: &[(Vec<f32>, Knobs)]| -> Vec<Found> {
            paintings.iter().map(|(row, knobs)| (model.estimates(row), knobs.side(leaf))).collect()
        };
        let leaves = self.leaves.iter().filter_map(|model| {
            let leaf = LeafKnob::from_id(&model.leaf)?;
            let sharp = estimates(model, leaf, &sharp);
            let (negative_precision, negative_recall) = detection(model, &sharp, Side::Negative);
            let (positive_precision, positive_recall) = detection(model, &sharp, Side::Positive);
            Some(LeafEvaluation {
                leaf: model.leaf.clone(),
                auc: auc(&sharp),
                auc_softened: auc(&estimates(model, leaf, &soft)),
                measured: model.auc >= MEASURED_FROM,
                negative_threshold: model.negative.threshold,
                positive_threshold: model.positive.threshold,
                negative_precision,
                negative_recall,
                positive_precision,
                positive_recall,
            })
        });
        Ok(EvaluationTable { seed, paintings, leaves: leaves.collect() })
    }
}

/// What was estimated of a leaf in a painting, and what the painting shows.
type Found = (Estimates, Option<Side>);

fn auc(found: &[Found]) -> f64 {
    fit::auc(&found.iter().map(|(estimates, side)| (estimates.score(), *side)).collect::<Vec<_>>())
}

/// Precision, if the side is ever reported, and recall.
fn detection(model: &LeafModel, found: &[Found], side: Side) -> (Option<f64>, f64) {
    let reported = found.iter().filter(|(estimates, _)| model.side(*estimates) == Some(side));
    let (mut count, mut right) = (0, 0);
    for (_, shown) in reported {
        count += 1;
        right += u32::from(*shown == Some(side));
    }
    let shown = found.iter().filter(|(_, shown)| *shown == Some(side)).count();
    ((count > 0).then(|| f64::from(right) / f64::from(count)), f64::from(right) / shown.max(1) as f64)
}

impl EvaluationTable {
    /// How many leaves have at least this area under the ROC curve.
    #[must_use]
    pub fn leaves_from(&self, auc: f64) -> usize {
        self.leaves.iter().filter(|leaf| leaf.auc >= auc).count()
    }
}

impl fmt::Display for EvaluationTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = CriteriaTree::embedded();
        writeln!(
            formatter,
            "| Leaf | AUC | softened | negative: precision, recall | positive: precision, recall |"
        )?;
        writeln!(formatter, "|---|---|---|---|---|")?;
        for leaf in &self.leaves {
            let name = tree.leaf(&leaf.leaf).map_or(leaf.leaf.as_str(), |leaf| leaf.name.as_str());
            let side = |precision: Option<f64>, recall: f64| {
                precision.map_or_else(
                    || "not reported".to_owned(),
                    |precision| format!("{precision:.2}, {recall:.2}"),
                )
            };
            let note = if leaf.measured { "" } else { " (not measured)" };
            writeln!(
                formatter,
                "| {name}{note} | {:.3} | {:.3} | {} | {} |",
                leaf.auc,
                leaf.auc_softened,
                side(leaf.negative_precision, leaf.negative_recall),
                side(leaf.positive_precision, leaf.positive_recall)
            )?;
        }
        writeln!(
            formatter,
            "\n{} of {} leaves reach an AUC of 0.9 on {} held-out paintings (seed {}).",
            self.leaves_from(0.9),
            self.leaves.len(),
            self.paintings,
            self.seed
        )
    }
}
