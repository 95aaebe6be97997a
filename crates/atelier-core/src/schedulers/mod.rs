//! Noise schedulers with the names and numbers of Hugging Face diffusers.
//!
//! [`SchedulerConfig`] is diffusers' `scheduler_config.json`, [`NoiseSchedule`] (or, of flow matching models,
//! [`FlowMatchSchedule`]) the forward process that training uses, and a [`Scheduler`] walks the process backwards. Coefficients are computed on the host in
//! `f64` with `libm`, so that they are the same natively and in a browser.

mod class;
mod config;
mod ddim;
mod ddpm;
mod diffusion_config;
mod dpm_solver_multistep;
mod error;
mod euler_discrete;
mod flow_match_config;
mod flow_match_euler_discrete;
mod flow_match_schedule;
mod from_config;
mod keys;
mod kind;
mod noise_schedule;
mod sampler_choice;
mod timesteps;
mod warning;

pub use config::SchedulerConfig;
pub use ddim::DDIMScheduler;
pub use ddpm::DDPMScheduler;
pub use diffusion_config::{BetaSchedule, DiffusionConfig, PredictionType, TimestepSpacing};
pub use dpm_solver_multistep::DPMSolverMultistepScheduler;
pub use error::SchedulerError;
pub use euler_discrete::EulerDiscreteScheduler;
pub use flow_match_config::FlowMatchConfig;
pub use flow_match_euler_discrete::FlowMatchEulerDiscreteScheduler;
pub use flow_match_schedule::FlowMatchSchedule;
pub use kind::SchedulerKind;
pub use noise_schedule::NoiseSchedule;
pub use sampler_choice::{PipelineRules, SamplerChoice};
pub use warning::SchedulerWarning;

use burn::tensor::Tensor;
use std::fmt::Debug;

/// What one step gives, `[batch, channels, height, width]` each.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The sample at the next, less noisy timestep.
    pub prev_sample: Tensor<4>,
    /// The clean sample as the model sees it at this step (x0), clipped if the configuration says so.
    pub pred_original_sample: Tensor<4>,
}

/// Walks from noise to a sample.
///
/// Steps are counted by their `index` in [`Self::timesteps`], not by their timestep.
pub trait Scheduler: Debug {
    /// Chooses `n` timesteps, spaced as the configuration says, and forgets earlier steps.
    ///
    /// # Errors
    /// [`SchedulerError::Steps`] if the configuration has no `n` different timesteps.
    fn set_timesteps(&mut self, n: usize) -> Result<(), SchedulerError>;

    /// The timesteps to ask the model for, strictly decreasing, in training steps; empty before
    /// [`Self::set_timesteps`]. Those of Euler's steps can lie between training steps.
    fn timesteps(&self) -> &[f64];

    /// What unit Gaussian noise is multiplied by to be the first sample.
    fn init_noise_sigma(&self) -> f64;

    /// The model's input for the sample of step `index`.
    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4>;

    /// Whether step `index` adds noise, which [`Self::step`] then takes.
    fn needs_noise(&self, index: usize) -> bool;

    /// Does step `index`, from `sample` and what the model made of it, both `[batch, channels, height,
    /// width]`. `noise` is unit Gaussian, of the same shape; it is not looked at where [`Self::needs_noise`]
    /// is false.
    ///
    /// # Errors
    /// [`SchedulerError`] if there is no such step, if noise is missing, or if shapes differ.
    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError>;

    /// Forgets earlier steps, for another sample with the same timesteps.
    fn reset(&mut self);
}

/// The timestep of step `index`.
fn timestep_at(timesteps: &[f64], index: usize) -> Result<f64, SchedulerError> {
    timesteps.get(index).copied().ok_or(SchedulerError::Index { index, steps: timesteps.len() })
}

/// Refuses a tensor that does not have the shape of the sample.
fn check_shape(tensor: &'static str, found: &Tensor<4>, sample: &Tensor<4>) -> Result<(), SchedulerError> {
    let (found, expected) = (found.dims(), sample.dims());
    if found == expected { Ok(()) } else { Err(SchedulerError::Shape { tensor, found, expected }) }
}

/// Adds `deviation * noise` to `sample` where there is something to add.
fn add_variance(
    sample: Tensor<4>,
    deviation: f64,
    noise: Option<Tensor<4>>,
    index: usize,
) -> Result<Tensor<4>, SchedulerError> {
    if deviation == 0.0 {
        return Ok(sample);
    }
    let noise = noise.ok_or(SchedulerError::MissingNoise { index })?;
    check_shape("the noise", &noise, &sample)?;
    Ok(sample + noise.mul_scalar(deviation))
}

#[cfg(test)]
mod tests;
