use super::{
    DiffusionConfig, NoiseSchedule, Scheduler, SchedulerError, StepOutput, add_variance, check_shape,
    config::Neutral, timestep_at, timesteps,
};
use burn::tensor::Tensor;

const CLASS: &str = "DDPMScheduler";

/// Keys of diffusers that would change the result, with the values under which they do not.
pub(super) const NEUTRAL: &Neutral = &[("variance_type", &["\"fixed_small\"", "null"])];

/// Ancestral sampling (Ho et al., arXiv 2006.11239, algorithm 2), diffusers' `DDPMScheduler` with the
/// variance `fixed_small`. Adds noise in every step but the last.
#[derive(Debug, Clone)]
pub struct DDPMScheduler {
    config: DiffusionConfig,
    schedule: NoiseSchedule,
    timesteps: Vec<f64>,
}

impl DDPMScheduler {
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &DiffusionConfig) -> Result<Self, SchedulerError> {
        config.refuse_unless_neutral(CLASS, NEUTRAL)?;
        Ok(Self { config: config.clone(), schedule: NoiseSchedule::new(config)?, timesteps: Vec::new() })
    }

    /// abar at the timestep of step `index` and at the next, which is 1 after the last step.
    fn alphas_cumprod(&self, index: usize) -> Result<[f64; 2], SchedulerError> {
        let all = self.schedule.alphas_cumprod();
        let at = |timestep: f64| all[timestep as usize];
        let current = at(timestep_at(&self.timesteps, index)?);
        Ok([current, self.timesteps.get(index + 1).map_or(1.0, |&next| at(next))])
    }
}

/// The standard deviation of the posterior between two timesteps (equation 7 of arXiv 2006.11239).
fn posterior_deviation([current, previous]: [f64; 2]) -> f64 {
    ((1.0 - previous) / (1.0 - current) * (1.0 - current / previous)).sqrt()
}

impl Scheduler for DDPMScheduler {
    fn set_timesteps(&mut self, n: usize) -> Result<(), SchedulerError> {
        self.timesteps = timesteps::discrete(&self.config, n)?;
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    fn scale_model_input(&self, sample: Tensor<4>, _index: usize) -> Tensor<4> {
        sample
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.alphas_cumprod(index).is_ok_and(|alphas| posterior_deviation(alphas) > 0.0)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError> {
        check_shape("the model's output", &model_output, &sample)?;
        let [current, previous] = self.alphas_cumprod(index)?;
        let at = vec![self.timesteps[index] as usize; sample.dims()[0]];
        let original =
            self.schedule.predict_original(sample.clone(), model_output, &at, self.config.prediction_type);
        let original = self.config.clip(original);
        // The mean of the posterior (equation 7 of arXiv 2006.11239).
        let alpha = current / previous;
        let original_coefficient = previous.sqrt() * (1.0 - alpha) / (1.0 - current);
        let sample_coefficient = alpha.sqrt() * (1.0 - previous) / (1.0 - current);
        let mean = original.clone().mul_scalar(original_coefficient) + sample.mul_scalar(sample_coefficient);
        let prev_sample = add_variance(mean, posterior_deviation([current, previous]), noise, index)?;
        Ok(StepOutput { prev_sample, pred_original_sample: original })
    }

    fn reset(&mut self) {}
}
