//! The paired error differences of a picture, leaf by leaf.

use super::Calibration;
use crate::{
    models::{denoiser::Denoiser, prompt_embeddings::PromptEmbeddings},
    noise::NoiseSource,
    schedulers::{NoiseSchedule, PredictionType},
};
use burn::tensor::{ExecutionError, Tensor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An explanation could not be computed.
#[derive(Debug, Error)]
pub enum ExplanationError {
    /// The device failed while its result was read.
    #[error("the device did not return the errors of leaf {leaf}: {reason}; try again, or use the CPU")]
    Device {
        /// The leaf that was being evaluated.
        leaf: String,
        /// What the device said.
        reason: String,
    },
    /// The options cannot be met.
    #[error("{0}")]
    Options(String),
    /// The model's errors are NaN or infinite.
    #[error(
        "the model's predictions for leaf {leaf} are not finite (NaN or infinity), so nothing can be read from them: its \
         weights are damaged, or overflow in half precision"
    )]
    NotFinite {
        /// The leaf that was being evaluated.
        leaf: String,
    },
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplanationOptions {
    /// Noise draws evaluated at once.
    pub batch: usize,
    /// Draws at most, per leaf.
    pub draws: usize,
    /// A leaf is decided when its mean is this many standard errors from zero.
    pub certainty: f64,
    /// The part of the diffusion process that is used, as fractions of the training timesteps: the ends say little
    /// about attributes, everything or nothing being visible there.
    pub timesteps: (f64, f64),
    /// Seed of the noise; all leaves and pictures share it.
    pub seed: u64,
}

impl ExplanationOptions {
    /// The fewest draws per leaf: one has no standard error.
    pub const LEAST_DRAWS: usize = 2;
    /// The most draws per leaf: far more than any decision needs, as the noise of all of them is kept.
    pub const MOST_DRAWS: usize = 1 << 12;

    fn check(&self) -> Result<(), ExplanationError> {
        let refused = |problem: String| Err(ExplanationError::Options(problem));
        let Self { batch, draws, certainty, timesteps: (from, to), seed: _ } = *self;
        let (least, most) = (Self::LEAST_DRAWS, Self::MOST_DRAWS);
        if !(least..=most).contains(&draws) {
            return refused(format!(
                "draws must be at least {least} and at most {most} per leaf, not {draws}"
            ));
        }
        if batch == 0 {
            return refused("the batch must be at least 1 draw, not 0".to_owned());
        }
        if !(certainty >= 0.0 && certainty.is_finite()) {
            return refused(format!("the certainty must be a number of standard errors, not {certainty}"));
        }
        if !(0.0 <= from && from < to && to <= 1.0) {
            return refused(format!("the timesteps must be a part of 0 to 1, not {from} to {to}"));
        }
        Ok(())
    }
}

impl Default for ExplanationOptions {
    fn default() -> Self {
        Self { batch: 8, draws: 32, certainty: 3.0, timesteps: (0.05, 0.9), seed: 0 }
    }
}

/// What was found for one leaf.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeafExplanation {
    /// The leaf's id.
    pub leaf: String,
    /// `mean(e(negative) - e(positive))`: positive when the positive side is read in the picture.
    pub evidence: f64,
    /// The standard error of the evidence over the draws.
    pub standard_error: f64,
    /// Draws used.
    pub draws: usize,
    /// Whether the sign of the evidence is certain in the sense of the options.
    pub certain: bool,
    /// Calibrated probability that the positive side is shown, in `[0, 1]`.
    pub probability: f64,
    /// Half-width of the probability's range for one standard error of the evidence.
    pub probability_error: f64,
    /// Log-odds per latent pixel, row by row, before the mean: where the attribute is read.
    pub map: Vec<f32>,
    /// Height and width of the map, in latent pixels.
    pub map_size: [usize; 2],
}

impl LeafExplanation {
    /// How far the probability is from a draw, in `[0, 0.5]`.
    pub fn decisiveness(&self) -> f64 {
        (self.probability - 0.5).abs()
    }
}

