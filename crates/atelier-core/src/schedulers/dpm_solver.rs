//! A second-order multistep solver.

use super::{NoiseSchedule, PredictionType, Scheduler, SchedulerConfig, SchedulerError, StepOutput, TimestepSpacing, timesteps};
use burn::tensor::Tensor;

/// diffusers' `DPMSolverMultistepScheduler` in its default form: DPM-Solver++ (2M) with midpoints, and a last step of
/// first order to zero noise (Lu et al., arXiv 2211.01095).
#[derive(Debug, Clone)]
pub struct DPMSolverMultistepScheduler {
    config: SchedulerConfig,
    training_sigmas: Vec<f64>,
    timesteps: Vec<f64>,
    /// One more than timesteps; the last is 0.
    sigmas: Vec<f64>,
    /// The clean sample that the step before predicted.
    earlier: Option<Tensor<4>>,
}

/// Signal, deviation and half log-SNR of a sample of unit variance with this sigma.
struct Level {
    alpha: f64,
    sigma: f64,
    lambda: f64,
}

impl Level {
    fn of(sigma: f64) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        Self { alpha, sigma: sigma * alpha, lambda: -libm::log(sigma) }
    }
}

impl DPMSolverMultistepScheduler {
    /// # Errors
    /// [`SchedulerError::Config`] if the configuration is not supported.
    pub fn new(config: &SchedulerConfig) -> Result<Self, SchedulerError> {
        let schedule = NoiseSchedule::new(config)?;
        let training_sigmas = timesteps::sigmas(schedule.alphas_cumprod(), config.rescale_betas_zero_snr);
        Ok(Self {
            config: config.clone(),
            training_sigmas,
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            earlier: None,
        })
    }
}

impl Scheduler for DPMSolverMultistepScheduler {
    fn set_timesteps(&mut self, steps: usize) -> Result<(), SchedulerError> {
        timesteps::check(steps, &self.config)?;
        // One step more is planned and the cleanest left out, except when counting down from the noisiest.
        let spacing = self.config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
        let planned = if spacing == TimestepSpacing::Trailing { steps } else { steps + 1 };
        self.timesteps = timesteps::spaced(planned, spacing, &self.config);
        self.timesteps.truncate(steps);
        self.timesteps.iter_mut().for_each(|timestep| *timestep = timestep.round_ties_even());
        let sigmas = self.timesteps.iter().map(|&timestep| timesteps::interpolate(&self.training_sigmas, timestep));
        self.sigmas = sigmas.chain([0.0]).collect();
        self.reset();
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError> {
        timesteps::check_index(index, self.timesteps.len())?;
        let from = Level::of(self.sigmas[index]);
        let original = match self.config.prediction_type {
            PredictionType::Epsilon => {
                (sample.clone() - model_output.mul_scalar(from.sigma)).div_scalar(from.alpha)
            }
            PredictionType::VPrediction => {
                sample.clone().mul_scalar(from.alpha) - model_output.mul_scalar(from.sigma)
            }
            PredictionType::Sample => model_output,
        };
        let earlier = self.earlier.replace(original.clone());
        if index + 1 == self.timesteps.len() {
            // To zero noise the update is the predicted clean sample itself.
            return Ok(StepOutput { prev_sample: original.clone(), pred_original_sample: original });
        }
        let to = Level::of(self.sigmas[index + 1]);
        let width = to.lambda - from.lambda;
        let direction = match earlier {
            Some(earlier) if index > 0 => {
                let before = Level::of(self.sigmas[index - 1]);
                let ratio = (from.lambda - before.lambda) / width;
                original.clone() + (original.clone() - earlier).mul_scalar(0.5 / ratio)
            }
            _ => original.clone(),
        };
        let prev_sample = sample.mul_scalar(to.sigma / from.sigma)
            - direction.mul_scalar(to.alpha * libm::expm1(-width));
        Ok(StepOutput { prev_sample, pred_original_sample: original })
    }

    fn reset(&mut self) {
        self.earlier = None;
    }
}
