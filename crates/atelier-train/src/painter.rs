//! Painting with a model from native code: prompts in, pictures out.

use crate::{error::TrainError, options::TrainOptions, picture, pictures, trainer::device_of};
use atelier_core::{
    noise::{NoiseSource, seeded_latents},
    pipeline::Pipeline,
    sampling::{Conditioning, sample},
    schedulers::SchedulerKind,
};
use atelier_criteria::prompt::Prompt;
use burn::tensor::{Tensor, TensorData};
use image::RgbImage;
use std::ops::ControlFlow;

/// How to paint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaintOptions {
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale; 1 is none.
    pub guidance_scale: f64,
    /// The sampler.
    pub scheduler: SchedulerKind,
    /// Side of the pictures, in pixels.
    pub size: u32,
    /// Pictures painted at once.
    pub batch: usize,
}

impl Default for PaintOptions {
    fn default() -> Self {
        Self {
            steps: 20,
            guidance_scale: 3.0,
            scheduler: SchedulerKind::DpmSolverMultistep,
            size: 128,
            batch: 16,
        }
    }
}

/// Paints one picture for each `(prompt, seed)`; `progress` is told the pictures done after each step of a batch, as a
/// fraction of all, and cancels with `Break`.
///
/// # Errors
/// [`TrainError::Sampling`] when cancelled, or what the model or device fails with.
pub fn paint(
    pipeline: &Pipeline,
    requests: &[(String, u64)],
    options: &PaintOptions,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Vec<RgbImage>, TrainError> {
    let device = device_of(&pipeline.unet);
    let mut scheduler = options.scheduler.build(&pipeline.scheduler_config)?;
    scheduler.set_timesteps(options.steps)?;
    let negative = pipeline.encode_prompts(&[""], &device)?;
    let mut painted = Vec::with_capacity(requests.len());
    for batch in requests.chunks(options.batch.max(1)) {
        let prompts: Vec<&str> = batch.iter().map(|(prompt, _)| prompt.as_str()).collect();
        let seeds: Vec<u64> = batch.iter().map(|(_, seed)| *seed).collect();
        let conditioning = Conditioning {
            prompt: pipeline.encode_prompts(&prompts, &device)?,
            negative: Some(negative.clone()),
            guidance_scale: options.guidance_scale,
        };
        let latents = seeded_latents(&seeds, pipeline.latent_shape(options.size as usize), &device);
        // Noise on the way comes from a stream of its own, lest it repeat the initial noise.
        let mut noises: Vec<NoiseSource> =
            seeds.iter().map(|&seed| NoiseSource::with_stream(seed, 1)).collect();
        let before = painted.len() as f64;
        let (count, all) = (batch.len() as f64, requests.len() as f64);
        let latents = futures_lite::future::block_on(sample(
            &pipeline.unet,
            scheduler.as_mut(),
            latents,
            &conditioning,
            &mut noises,
            async |step| progress((before + count * step.step as f64 / step.steps as f64) / all),
        ))?;
        painted.extend(pictures::to_images(pipeline.decode_latents(latents))?);
    }
    Ok(painted)
}

/// `images` as `pipeline`'s autoencoder gives them back; all must have one size.
///
/// # Errors
/// [`TrainError::DeviceLost`].
pub fn reconstruct(pipeline: &Pipeline, images: &[RgbImage]) -> Result<Vec<RgbImage>, TrainError> {
    let device = device_of(&pipeline.vae);
    let mut painted = Vec::with_capacity(images.len());
    for batch in images.chunks(PaintOptions::default().batch) {
        let (width, height) = (batch[0].width() as usize, batch[0].height() as usize);
        let values: Vec<f32> = batch.iter().flat_map(picture::to_chw).collect();
        let pixels = Tensor::from_data(TensorData::new(values, [batch.len(), 3, height, width]), &device);
        painted.extend(pictures::to_images(pipeline.decode_latents(pipeline.encode_pictures(pixels)))?);
    }
    Ok(painted)
}

/// A grid of pictures for the first captions of the data, always from the same seeds, so that grids of different steps
/// can be compared.
///
/// # Errors
/// As [`paint`].
pub fn sample_grid(
    pipeline: &Pipeline,
    prompts: &[Prompt],
    options: &TrainOptions,
) -> Result<RgbImage, TrainError> {
    let count = options.num_validation_images.max(1);
    let requests: Vec<(String, u64)> = prompts
        .iter()
        .cycle()
        .take(count)
        .zip(0..)
        .map(|(prompt, seed)| (prompt.caption.clone(), seed))
        .collect();
    let paint_options = PaintOptions { size: options.size, ..PaintOptions::default() };
    let pictures = paint(pipeline, &requests, &paint_options, &mut |_| ControlFlow::Continue(()))?;
    Ok(picture::grid(&pictures, count.div_ceil(2).min(8), 2))
}
