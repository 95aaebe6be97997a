//! What a demo found: `report.json` for scripts, `report.html` for eyes.

mod chart;
mod explanations;
mod html;

pub use explanations::{ExplainedPicture, ExplanationFiles, write_explanations};

use crate::{atomic, error::TrainError, evaluation::Evaluation, explanations::PictureExplanation, picture};
use atelier_criteria::{CriteriaTree, Labels};
use image::RgbImage;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// The course of one logged quantity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossCurve {
    /// What it is.
    pub title: String,
    /// `(step, value)`.
    pub points: Vec<(f64, f64)>,
}

/// How long one part took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// The part.
    pub what: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// One caption and seed, painted by both models and explained.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedPair {
    /// Which of the pictures.
    pub index: usize,
    /// The base model's picture.
    pub base: PictureExplanation,
    /// The aligned model's picture.
    pub aligned: PictureExplanation,
}

/// Everything that the demo found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whether it was the short demo.
    pub quick: bool,
    /// Its seed.
    pub seed: u64,
    /// The held-out captions.
    pub captions: Vec<String>,
    /// What the annotator found in the base model's pictures.
    pub base: Evaluation,
    /// What it found in the aligned model's pictures of the same captions and seeds.
    pub aligned: Evaluation,
    /// Sides of leaves that the autoencoder calls forth by itself; see
    /// [`unjudged_sides`](crate::evaluation::unjudged_sides).
    pub unjudged: Labels,
    /// Courses of training.
    pub curves: Vec<LossCurve>,
    /// Expected calibration error of the explanations, in `[0, 1]`.
    pub calibration_error: Option<f64>,
    /// Some pictures, explained.
    pub explained: Vec<ExplainedPair>,
    /// How long everything took.
    pub timings: Vec<Timing>,
    /// All of it, in seconds.
    pub seconds: f64,
}

impl Report {
    /// By how much #A_neg fell: 0.3 is 30 %.
    pub fn reduction(&self) -> f64 {
        1.0 - self.aligned.negatives.mean / self.base.negatives.mean.max(f64::MIN_POSITIVE)
    }

    /// Diversity of the aligned model's pictures relative to the base's.
    pub fn diversity(&self) -> f64 {
        self.aligned.mean_pairwise_distance / self.base.mean_pairwise_distance.max(f64::MIN_POSITIVE)
    }

    fn json(&self) -> serde_json::Value {
        let both = |value: fn(&Evaluation) -> f64| json!({ "base": value(&self.base), "aligned": value(&self.aligned) });
        json!({
            "quick": self.quick,
            "seed": self.seed,
            "pictures": self.base.pictures,
            "negatives_per_image": both(|found| found.negatives.mean),
            "positives_per_image": both(|found| found.positives.mean),
            "negatives_per_image_with_unjudged": both(|found| found.negatives_with_unjudged.mean),
            "unjudged": self.unjudged,
            "negatives_reduction": self.reduction(),
            "mean_pairwise_distance": both(|found| found.mean_pairwise_distance),
            "diversity_ratio": self.diversity(),
            "base": self.base,
            "aligned": self.aligned,
            "curves": self.curves,
            "calibration_error": self.calibration_error,
            "explained": self.explained,
            "timings": self.timings,
            "seconds": self.seconds,
        })
    }
}

/// Writes `report.json`, `report.html` and the pictures of both models into `folder`.
///
/// # Errors
/// [`TrainError`] names the file that could not be written.
pub fn write(
    folder: &Path,
    report: &Report,
    tree: &CriteriaTree,
    before: &[RgbImage],
    after: &[RgbImage],
) -> Result<(), TrainError> {
    for (name, pictures) in [("base", before), ("aligned", after)] {
        for (index, picture) in pictures.iter().enumerate() {
            let path = folder.join("pictures").join(format!("{index:03}-{name}.png"));
            let seed = (report.seed + index as u64).to_string();
            let text = [
                ("Software", "atelier"),
                ("prompt", report.captions[index].as_str()),
                ("seed", seed.as_str()),
            ];
            picture::write_png(&path, picture, &text)?;
        }
    }
    let json = format!("{:#}\n", report.json());
    atomic::write_file(&folder.join("report.json"), |writer| writer.write_all(json.as_bytes()))?;
    let html = html::page(report, tree, before, after)?;
    Ok(atomic::write_file(&folder.join("report.html"), |writer| writer.write_all(html.as_bytes()))?)
}
