use super::{
    DiffusionConfig, NoiseSchedule, Scheduler, SchedulerError, StepOutput, add_variance, check_shape,
    timestep_at, timesteps,
};
use burn::tensor::Tensor;

const CLASS: &str = "DDIMScheduler";

/// Denoising diffusion implicit models (Song et al., arXiv 2010.02502, equation 12), diffusers'
/// `DDIMScheduler`.
///
/// As there, every step goes `num_train_timesteps / n` (a whole number) training timesteps down, which with
/// the spacings `trailing` and `linspace` is not always where the next step starts.
#[derive(Debug, Clone)]
pub struct DDIMScheduler {
    config: DiffusionConfig,
    schedule: NoiseSchedule,
    timesteps: Vec<f64>,
    eta: f64,
}

impl DDIMScheduler {
    /// A deterministic sampler.
    ///
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &DiffusionConfig) -> Result<Self, SchedulerError> {
        config.refuse_unless_neutral(CLASS, &[])?;
        Ok(Self {
            config: config.clone(),
            schedule: NoiseSchedule::new(config)?,
            timesteps: Vec::new(),
            eta: 0.0,
        })
    }

    /// Adds noise on the way: `eta` in `[0, 1]`, from none to as much as DDPM (equation 16 of arXiv
    /// 2010.02502).
    ///
    /// # Errors
    /// [`SchedulerError::Invalid`] for an `eta` out of its range.
    pub fn with_eta(mut self, eta: f64) -> Result<Self, SchedulerError> {
        if !(0.0..=1.0).contains(&eta) {
            return Err(SchedulerError::Invalid {
                key: "eta",
                problem: format!("is {eta}; it must lie in 0..=1"),
            });
        }
        self.eta = eta;
        Ok(self)
    }

    /// abar at the timestep of step `index` and where the step leads.
    fn alphas_cumprod(&self, index: usize) -> Result<[f64; 2], SchedulerError> {
        let all = self.schedule.alphas_cumprod();
        let timestep = timestep_at(&self.timesteps, index)? as usize;
        let previous = timestep.checked_sub(all.len() / self.timesteps.len());
        let last = if self.config.set_alpha_to_one { 1.0 } else { all[0] };
        Ok([all[timestep], previous.map_or(last, |previous| all[previous])])
    }

    /// The standard deviation of the noise between two timesteps (equation 16 of arXiv 2010.02502).
    fn deviation(&self, [current, previous]: [f64; 2]) -> f64 {
        let variance = (1.0 - previous) / (1.0 - current) * (1.0 - current / previous);
        self.eta * variance.max(0.0).sqrt()
    }
}

impl Scheduler for DDIMScheduler {
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
        self.alphas_cumprod(index).is_ok_and(|alphas| self.deviation(alphas) > 0.0)
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
        let kind = self.config.prediction_type;
        let original = self.schedule.predict_original(sample.clone(), model_output.clone(), &at, kind);
        let original = self.config.clip(original);
        // As in diffusers, clipping changes the original sample and not the direction.
        let epsilon = self.schedule.to_epsilon(sample, model_output, &at, kind);
        let deviation = self.deviation([current, previous]);
        let direction = epsilon.mul_scalar((1.0 - previous - deviation * deviation).max(0.0).sqrt());
        let mean = original.clone().mul_scalar(previous.sqrt()) + direction;
        let prev_sample = add_variance(mean, deviation, noise, index)?;
        Ok(StepOutput { prev_sample, pred_original_sample: original })
    }

    fn reset(&mut self) {}
}
