//! Euler's method on the probability-flow equation.

use super::{NoiseSchedule, PredictionType, Scheduler, SchedulerConfig, SchedulerError, StepOutput, TimestepSpacing, timesteps};
use burn::tensor::Tensor;

/// diffusers' `EulerDiscreteScheduler` with linear interpolation and without churn (algorithm 2 of Karras et al.,
/// arXiv 2206.00364). Samples are `x_0 + sigma noise` here, not scaled to unit variance.
#[derive(Debug, Clone)]
pub struct EulerDiscreteScheduler {
    config: SchedulerConfig,
    training_sigmas: Vec<f64>,
    timesteps: Vec<f64>,
    /// One more than timesteps; the last is 0.
    sigmas: Vec<f64>,
}

impl EulerDiscreteScheduler {
    /// # Errors
    /// [`SchedulerError::Config`] if the configuration is not supported.
    pub fn new(config: &SchedulerConfig) -> Result<Self, SchedulerError> {
        let schedule = NoiseSchedule::new(config)?;
        let training_sigmas = timesteps::sigmas(schedule.alphas_cumprod(), config.rescale_betas_zero_snr);
        Ok(Self { config: config.clone(), training_sigmas, timesteps: Vec::new(), sigmas: Vec::new() })
    }

    fn spacing(&self) -> TimestepSpacing {
        self.config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace)
    }
}

impl Scheduler for EulerDiscreteScheduler {
    fn set_timesteps(&mut self, steps: usize) -> Result<(), SchedulerError> {
        timesteps::check(steps, &self.config)?;
        self.timesteps = timesteps::spaced(steps, self.spacing(), &self.config);
        let sigmas = self.timesteps.iter().map(|&timestep| timesteps::interpolate(&self.training_sigmas, timestep));
        self.sigmas = sigmas.chain([0.0]).collect();
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        let largest = self.sigmas.iter().copied().fold(0.0, f64::max);
        match self.spacing() {
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
        }
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        let sigma = self.sigmas.get(index).copied().unwrap_or_default();
        sample.div_scalar((sigma * sigma + 1.0).sqrt())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError> {
        timesteps::check_index(index, self.timesteps.len())?;
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let original = match self.config.prediction_type {
            PredictionType::Epsilon => sample.clone() - model_output.mul_scalar(sigma),
            PredictionType::VPrediction => {
                let square = sigma * sigma + 1.0;
                model_output.mul_scalar(-sigma / square.sqrt()) + sample.clone().div_scalar(square)
            }
            PredictionType::Sample => model_output,
        };
        let derivative = (sample.clone() - original.clone()).div_scalar(sigma);
        Ok(StepOutput { prev_sample: sample + derivative.mul_scalar(next - sigma), pred_original_sample: original })
    }
}