/// A picture with its noisy versions, which all leaves share.
#[derive(Debug, Clone)]
pub struct ExplainedPicture {
    batches: Vec<NoisyBatch>,
    size: [usize; 2],
}

impl ExplainedPicture {
    /// Batches of draws at the most, per leaf.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }
}

/// What has been seen of one leaf in one picture so far.
#[derive(Debug, Clone, Default)]
pub struct LeafEvidence {
    /// Batches that were evaluated.
    batches: usize,
    /// The paired error difference of each draw.
    differences: Vec<f64>,
    /// Its sum over draws, per latent pixel.
    map: Vec<f64>,
}

#[derive(Debug, Clone)]
struct NoisyBatch {
    sample: Tensor<4>,
    noise: Tensor<4>,
    timesteps: Tensor<1>,
    steps: Vec<usize>,
}

/// Evaluates leaves of a picture with an attribute-conditioned model (the auxiliary model of the first stage).
#[derive(Debug)]
pub struct Explainer<'a> {
    denoiser: &'a Denoiser,
    schedule: &'a NoiseSchedule,
    prediction_type: PredictionType,
    calibration: &'a Calibration,
    options: ExplanationOptions,
}

impl<'a> Explainer<'a> {
    /// # Errors
    /// [`ExplanationError::Options`] names the option that has no meaning.
    pub fn new(
        denoiser: &'a Denoiser,
        schedule: &'a NoiseSchedule,
        prediction_type: PredictionType,
        calibration: &'a Calibration,
        options: ExplanationOptions,
    ) -> Result<Self, ExplanationError> {
        options.check()?;
        Ok(Self { denoiser, schedule, prediction_type, calibration, options })
    }

    /// Noises the latents `[1, channels, height, width]` once for all leaves. Timesteps follow the golden ratio, so
    /// that every prefix of them is spread evenly and an early stop does not bias the mean.
    pub fn picture(&self, latents: &Tensor<4>) -> ExplainedPicture {
        let [_, channels, height, width] = latents.dims();
        let device = latents.device();
        let mut source = NoiseSource::new(self.options.seed);
        let (from, to) = self.options.timesteps;
        let last = (self.schedule.alphas_cumprod().len() - 1) as f64;
        let all: Vec<usize> = (0..self.options.draws)
            .map(|draw| {
                let spread = (0.5 + draw as f64 * GOLDEN_RATIO_CONJUGATE).fract();
                (last * (from + (to - from) * spread)).round() as usize
            })
            .collect();
        let batches = all
            .chunks(self.options.batch)
            .map(|steps| {
                let count = steps.len();
                let noise = source.normal([count, channels, height, width], &device);
                let original = latents.clone().expand([count, channels, height, width]);
                let sample = self.schedule.add_noise(original, noise.clone(), steps);
                let times: Vec<f32> = steps.iter().map(|&t| t as f32).collect();
                let timesteps = Tensor::from_floats(times.as_slice(), &device);
                NoisyBatch { sample, noise, timesteps, steps: steps.to_vec() }
            })
            .collect();
        ExplainedPicture { batches, size: [height, width] }
    }

