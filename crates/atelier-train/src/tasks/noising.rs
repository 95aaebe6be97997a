//! What all denoising tasks do first: draw timesteps and noise.

use crate::error::TrainError;
use atelier_core::{
    noise::NoiseSource,
    objectives::min_snr_weight,
    schedulers::{FlowMatchSchedule, NoiseSchedule, PredictionType, SchedulerConfig},
};
use burn::tensor::{Device, Tensor};

/// Draws noisy latents for training.
#[derive(Debug, Clone)]
pub struct Noising {
    process: Process,
    snr_gamma: f64,
}

/// What turns pictures into noise.
#[derive(Debug, Clone)]
enum Process {
    Diffusion(NoiseSchedule, PredictionType),
    FlowMatch(FlowMatchSchedule),
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
    /// Min-SNR weights, `[batch]`; ones without a gamma, and for flow matching.
    pub weights: Tensor<1>,
}

impl Noising {
    /// For a model's scheduler configuration.
    ///
    /// Diffusion models see all timesteps alike, and a `snr_gamma` above 0 weighs them. Flow matching models see the middle
    /// ones more often, and all weigh alike: the timestep is the logistic function of a standard normal number, moved by the
    /// schedule's shift unless that depends on the size of the picture, as in diffusers' training scripts with
    /// `--weighting_scheme logit_normal` (Esser et al., arXiv 2403.03206, section 3.1).
    ///
    /// # Errors
    /// [`TrainError::Scheduler`] if the configuration is not supported.
    pub fn new(config: &SchedulerConfig, snr_gamma: f64) -> Result<Self, TrainError> {
        let process = match config {
            SchedulerConfig::Diffusion(config) => {
                Process::Diffusion(NoiseSchedule::new(config)?, config.prediction_type)
            }
            SchedulerConfig::FlowMatch(config) => Process::FlowMatch(FlowMatchSchedule::new(config)?),
        };
        Ok(Self { process, snr_gamma })
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
        let steps = match &self.process {
            Process::Diffusion(schedule, _) => {
                let count = schedule.alphas_cumprod().len();
                (0..shape[0]).map(|_| noise.below(count)).collect()
            }
            Process::FlowMatch(schedule) => {
                let normals = noise.normals(shape[0]);
                normals.into_iter().map(|normal| schedule.logit_normal_step(f64::from(normal))).collect()
            }
        };
        (steps, noise.normal(shape, &latents.device()))
    }

    fn noised(&self, latents: Tensor<4>, steps: &[usize], gaussian: Tensor<4>) -> NoisedBatch {
        let device: Device = latents.device();
        let row = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
        match &self.process {
            Process::Diffusion(schedule, prediction_type) => {
                let sample = schedule.add_noise(latents.clone(), gaussian.clone(), steps);
                let target = match prediction_type {
                    PredictionType::Epsilon => gaussian,
                    PredictionType::VPrediction => schedule.velocity(latents, gaussian, steps),
                    PredictionType::Sample => latents,
                };
                let weight = |&step: &usize| {
                    if self.snr_gamma == 0.0 {
                        return 1.0;
                    }
                    min_snr_weight(schedule.snr(step), self.snr_gamma, *prediction_type) as f32
                };
                NoisedBatch {
                    sample,
                    timesteps: row(steps.iter().map(|&step| step as f32).collect()),
                    target,
                    weights: row(steps.iter().map(weight).collect()),
                }
            }
            Process::FlowMatch(schedule) => NoisedBatch {
                sample: schedule.add_noise(latents.clone(), gaussian.clone(), steps),
                timesteps: row(steps.iter().map(|&step| schedule.timestep(step) as f32).collect()),
                target: schedule.velocity(latents, gaussian),
                weights: row(vec![1.0; steps.len()]),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::read;
    use atelier_core::schedulers::{DiffusionConfig, FlowMatchConfig};

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn flow(shift: f64) -> Noising {
        let config = FlowMatchConfig { shift, ..FlowMatchConfig::default() };
        Noising::new(&SchedulerConfig::FlowMatch(config), 5.0).unwrap()
    }

    #[test]
    fn flow_matching_draws_straight_paths() {
        let device = Device::flex();
        let latents = NoiseSource::new(1).normal([5, 2, 3, 4], &device);
        let batch = flow(3.0).draw(latents.clone(), &mut NoiseSource::new(2));
        assert_eq!(read(batch.weights).unwrap(), [1.0; 5]);
        // x_t - t v is where the path begins, x_t + (1 - t) v where it ends.
        let time = batch.timesteps.clone().div_scalar(1000.0).reshape([5, 1, 1, 1]);
        let start = batch.sample.clone() - batch.target.clone() * time.clone();
        assert!((start - latents.clone()).abs().max().into_scalar::<f32>() < 1e-5);
        let noise = batch.sample + batch.target.clone() * (time.neg() + 1.0);
        assert!((noise - latents - batch.target).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn flow_matching_draws_timesteps_of_a_shifted_logit_normal_distribution() {
        let times = |shift: f64| {
            let latents = Tensor::zeros([4000, 1, 1, 1], &Device::flex());
            let mut times = read(flow(shift).draw(latents, &mut NoiseSource::new(3)).timesteps).unwrap();
            times.sort_by(f32::total_cmp);
            assert!(0.0 < times[0] && times[3999] <= 1000.0);
            // At the quartiles of the normal distribution, -0.6745, 0 and 0.6745.
            [1000, 2000, 3000].map(|index| f64::from(times[index]) / 1000.0)
        };
        let expected = |shift: f64| {
            [-0.6745, 0.0, 0.6745]
                .map(|normal| shift * logistic(normal) / (1.0 + (shift - 1.0) * logistic(normal)))
        };
        for shift in [1.0, 3.0] {
            for (found, expected) in times(shift).into_iter().zip(expected(shift)) {
                // The standard error of a quartile is 0.022 in units of the normal number; of t at most a quarter of that.
                assert!((found - expected).abs() < 0.025, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn pairs_share_timesteps_and_noise() {
        let latents = NoiseSource::new(1).normal([3, 1, 2, 2], &Device::flex());
        let diffusion = SchedulerConfig::Diffusion(DiffusionConfig::default());
        for noising in [flow(1.0), Noising::new(&diffusion, 0.0).unwrap()] {
            let [first, second] =
                noising.draw_pair(latents.clone(), latents.clone(), &mut NoiseSource::new(2));
            assert_eq!(read(first.timesteps).unwrap(), read(second.timesteps).unwrap());
            assert_eq!(read(first.sample).unwrap(), read(second.sample).unwrap());
        }
    }
}
