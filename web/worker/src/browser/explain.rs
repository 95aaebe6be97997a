//! Reading attributes in a picture, leaf by leaf.

use super::{
    device::OpenDevice,
    failure::Failure,
    job::Job,
    link::reply,
    pictures::{SIDE, from_pixels},
};
use atelier_core::{
    explanation::{
        Calibration, ExplainedPicture, Explainer, ExplanationOptions, LeafEvidence, LeafExplanation,
        leaf_prompts,
    },
    models::prompt_embeddings::PromptEmbeddings,
    picture::{centre_square, to_tensor},
    pipeline::Pipeline,
};
use atelier_web_messages::{LeafPhrases, LeafReading, Reply};

/// Reads `leaves` in a picture, those that the model was not taught as well unless `only_taught`.
///
/// Leaves take turns: a first look at each, those that the model reads best before the others, then another look at those
/// that are not decided, the most decisive before the others.
///
/// # Errors
/// [`Failure`]; what was read stays.
pub async fn explain(
    auxiliary: &Pipeline,
    calibration: &Calibration,
    picture: &atelier_web_messages::ExplainedPicture,
    leaves: &[LeafPhrases],
    only_taught: bool,
    device: &OpenDevice,
    job: Job,
) -> Result<(), Failure> {
    let taught = taught(calibration);
    reply(&Reply::Taught { job: job.id, leaves: taught.clone() });
    let schedule = auxiliary.noise_schedule()?;
    let prediction_type = auxiliary
        .scheduler_config
        .diffusion()
        .map_err(|error| Failure::Explanation(error.to_string()))?
        .prediction_type;
    let explainer = Explainer::new(
        &auxiliary.denoiser,
        &schedule,
        prediction_type,
        calibration,
        ExplanationOptions::default(),
    )?;
    let square = centre_square(&from_pixels(&picture.pixels)?, SIDE);
    let noisy = explainer.picture(&auxiliary.encode_pictures(to_tensor([&square], &device.device)));
    let rank = |leaf: &LeafPhrases| taught.iter().position(|id| *id == leaf.id).unwrap_or(taught.len());
    let mut chosen: Vec<_> = leaves.iter().filter(|leaf| !only_taught || rank(leaf) < taught.len()).collect();
    chosen.sort_by_key(|leaf| rank(leaf));
    let mut readings = Vec::with_capacity(chosen.len());
    for leaf in chosen {
        readings.push(Reading::new(leaf, &picture.caption, auxiliary, device)?);
    }
    let total = (readings.len() * noisy.batches()) as u32;
    let mut done = 0;
    for _ in 0..noisy.batches() {
        for reading in readings.iter_mut().filter(|reading| !explainer.is_decided(&noisy, &reading.evidence))
        {
            let explanation = reading.look(&explainer, &noisy).await?;
            done += 1;
            let is_taught = calibration.leaves.contains_key(&reading.leaf.id);
            reply(&Reply::Leaf { job: job.id, reading: to_message(&explanation, is_taught), done, total });
            job.pause().await?;
        }
        readings.sort_by(|first, second| second.decisiveness.total_cmp(&first.decisiveness));
    }
    Ok(())
}

/// The leaves that the model was taught, those that it reads best first.
fn taught(calibration: &Calibration) -> Vec<String> {
    let mut leaves: Vec<_> = calibration.leaves.iter().collect();
    let area = |id: &String| calibration.areas_under_curve.get(id).copied().unwrap_or_default();
    leaves.sort_by(|(first, _), (second, _)| area(second).total_cmp(&area(first)));
    leaves.into_iter().map(|(id, _)| id.clone()).collect()
}

/// One leaf on its way to an explanation.
struct Reading<'a> {
    leaf: &'a LeafPhrases,
    positive: PromptEmbeddings,
    negative: PromptEmbeddings,
    evidence: LeafEvidence,
    /// Distance of the probability from one half.
    decisiveness: f64,
}

impl<'a> Reading<'a> {
    fn new(
        leaf: &'a LeafPhrases,
        caption: &str,
        auxiliary: &Pipeline,
        device: &OpenDevice,
    ) -> Result<Self, Failure> {
        let [positive, negative] = leaf_prompts(caption, [&leaf.positive, &leaf.negative]);
        Ok(Self {
            leaf,
            positive: auxiliary.encode_prompts(&[&positive], &device.device)?,
            negative: auxiliary.encode_prompts(&[&negative], &device.device)?,
            evidence: LeafEvidence::default(),
            decisiveness: 0.0,
        })
    }

    async fn look(
        &mut self,
        explainer: &Explainer<'_>,
        picture: &ExplainedPicture,
    ) -> Result<LeafExplanation, Failure> {
        let Self { leaf, positive, negative, evidence, .. } = self;
        explainer.look(picture, &leaf.id, positive, negative, evidence).await?;
        let explanation = explainer.explanation(picture, &leaf.id, evidence);
        self.decisiveness = explanation.decisiveness();
        Ok(explanation)
    }
}

fn to_message(explanation: &LeafExplanation, taught: bool) -> LeafReading {
    LeafReading {
        leaf: explanation.leaf.clone(),
        probability: explanation.probability,
        probability_error: explanation.probability_error,
        draws: explanation.draws as u32,
        certain: explanation.certain,
        taught,
        map: explanation.map.clone(),
        map_size: explanation.map_size.map(|side| side as u32),
    }
}
