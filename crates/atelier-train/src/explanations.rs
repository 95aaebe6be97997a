//! Explaining whole pictures: which leaves to ask for, calibration, and maps to look at.

use crate::{error::TrainError, trainer::device_of};
use atelier_core::{
    explanation::{
        Calibration, Explainer, ExplanationError, ExplanationOptions, LeafExplanation, NodeSummary,
        leaf_prompts, summarise,
    },
    picture::to_tensor,
    pipeline::{Pipeline, SizeConditions},
};
use atelier_criteria::{CriteriaTree, Labels};
use image::RgbImage;
use serde::Serialize;

/// Everything that was found in one picture.
#[derive(Debug, Clone, Serialize)]
pub struct PictureExplanation {
    /// Its caption.
    pub caption: String,
    /// The leaves that were asked for, the most decisive first.
    pub leaves: Vec<LeafExplanation>,
    /// What they say together, for every inner node.
    pub nodes: Vec<NodeSummary>,
}

/// Asks `auxiliary`, the model of the first stage, for leaves of pictures.
pub struct PictureExplainer<'a> {
    auxiliary: &'a Pipeline,
    tree: &'a CriteriaTree,
    calibration: Calibration,
    options: ExplanationOptions,
}

impl<'a> PictureExplainer<'a> {
    /// An explainer whose probabilities are not calibrated yet.
    pub fn new(auxiliary: &'a Pipeline, tree: &'a CriteriaTree, options: ExplanationOptions) -> Self {
        Self { auxiliary, tree, calibration: Calibration::fit([]), options }
    }

    /// The calibration in use.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Calibrates on annotated pictures: two of three are fitted on, the others give the calibration error.
    ///
    /// # Errors
    /// [`TrainError`] if the model or the device fails.
    pub fn calibrate(
        &mut self,
        examples: &[(RgbImage, String, Labels)],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), TrainError> {
        let mut observations: Vec<(String, f64, bool)> = Vec::new();
        for (done, (image, caption, labels)) in examples.iter().enumerate() {
            let ids: Vec<&str> = labels.positive.iter().chain(&labels.negative).map(String::as_str).collect();
            for leaf in self.leaves(image, caption, &ids)? {
                let positive = labels.positive.contains(&leaf.leaf);
                observations.push((leaf.leaf, leaf.evidence, positive));
            }
            progress(done + 1);
        }
        self.calibration = Calibration::fit_held_out(&observations);
        Ok(())
    }

    /// Explains `image` by the given leaves.
    ///
    /// # Errors
    /// [`TrainError`] for an unknown leaf, or if the model or the device fails.
    pub fn explain(
        &self,
        image: &RgbImage,
        caption: &str,
        ids: &[&str],
    ) -> Result<PictureExplanation, TrainError> {
        let mut leaves = self.leaves(image, caption, ids)?;
        let decisiveness = |leaf: &LeafExplanation| (leaf.probability - 0.5).abs();
        leaves.sort_by(|first, second| decisiveness(second).total_cmp(&decisiveness(first)));
        let nodes = summarise(self.tree, &leaves);
        Ok(PictureExplanation { caption: caption.to_owned(), leaves, nodes })
    }

    fn leaves(
        &self,
        image: &RgbImage,
        caption: &str,
        ids: &[&str],
    ) -> Result<Vec<LeafExplanation>, TrainError> {
        let device = device_of(&self.auxiliary.denoiser);
        let schedule = self.auxiliary.noise_schedule()?;
        let failed = |error: ExplanationError| TrainError::DeviceLost(error.to_string());
        let kind = self.auxiliary.scheduler_config.diffusion()?.prediction_type;
        let explainer =
            Explainer::new(&self.auxiliary.denoiser, &schedule, kind, &self.calibration, self.options)
                .map_err(failed)?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let sizes = [SizeConditions::whole(height, width)];
        let noisy = explainer.picture(&self.auxiliary.encode_pictures(to_tensor([image], &device)));
        ids.iter()
            .map(|id| {
                let leaf = self.tree.require_leaf(id)?;
                let embeddings = |prompt: &str| {
                    let prompt = self.auxiliary.encode_prompts(&[prompt], &device)?;
                    Ok::<_, TrainError>(self.auxiliary.with_sizes(prompt, &sizes))
                };
                let [positive, negative] = leaf_prompts(caption, leaf);
                let (positive, negative) = (embeddings(&positive)?, embeddings(&negative)?);
                futures_lite::future::block_on(explainer.leaf(&noisy, id, &positive, &negative))
                    .map_err(failed)
            })
            .collect()
    }
}
