//! Explaining whole pictures: which leaves to ask for, calibration, and maps to look at.

use crate::{
    error::TrainError, framing::Framing, imagefolder, output::OutputFile, painter::suited_size,
    trainer::device_of,
};
use atelier_core::{
    explanation::{
        Calibration, Explainer, ExplanationOptions, LeafEvidence, LeafExplanation, NodeSummary, leaf_prompts,
        summarise,
    },
    json,
    picture::to_tensor,
    pipeline::{Pipeline, SizeConditions},
};
use atelier_criteria::{CriteriaTree, Labels, Leaf, Side};
use image::RgbImage;
use serde::Serialize;
use std::{fs, ops::ControlFlow, path::Path};

/// The name of a calibration's file in its model's folder.
pub const CALIBRATION: &str = "calibration.json";

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

/// An annotated picture, which explanations are calibrated on.
#[derive(Debug, Clone)]
pub struct AnnotatedPicture {
    /// The picture, of the model's size.
    pub image: RgbImage,
    /// Its caption.
    pub caption: String,
    /// Its attributes.
    pub labels: Labels,
}

/// Asks `auxiliary`, the model of the first stage, for leaves of pictures.
pub struct PictureExplainer<'a> {
    auxiliary: &'a Pipeline,
    tree: &'a CriteriaTree,
    calibration: Calibration,
    options: ExplanationOptions,
}

/// The phrase of the side that is more likely, and how likely in plain words: "muddy colour: likely (82 % ± 6)".
pub fn in_words(found: &LeafExplanation, leaf: &Leaf) -> String {
    let (side, probability) = if found.probability >= 0.5 {
        (Side::Positive, found.probability)
    } else {
        (Side::Negative, 1.0 - found.probability)
    };
    let word = match probability {
        0.95.. => "almost certain",
        0.75.. => "likely",
        0.6.. => "rather likely",
        _ => "hard to say",
    };
    let [percent, error] = [probability, found.probability_error].map(|share| 100.0 * share);
    format!("{}: {word} ({percent:.0} % ± {error:.0})", leaf.attribute(side).phrase)
}

impl<'a> PictureExplainer<'a> {
    /// An explainer whose probabilities are not calibrated yet.
    pub fn new(auxiliary: &'a Pipeline, tree: &'a CriteriaTree, options: ExplanationOptions) -> Self {
        Self { auxiliary, tree, calibration: Calibration::fit([]), options }
    }

    /// The same explainer with `calibration`, which was measured before.
    #[must_use]
    pub fn with_calibration(self, calibration: Calibration) -> Self {
        Self { calibration, ..self }
    }

