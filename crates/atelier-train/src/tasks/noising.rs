//! What all denoising tasks do first: draw timesteps and noise.

use crate::error::TrainError;
use atelier_core::{
    noise::NoiseSource,
    objectives::min_snr_weight,
    schedulers::{NoiseSchedule, PredictionType, SchedulerConfig},
};
use burn::tensor::{Device, Tensor};

/// Draws noisy latents for training.
#[derive(Debug, Clone)]
pub struct Noising {
    schedule: NoiseSchedule,
    prediction_type: PredictionType,
    snr_gamma: f64,
}

/// A noised batch.
#[derive(Debug, Clone)]
pub struct NoisedBatch {
    /// x_t, `[batch, channels, height, width]`.
    pub sample: Tensor<4>,
    /// t as the model takes it, `[batch]`.
    pub timesteps: Tensor<1>,
    /// What the model should predict: the noise or the velocity.
    pub target: Tensor<4>,
    /// Min-SNR weights, `[batch]`; ones without a gamma.
    pub weights: Tensor<1>,
}

impl Noising {
    /// For a model's scheduler configuration; a `snr_gamma` of 0 weights all timesteps alike.
    ///
    /// # Errors
    /// [`TrainError::Scheduler`] if the configuration is not supported.
    pub fn new(config: &SchedulerConfig, snr_gamma: f64) -> Result<Self, TrainError> {
        Ok(Self { schedule: NoiseSchedule::new(config)?, prediction_type: config.prediction_type, snr_gamma })
    }

    /// Draws one timestep and one noise for each row of `latents`, all on the latents' device.
    pub fn draw(&self, latents: Tensor<4>, noise: &mut NoiseSource) -> NoisedBatch {
        let (steps, gaussian) = self.drawn(&latents, noise);
        self.noised(latents, &steps, gaussian)
    }

    /// As [`Self::draw`], for the two latents of every pair, which get the same timestep and noise.
    pub fn draw_pair(
        &self,
        winning: Tensor<4>,
        losing: Tensor<4>,
        noise: &mut NoiseSource,
    ) -> [NoisedBatch; 2] {
        let (steps, gaussian) = self.drawn(&winning, noise);
        [winning, losing].map(|latents| self.noised(latents, &steps, gaussian.clone()))
    }

    fn drawn(&self, latents: &Tensor<4>, noise: &mut NoiseSource) -> (Vec<usize>, Tensor<4>) {
        let shape = latents.dims();
        let count = self.schedule.alphas_cumprod().len();
        let steps = (0..shape[0]).map(|_| noise.below(count)).collect();
        (steps, noise.normal(shape, &latents.device()))
    }

    fn noised(&self, latents: Tensor<4>, steps: &[usize], gaussian: Tensor<4>) -> NoisedBatch {
        let device: Device = latents.device();
        let sample = self.schedule.add_noise(latents.clone(), gaussian.clone(), steps);
        let target = match self.prediction_type {
            PredictionType::Epsilon => gaussian,
            PredictionType::VPrediction => self.schedule.velocity(latents, gaussian, steps),
            PredictionType::Sample => latents,
        };
        let weight = |&step: &usize| {
            if self.snr_gamma == 0.0 {
                return 1.0;
            }
            min_snr_weight(self.schedule.snr(step), self.snr_gamma, self.prediction_type) as f32
        };
        let weights: Vec<f32> = steps.iter().map(weight).collect();
        let times: Vec<f32> = steps.iter().map(|&step| step as f32).collect();
        NoisedBatch {
            sample,
            timesteps: Tensor::from_floats(times.as_slice(), &device),
            target,
            weights: Tensor::from_floats(weights.as_slice(), &device),
        }
    }
}
