use super::{
    DiffusionConfig, NoiseSchedule, PredictionType, Scheduler, SchedulerError, StepOutput, TimestepSpacing,
    check_shape, config::Neutral, timestep_at, timesteps,
};
use burn::tensor::Tensor;

const CLASS: &str = "EulerDiscreteScheduler";

/// Keys of diffusers that would change the result, with the values under which they do not.
pub(super) const NEUTRAL: &Neutral = &[
    ("final_sigmas_type", &["\"zero\""]),
    ("interpolation_type", &["\"linear\""]),
    ("timestep_type", &["\"discrete\""]),
    ("use_beta_sigmas", &["false", "null"]),
    ("use_exponential_sigmas", &["false", "null"]),
    ("use_karras_sigmas", &["false", "null"]),
];

/// Euler steps of the probability flow (Karras et al., arXiv 2206.00364, algorithm 1), diffusers'
/// `EulerDiscreteScheduler`.
///
/// Samples are `x_0 + sigma noise` with `sigma = sqrt((1 - abar) / abar)`, hence large at first, and scaled
/// for the model. Samples are never clipped.
#[derive(Debug, Clone)]
pub struct EulerDiscreteScheduler {
    config: DiffusionConfig,
    /// sigma of every training timestep.
    training_sigmas: Vec<f64>,
    timesteps: Vec<f64>,
    /// sigma of every step, and 0.
    sigmas: Vec<f64>,
}

impl EulerDiscreteScheduler {
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &DiffusionConfig) -> Result<Self, SchedulerError> {
        config.refuse_unless_neutral(CLASS, NEUTRAL)?;
        let training_sigmas = NoiseSchedule::new(config)?.without_zero_snr().sigmas();
        Ok(Self { config: config.clone(), training_sigmas, timesteps: Vec::new(), sigmas: Vec::new() })
    }

    /// sigma of every step and after the last, falling; empty before [`Scheduler::set_timesteps`].
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// sigma at a timestep, linear between training timesteps.
    fn sigma_at(&self, timestep: f64) -> f64 {
        let low = timestep.floor() as usize;
        let high = (low + 1).min(self.training_sigmas.len() - 1);
        let fraction = timestep - timestep.floor();
        self.training_sigmas[low] * (1.0 - fraction) + self.training_sigmas[high] * fraction
    }
}

impl Scheduler for EulerDiscreteScheduler {
    fn set_timesteps(&mut self, n: usize) -> Result<(), SchedulerError> {
        self.timesteps = timesteps::fractional(&self.config, n)?;
        self.sigmas = self.timesteps.iter().map(|&timestep| self.sigma_at(timestep)).chain([0.0]).collect();
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        let largest = self.sigmas.first().copied().unwrap_or_default();
        match self.config.timestep_spacing {
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
        }
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        let sigma = self.sigmas.get(index).copied().unwrap_or_default();
        sample.mul_scalar(1.0 / (sigma * sigma + 1.0).sqrt())
    }

    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError> {
        check_shape("the model's output", &model_output, &sample)?;
        timestep_at(&self.timesteps, index)?;
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let original = match self.config.prediction_type {
            PredictionType::Epsilon => sample.clone() - model_output.mul_scalar(sigma),
            PredictionType::VPrediction => {
                let scale = 1.0 / (sigma * sigma + 1.0);
                sample.clone().mul_scalar(scale) - model_output.mul_scalar(sigma * scale.sqrt())
            }
            PredictionType::Sample => model_output,
        };
        // x + (x - x0) / sigma * (next - sigma), ordered so that the last step is exactly x0.
        let kept = next / sigma;
        let prev_sample = sample.mul_scalar(kept) + original.clone().mul_scalar(1.0 - kept);
        Ok(StepOutput { prev_sample, pred_original_sample: original })
    }

    fn reset(&mut self) {}
}