    /// Adds the next batch of draws to what is known of a leaf; `positive` and `negative` are the embeddings, one row each, of
    /// the caption with that leaf's positive and negative attribute ([`leaf_prompts`](super::leaf_prompts)). Leaves can so
    /// take turns, and somebody who watches sees a first answer to all of them early.
    ///
    /// Reads back once, and does nothing once all draws are used.
    ///
    /// # Errors
    /// [`ExplanationError::Device`] if the device fails, [`ExplanationError::NotFinite`] if the model does.
    pub async fn look(
        &self,
        picture: &ExplainedPicture,
        leaf: &str,
        positive: &PromptEmbeddings,
        negative: &PromptEmbeddings,
        evidence: &mut LeafEvidence,
    ) -> Result<(), ExplanationError> {
        let Some(batch) = picture.batches.get(evidence.batches) else { return Ok(()) };
        let [height, width] = picture.size;
        let values = self.differences(batch, positive, negative);
        let data = values.into_data_async().await.map_err(|error| device_error(leaf, &error))?;
        let values: Vec<f32> = data.try_to_vec().map_err(|error| ExplanationError::Device {
            leaf: leaf.to_owned(),
            reason: format!("{error:?}"),
        })?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ExplanationError::NotFinite { leaf: leaf.to_owned() });
        }
        evidence.map.resize(height * width, 0.0);
        for row in values.chunks(height * width) {
            evidence.differences.push(row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64);
            evidence.map.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        evidence.batches += 1;
        Ok(())
    }

    /// Whether another [`Explainer::look`] is not needed, or not possible.
    pub fn is_decided(&self, picture: &ExplainedPicture, evidence: &LeafEvidence) -> bool {
        evidence.batches == picture.batches.len()
            || Estimate::of(&evidence.differences).certain(self.options.certainty)
    }

    /// What `evidence` says of `leaf`.
    pub fn explanation(
        &self,
        picture: &ExplainedPicture,
        leaf: &str,
        evidence: &LeafEvidence,
    ) -> LeafExplanation {
        let estimate = Estimate::of(&evidence.differences);
        let calibration = self.calibration.leaf(leaf);
        let draws = evidence.differences.len();
        let [low, high] =
            [-1.0, 1.0].map(|sign| calibration.probability(estimate.mean + sign * estimate.error));
        let log_odds = |sum: &f64| (calibration.scale * sum / draws as f64) as f32;
        LeafExplanation {
            leaf: leaf.to_owned(),
            evidence: estimate.mean,
            standard_error: estimate.error,
            draws,
            certain: estimate.certain(self.options.certainty),
            probability: calibration.probability(estimate.mean),
            probability_error: 0.5 * (high - low).abs(),
            map: evidence.map.iter().map(log_odds).collect(),
            map_size: picture.size,
        }
    }

    /// `e(negative) - e(positive)` per pixel, averaged over channels, `[draws, height, width]`.
    fn differences(
        &self,
        batch: &NoisyBatch,
        positive: &PromptEmbeddings,
        negative: &PromptEmbeddings,
    ) -> Tensor<3> {
        let count = batch.steps.len();
        let both = |a: &Tensor<4>| Tensor::cat(vec![a.clone(), a.clone()], 0);
        let rows = |prompt: &PromptEmbeddings| prompt.clone().expand(count);
        let states = PromptEmbeddings::cat(vec![rows(negative), rows(positive)]);
        let times = Tensor::cat(vec![batch.timesteps.clone(), batch.timesteps.clone()], 0);
        let output = self.denoiser.forward(both(&batch.sample), times, states);
        let steps: Vec<usize> = batch.steps.iter().chain(&batch.steps).copied().collect();
        let epsilon = self.schedule.to_epsilon(both(&batch.sample), output, &steps, self.prediction_type);
        let [_, _, height, width] = epsilon.dims();
        let errors = (epsilon - both(&batch.noise)).square().mean_dim(1).reshape([2 * count, height, width]);
        errors.clone().slice([0..count]) - errors.slice([count..2 * count])
    }
}

/// `1 / golden ratio`, whose multiples fill the unit interval most evenly (the additive recurrence of lowest
/// discrepancy).
const GOLDEN_RATIO_CONJUGATE: f64 = 0.618_033_988_749_894_9;

/// A mean with its standard error.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    mean: f64,
    error: f64,
    count: usize,
}

impl Estimate {
    fn of(values: &[f64]) -> Self {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count.max(1) as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let error = (squares / (count.max(2) - 1) as f64 / count.max(1) as f64).sqrt();
        Self { mean, error, count }
    }

    /// Fewer than four differences cannot tell their own spread.
    fn certain(&self, errors: f64) -> bool {
        self.count >= 4 && self.mean.abs() > errors * self.error
    }
}

fn device_error(leaf: &str, error: &ExecutionError) -> ExplanationError {
    ExplanationError::Device { leaf: leaf.to_owned(), reason: error.to_string() }
}
