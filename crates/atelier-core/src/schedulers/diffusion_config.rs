use super::{
    SchedulerError,
    config::{Neutral, refuse_unless_neutral},
    keys,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

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

/// A `scheduler_config.json` of a model that was trained on diffusion.
///
/// Keys that a file lacks have the defaults of its class in diffusers 0.42; [`Self::for_class`] makes the configuration of
/// another class of it. Keys that are not used here are kept and written back.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionConfig {
    /// The class that diffusers samples with, `_class_name`.
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
    /// Whether [`DDPMScheduler`](super::DDPMScheduler) and [`DDIMScheduler`](super::DDIMScheduler) clip the
    /// predicted original sample. True suits pixels; latents are not bounded and want false.
    pub clip_sample: bool,
    /// The largest absolute value that clipping leaves.
    pub clip_sample_range: f64,
    /// Whether the last step of [`DDIMScheduler`](super::DDIMScheduler) goes to the clean sample (true) or to
    /// training timestep 0.
    pub set_alpha_to_one: bool,
    /// Dynamic thresholding, which is not supported.
    pub thresholding: bool,
    /// Which of the keys above are only the defaults of the class, as diffusers' `_use_default_values`: they are not
    /// written, and another class has its own.
    pub use_default_values: BTreeSet<&'static str>,
    /// Keys that are not read here, or only to refuse values that would change the result.
    pub other: Map<String, Value>,
}

impl Default for DiffusionConfig {
    fn default() -> Self {
        Self {
            class_name: Self::CLASS.to_owned(),
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
            use_default_values: BTreeSet::new(),
            other: Map::new(),
        }
    }
}

impl DiffusionConfig {
    /// The class of a file that names none.
    pub(super) const CLASS: &'static str = "DDIMScheduler";

    /// Reads a `scheduler_config.json` as diffusers writes it, minus infinity included, which is not JSON.
    ///
    /// # Errors
    /// [`SchedulerError`] for what is not JSON, or names the key with a value of the wrong type.
    pub fn from_json(json: &[u8]) -> Result<Self, SchedulerError> {
        let file = keys::object(json)?;
        let class_name = file.get("_class_name").and_then(Value::as_str).unwrap_or(Self::CLASS).to_owned();
        Self::from_file(&class_name, file)
    }

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

    /// Refuses keys that would change the result in a way that `class` does not implement here; see
    /// [`refuse_unless_neutral`].
    pub(super) fn refuse_unless_neutral(
        &self,
        class: &'static str,
        neutral: &Neutral,
    ) -> Result<(), SchedulerError> {
        if self.thresholding {
            let (value, supported) = ("true".to_owned(), "false".to_owned());
            return Err(SchedulerError::Unsupported { class, key: "thresholding", value, supported });
        }
        refuse_unless_neutral(class, &self.other, neutral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::{NoiseSchedule, SchedulerConfig, SchedulerKind};

    fn config(json: &str) -> DiffusionConfig {
        DiffusionConfig::from_json(json.as_bytes()).unwrap()
    }

    #[track_caller]
    fn assert_refused(kind: SchedulerKind, json: &str, message: &str) {
        let config = SchedulerConfig::Diffusion(config(json));
        assert_eq!(kind.build(&config).unwrap_err().to_string(), message);
    }

    #[test]
    fn stable_diffusions_configuration_is_read() {
        let config = config(
            r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
                "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
                "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
                "clip_sample": false}"#,
        );
        assert_eq!(config.class_name(), "PNDMScheduler");
        assert_eq!((config.beta_schedule, config.steps_offset), (BetaSchedule::ScaledLinear, 1));
        assert_eq!((config.clip_sample, config.set_alpha_to_one), (false, false));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let json =
            r#"{"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction", "rho": 7.5}"#;
        let original = config(json);
        let written = serde_json::to_string(&original).unwrap();
        assert!(written.contains(r#""_class_name":"EulerDiscreteScheduler""#), "{written}");
        assert!(written.contains(r#""rho":7.5"#), "{written}");
        assert_eq!(config(&written), original);
    }

    #[test]
    fn minus_infinity_is_read_and_left_to_the_default() {
        let config = config("{\"lambda_min_clipped\": -Infinity, \"variance_type\": null}");
        assert_eq!(config.other.keys().collect::<Vec<_>>(), ["variance_type"]);
        SchedulerKind::DpmSolverMultistep.build(&SchedulerConfig::Diffusion(config)).unwrap();
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert_refused(
            SchedulerKind::Euler,
            r#"{"use_karras_sigmas": true}"#,
            "EulerDiscreteScheduler does not support `use_karras_sigmas` = true; supported: false, null",
        );
        assert_refused(
            SchedulerKind::Ddim,
            r#"{"thresholding": true}"#,
            "DDIMScheduler does not support `thresholding` = true; supported: false",
        );
        let error = DiffusionConfig::from_json(br#"{"beta_schedule": "sigmoid"}"#).unwrap_err().to_string();
        assert!(error.contains("`sigmoid`") && error.contains("`squaredcos_cap_v2`"), "{error}");
    }

    #[test]
    fn a_key_of_another_class_changes_nothing() {
        let config = config(r#"{"use_karras_sigmas": true}"#);
        SchedulerKind::Ddim.build(&SchedulerConfig::Diffusion(config)).unwrap();
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (json, part) in [
            (r#"{"num_train_timesteps": 0}"#, "`num_train_timesteps` must be at least 1"),
            (r#"{"beta_end": 1.0}"#, "`beta_end` is 1"),
            (
                r#"{"trained_betas": [0.1]}"#,
                "`trained_betas` has 1 values, but `num_train_timesteps` is 1000",
            ),
            (r#"{"trained_betas": [0.1, 0], "num_train_timesteps": 2}"#, "has 0 at index 1"),
            (r#"{"beta_start": 0.5, "beta_end": 0.5}"#, "`beta_end` makes no usable schedule"),
            (r#"{"beta_start": 1e-20}"#, "but is 1e0 at timestep 0"),
            (r#"{"clip_sample_range": -1}"#, "`clip_sample_range` is -1"),
            (r#"{"rescale_betas_zero_snr": true}"#, "train with `prediction_type` v_prediction"),
        ] {
            let error = NoiseSchedule::new(&config(json)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
