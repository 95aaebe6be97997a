use super::SchedulerError;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the variance of the noise grows with the timestep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BetaSchedule {
    /// beta grows linearly (Ho et al., arXiv 2006.11239).
    #[default]
    #[serde(rename = "linear")]
    Linear,
    /// The square root of beta grows linearly (Stable Diffusion).
    #[serde(rename = "scaled_linear")]
    ScaledLinear,
    /// The cumulative product of alpha falls as a squared cosine (Nichol and Dhariwal, arXiv 2102.09672);
    /// `beta_start` and `beta_end` are not used.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

/// What the model's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    #[default]
    Epsilon,
    /// The velocity `sqrt(abar) noise - sqrt(1 - abar) original` (Salimans and Ho, arXiv 2202.00512).
    VPrediction,
    /// The clean sample.
    Sample,
}

/// Which of the training timesteps are sampled (table 2 of Lin et al., arXiv 2305.08891).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of a whole stride, from 0 up; leaves the noisiest timesteps out.
    #[default]
    Leading,
    /// Multiples of a stride, from the last timestep down.
    Trailing,
    /// From the first to the last timestep, both included.
    Linspace,
}

/// A `scheduler_config.json` of diffusers.
///
/// One configuration serves every [`SchedulerKind`](super::SchedulerKind). Keys that are absent have the defaults of
/// `DDIMScheduler`, whatever `_class_name` says; keys that are not used here are kept and written back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// The class that diffusers samples with.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Length of the forward process.
    pub num_train_timesteps: usize,
    /// The first beta, in `(0, 1)`.
    pub beta_start: f64,
    /// The last beta, in `(0, 1)`.
    pub beta_end: f64,
    /// How beta grows in between.
    pub beta_schedule: BetaSchedule,
    /// All betas, instead of the three values above; one for each training timestep.
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts.
    pub prediction_type: PredictionType,
    /// Which timesteps are sampled.
    pub timestep_spacing: TimestepSpacing,
    /// What is added to the timesteps of [`TimestepSpacing::Leading`]; Stable Diffusion has 1.
    pub steps_offset: usize,
    /// Whether the last training timestep is made pure noise (algorithm 1 of arXiv 2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// Whether [`DDPMScheduler`](super::DDPMScheduler) and [`DDIMScheduler`](super::DDIMScheduler) clip the predicted
    /// original sample. True suits pixels; latents are not bounded and want false.
    pub clip_sample: bool,
    /// The largest absolute value that clipping leaves.
    pub clip_sample_range: f64,
    /// Whether the last step of [`DDIMScheduler`](super::DDIMScheduler) goes to the clean sample (true) or to
    /// training timestep 0.
    pub set_alpha_to_one: bool,
    /// Dynamic thresholding, which is not supported.
    pub thresholding: bool,
    /// Keys that are not read here, or only to refuse values that would change the result.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            class_name: "DDIMScheduler".to_owned(),
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::default(),
            trained_betas: None,
            prediction_type: PredictionType::default(),
            timestep_spacing: TimestepSpacing::default(),
            steps_offset: 0,
            rescale_betas_zero_snr: false,
            clip_sample: true,
            clip_sample_range: 1.0,
            set_alpha_to_one: true,
            thresholding: false,
            other: Map::new(),
        }
    }
}

impl SchedulerConfig {
    /// The class that diffusers samples with, `_class_name`.
    pub fn class_name(&self) -> &str {
        &self.class_name
    }

    /// The predicted original sample within its range, if there is one.
    pub(super) fn clip(&self, original: Tensor<4>) -> Tensor<4> {
        if self.clip_sample {
            original.clamp(-self.clip_sample_range, self.clip_sample_range)
        } else {
            original
        }
    }

    /// Refuses keys that would change the result in a way that `class` does not implement here.
    ///
    /// `neutral` pairs a key with the values (as JSON) that change nothing.
    pub(super) fn refuse_unless_neutral(
        &self,
        class: &'static str,
        neutral: &[(&'static str, &[&str])],
    ) -> Result<(), SchedulerError> {
        if self.thresholding {
            let (value, supported) = ("true".to_owned(), "false".to_owned());
            return Err(SchedulerError::Unsupported { class, key: "thresholding", value, supported });
        }
        for &(key, accepted) in neutral {
            let Some(value) = self.other.get(key).map(Value::to_string) else { continue };
            if !accepted.contains(&value.as_str()) {
                let supported = accepted.join(", ");
                return Err(SchedulerError::Unsupported { class, key, value, supported });
            }
        }
        Ok(())
    }
}
