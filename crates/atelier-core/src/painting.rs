//! Painting: prompts and noise in, latents out, the same natively and in a browser.

use crate::{
    noise::NoiseSource,
    pipeline::{Pipeline, PipelineError, SizeConditions},
    sampling::{Conditioning, SamplingError, SamplingStep, sample},
    schedulers::{SchedulerError, SchedulerKind},
};
use burn::tensor::Tensor;
use std::ops::{ControlFlow, RangeInclusive};
use thiserror::Error;

/// How to denoise.
#[derive(Debug, Clone, PartialEq)]
pub struct PaintingOptions {
    /// What guidance leads away from; empty for nothing in particular.
    pub negative_prompt: String,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale; 1 is none. For models that are distilled with guidance, such as FLUX.1 dev, it is an input of the
    /// model, as `guidance_scale` in diffusers.
    pub guidance_scale: f64,
    /// Scale of classifier-free guidance for such models, as `true_cfg_scale` in diffusers; 1 is none, and halves the time.
    pub true_cfg_scale: f64,
    /// The sampler.
    pub scheduler: SchedulerKind,
}

impl PaintingOptions {
    /// Guidance scales, and strengths of LoRAs, that computing with 32 bits can do something with. Those in use are far
    /// within.
    pub const SCALES: RangeInclusive<f64> = -1000.0..=1000.0;
    /// Denoising steps; how many are possible depends on the model as well.
    pub const STEPS: RangeInclusive<usize> = 1..=10_000;
}

/// A picture could not be painted.
#[derive(Debug, Error)]
pub enum PaintingError {
    /// The prompt cannot be encoded.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The model cannot be sampled so.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// Sampling failed or was cancelled.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
}

/// Denoises `latents` (unit Gaussian noise, `[batch, channels, height, width]`) with one prompt for each; `seeds` decide
/// the noise that a sampler adds on the way. `on_step` as in [`sample`].
///
/// # Errors
/// [`PaintingError`].
pub async fn denoise(
    pipeline: &Pipeline,
    prompts: &[&str],
    seeds: &[u64],
    latents: Tensor<4>,
    options: &PaintingOptions,
    on_step: impl AsyncFnMut(SamplingStep<'_>) -> ControlFlow<()>,
) -> Result<Tensor<4>, PaintingError> {
    let device = latents.device();
    let [_, _, height, width] = latents.dims();
    let mut scheduler = pipeline.scheduler(options.scheduler, options.steps, [height, width])?;
    let factor = pipeline.vae_config.downsampling_factor();
    let sizes = [SizeConditions::whole(height * factor, width * factor)];
    let negative = pipeline.encode_negative_prompt(&options.negative_prompt, &device)?;
    let conditioning = Conditioning {
        prompt: pipeline.with_sizes(pipeline.encode_prompts(prompts, &device)?, &sizes),
        negative: Some(pipeline.with_sizes(negative, &sizes)),
        negative_denoiser: pipeline.negative_denoiser.clone(),
        guidance_scale: options.guidance_scale,
    };
    let conditioning = if pipeline.denoiser_config.is_guidance_distilled() {
        conditioning.distilled(options.guidance_scale, options.true_cfg_scale)
    } else {
        conditioning
    };
    // Noise on the way comes from a stream of its own, lest it repeat the initial noise.
    let mut noises: Vec<NoiseSource> = seeds.iter().map(|&seed| NoiseSource::with_stream(seed, 1)).collect();
    let done =
        sample(&pipeline.denoiser, scheduler.as_mut(), latents, &conditioning, &mut noises, on_step).await?;
    Ok(done)
}