    /// The calibration in use.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Calibrates on annotated pictures: two of three are fitted on, the others give the calibration error. `progress` is
    /// told the pictures done, and stops with `Break`.
    ///
    /// # Errors
    /// [`TrainError`] if a picture cannot be had, or the model or the device fails; [`TrainError::Cancelled`].
    pub fn calibrate(
        &mut self,
        examples: impl IntoIterator<Item = Result<AnnotatedPicture, TrainError>>,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(), TrainError> {
        let mut observations: Vec<(String, f64, bool)> = Vec::new();
        for (done, example) in examples.into_iter().enumerate() {
            let AnnotatedPicture { image, caption, labels } = example?;
            let ids: Vec<&str> = labels.positive.iter().chain(&labels.negative).map(String::as_str).collect();
            for leaf in self.leaves(&image, &caption, &ids, &mut |_| progress(done))? {
                let positive = labels.positive.contains(&leaf.leaf);
                observations.push((leaf.leaf, leaf.evidence, positive));
            }
            if progress(done + 1).is_break() {
                return Err(TrainError::cancelled());
            }
        }
        self.calibration = Calibration::fit_held_out(&observations);
        Ok(())
    }

    /// Explains `image`, of the model's size, by the given leaves. `progress` is told the leaves done, and stops with `Break`.
    ///
    /// # Errors
    /// [`TrainError`] for an unknown leaf, or if the model or the device fails; [`TrainError::Cancelled`].
    pub fn explain(
        &self,
        image: &RgbImage,
        caption: &str,
        ids: &[&str],
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<PictureExplanation, TrainError> {
        let mut leaves = self.leaves(image, caption, ids, progress)?;
        leaves.sort_by(|first, second| second.decisiveness().total_cmp(&first.decisiveness()));
        let nodes = summarise(self.tree, &leaves);
        Ok(PictureExplanation { caption: caption.to_owned(), leaves, nodes })
    }

    fn leaves(
        &self,
        image: &RgbImage,
        caption: &str,
        ids: &[&str],
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Vec<LeafExplanation>, TrainError> {
        let device = device_of(&self.auxiliary.denoiser);
        let schedule = self.auxiliary.noise_schedule()?;
        let kind = self.auxiliary.scheduler_config.diffusion()?.prediction_type;
        let explainer =
            Explainer::new(&self.auxiliary.denoiser, &schedule, kind, &self.calibration, self.options)?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let sizes = [SizeConditions::whole(height, width)];
        let noisy = explainer.picture(&self.auxiliary.encode_pictures(to_tensor([image], &device)));
        ids.iter()
            .enumerate()
            .map(|(done, id)| {
                let leaf = self.tree.require_leaf(id)?;
                let embeddings = |prompt: &str| {
                    let prompt = self.auxiliary.encode_prompts(&[prompt], &device)?;
                    Ok::<_, TrainError>(self.auxiliary.with_sizes(prompt, &sizes))
                };
                let [positive, negative] =
                    leaf_prompts(caption, [&leaf.positive.phrase, &leaf.negative.phrase]);
                let (positive, negative) = (embeddings(&positive)?, embeddings(&negative)?);
                let mut evidence = LeafEvidence::default();
                // Many draws take long: an interrupt is not to wait for all of them.
                while !explainer.is_decided(&noisy, &evidence) {
                    let look = explainer.look(&noisy, id, &positive, &negative, &mut evidence);
                    futures_lite::future::block_on(look)?;
                    if progress(done).is_break() {
                        return Err(TrainError::cancelled());
                    }
                }
                if progress(done + 1).is_break() {
                    return Err(TrainError::cancelled());
                }
                Ok(explainer.explanation(&noisy, id, &evidence))
            })
            .collect()
    }
}

/// The picture at `path` as `pipeline`'s model takes it: cropped to its shape and resized, as in training.
///
/// # Errors
/// [`TrainError::ImageFolder`] names a picture that cannot be read.
pub fn load_picture(path: &Path, pipeline: &Pipeline) -> Result<RgbImage, TrainError> {
    let picture = imagefolder::load(path)?;
    let size = suited_size(pipeline);
    let framing = Framing::new(picture.dimensions().into(), size, 1, false);
    Ok(framing.render(&picture, framing.views()[0]))
}

/// Reads the calibration at `path`.
///
/// # Errors
/// [`TrainError::File`] names it, and what in it is wrong or how to make one.
pub fn read_calibration(path: &Path) -> Result<Calibration, TrainError> {
    let failed = |reason: String| TrainError::File { path: path.to_owned(), reason };
    let json = fs::read(path).map_err(|error| {
        failed(format!(
            "{error}; measure it with `atelier calibrate`, on annotated pictures that the model does not know"
        ))
    })?;
    json::from_slice(&json).map_err(|error| failed(format!("is no calibration: {error}")))
}

/// The place of a calibration at `path`: nothing, or an earlier calibration.
///
/// # Errors
/// [`TrainError::Output`] for another file there, and for a place that cannot be written.
pub fn calibration_file(path: &Path) -> Result<OutputFile, TrainError> {
    Ok(OutputFile::prepare(path, "calibration", |path| read_calibration(path).is_ok())?)
}

/// Writes `calibration` to its place in one move.
///
/// # Errors
/// [`TrainError::Output`] for a disk that is full; an earlier file is untouched.
pub fn write_calibration(file: &OutputFile, calibration: &Calibration) -> Result<(), TrainError> {
    Ok(file.write(|writer| {
        serde_json::to_writer_pretty(&mut *writer, calibration)?;
        writer.write_all(b"\n")
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_likelier_side_and_weaken_with_it() {
        let leaf = CriteriaTree::embedded()
            .leaf("color-relations.purity.mixture.cleanliness.clean")
            .expect("a leaf");
        let words = |probability| {
            let found = LeafExplanation {
                leaf: leaf.id.clone(),
                evidence: 0.0,
                standard_error: 0.0,
                draws: 8,
                certain: true,
                probability,
                probability_error: 0.06,
                map: Vec::new(),
                map_size: [0, 0],
            };
            in_words(&found, leaf)
        };
        assert_eq!(words(0.18), format!("{}: likely (82 % ± 6)", leaf.negative.phrase));
        assert_eq!(words(0.97), format!("{}: almost certain (97 % ± 6)", leaf.positive.phrase));
        assert!(words(0.5).contains("hard to say"));
    }

    #[test]
    fn a_calibration_survives_its_file_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model").join(CALIBRATION);
        let message = read_calibration(&path).expect_err("nothing there").to_string();
        assert!(message.contains(CALIBRATION) && message.contains("atelier calibrate"), "{message}");
        let calibration = Calibration::fit([("a", 0.3, true), ("a", -0.2, false), ("b", 0.1, true)]);
        write_calibration(&calibration_file(&path).expect("a place"), &calibration).expect("written");
        assert_eq!(read_calibration(&path).expect("a calibration"), calibration);
        fs::write(&path, "{}").expect("written");
        assert!(read_calibration(&path).expect_err("no keys").to_string().contains("is no calibration"));
    }
}
