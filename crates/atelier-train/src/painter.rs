//! Painting with a model from native code: prompts in, pictures out.

use crate::{error::TrainError, options::TrainOptions, picture, pictures, trainer::device_of};
use atelier_core::{
    models::{autoencoder::Autoencoder, denoiser::DenoiserConfig, transformer_flux::DEFAULT_GUIDANCE},
    noise::seeded_latents,
    painting::{self, PaintingOptions},
    picture::to_tensor,
    pipeline::Pipeline,
    sampling::SamplingStep,
    schedulers::{SchedulerConfig, SchedulerKind},
};
use atelier_criteria::prompt::Prompt;
use atelier_kernels::on_one_thread;
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use std::{
    ops::ControlFlow,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// How to paint.
#[derive(Debug, Clone, PartialEq)]
pub struct PaintOptions {
    /// How each picture is denoised.
    pub painting: PaintingOptions,
    /// Width and height of the pictures, in pixels.
    pub size: [u32; 2],
    /// Pictures painted at once.
    pub batch: usize,
}

impl Default for PaintOptions {
    fn default() -> Self {
        Self {
            painting: PaintingOptions {
                negative_prompt: String::new(),
                steps: 20,
                guidance_scale: 3.0,
                true_cfg_scale: 1.0,
                scheduler: SchedulerKind::DpmSolverMultistep,
            },
            size: [128; 2],
            batch: 16,
        }
    }
}

impl PaintOptions {
    /// What suits `pipeline`: the size that its denoiser was made for, the guidance that models of its kind are used with,
    /// and, unless `scheduler` is chosen, the sampler of its folder or what stands in for it.
    ///
    /// # Errors
    /// [`TrainError::Pipeline`] if the model cannot be sampled so.
    pub fn for_model(pipeline: &Pipeline, scheduler: Option<SchedulerKind>) -> Result<Self, TrainError> {
        let guidance_scale = match (&pipeline.denoiser_config, &pipeline.vae) {
            (DenoiserConfig::Flux(_), _) => DEFAULT_GUIDANCE,
            // The guidance of diffusers' pipeline.
            (DenoiserConfig::Sd3(_), _) => 7.0,
            // Small painters.
            (DenoiserConfig::Unet(_), Autoencoder::Tiny(_)) => 2.0,
            (DenoiserConfig::Unet(_), Autoencoder::Kl(_)) => match pipeline.second_text_encoder {
                None => 7.5,
                Some(_) => 5.0,
            },
        };
        Ok(Self {
            painting: PaintingOptions {
                negative_prompt: String::new(),
                steps: 50,
                guidance_scale,
                true_cfg_scale: 1.0,
                scheduler: pipeline.sampler(scheduler)?.kind,
            },
            size: suited_size(pipeline),
            batch: 8,
        })
    }
}

/// Width and height of the pictures that the denoiser of `pipeline` was made for, in pixels.
pub fn suited_size(pipeline: &Pipeline) -> [u32; 2] {
    let factor = pipeline.vae_config.downsampling_factor();
    let [height, width] = pipeline.denoiser_config.sample_size().unwrap_or([64; 2]);
    [width, height].map(|side| (side * factor) as u32)
}

/// Paints one picture for each `(prompt, seed)`; `progress` is told the pictures done as a fraction of all, after each
/// step of a batch, and cancels with `Break`. On the CPU several batches are painted at once.
///
/// # Errors
/// [`TrainError::Cancelled`], or what the model or device fails with.
pub fn paint(
    pipeline: &Pipeline,
    requests: &[(String, u64)],
    options: &PaintOptions,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Vec<RgbImage>, TrainError> {
    let device = device_of(&pipeline.denoiser);
    // One batch leaves cores of the CPU idle; a GPU takes batches one by one.
    let workers = if device == Device::flex() { rayon::current_num_threads() } else { 1 };
    let size = options.batch.min(requests.len().div_ceil(workers)).max(1);
    let batches: Vec<&[(String, u64)]> = requests.chunks(size).collect();
    // Whether every processor has a batch of its own.
    let fully = batches.len() >= workers;
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let work = |sender: mpsc::Sender<f64>| -> Result<Vec<(usize, Vec<RgbImage>)>, TrainError> {
            let mut painted = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(index) else { return Ok(painted) };
                let share = batch.len() as f64 / requests.len() as f64;
                let mut done = |steps: usize| {
                    let _ = sender.send(share / steps as f64);
                    if stop.load(Ordering::Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                let images = paint_batch(pipeline, batch, options, &mut done);
                // What one worker fails with, the others need not finish.
                painted.push((index, images.inspect_err(|_| stop.store(true, Ordering::Relaxed))?));
            }
        };
        let threads: Vec<_> = (0..workers.min(batches.len()))
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || if fully { on_one_thread(|| work(sender)) } else { work(sender) })
            })
            .collect();
        drop(sender);
        let mut sum = 0.0;
        // Ends when the last worker drops its sender.
        for done in receiver {
            sum += done;
            if progress(f64::min(sum, 1.0)).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        let mut painted = Vec::with_capacity(batches.len());
        let mut failures = Vec::new();
        for thread in threads {
            match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(images) => painted.extend(images),
                Err(error) => failures.push(error),
            }
        }
        // Those that stopped because another one failed say nothing of why.
        let cause = failures.iter().position(|error| !error.is_cancelled()).unwrap_or_default();
        if cause < failures.len() {
            return Err(failures.swap_remove(cause));
        }
        painted.sort_by_key(|(index, _)| *index);
        Ok(painted.into_iter().flat_map(|(_, images)| images).collect())
    })
}

/// Paints one batch; `done` is told the number of steps after each of them, and cancels with `Break`.
fn paint_batch(
    pipeline: &Pipeline,
    batch: &[(String, u64)],
    options: &PaintOptions,
    done: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<RgbImage>, TrainError> {
    let prompts: Vec<&str> = batch.iter().map(|(prompt, _)| prompt.as_str()).collect();
    let seeds: Vec<u64> = batch.iter().map(|(_, seed)| *seed).collect();
    let latents = initial_latents(pipeline, &seeds, options);
    let latents =
        denoise(pipeline, &prompts, &seeds, latents, &options.painting, &mut |step| done(step.steps))?;
    pictures::to_images(pipeline.decode_latents(latents))
}

/// Unit Gaussian noise of each seed, `[seeds, channels, height, width]`.
pub fn initial_latents(pipeline: &Pipeline, seeds: &[u64], options: &PaintOptions) -> Tensor<4> {
    let [width, height] = options.size.map(|side| side as usize);
    seeded_latents(seeds, pipeline.latent_shape(height, width), &device_of(&pipeline.denoiser))
}

/// Denoises `latents` (unit Gaussian noise, `[batch, channels, height, width]`) with one prompt for each; `seeds` decide
/// the noise that a sampler adds on the way. `on_step` cancels with `Break`.
///
/// # Errors
/// As [`paint`].
pub fn denoise(
    pipeline: &Pipeline,
    prompts: &[&str],
    seeds: &[u64],
    latents: Tensor<4>,
    options: &PaintingOptions,
    on_step: &mut dyn FnMut(&SamplingStep<'_>) -> ControlFlow<()>,
) -> Result<Tensor<4>, TrainError> {
    let denoised = painting::denoise(pipeline, prompts, seeds, latents, options, async |step| on_step(&step));
    Ok(futures_lite::future::block_on(denoised)?)
}

/// `images` as `pipeline`'s autoencoder gives them back; all must have one size.
///
/// # Errors
/// As [`pictures::to_images`].
pub fn reconstruct(pipeline: &Pipeline, images: &[RgbImage]) -> Result<Vec<RgbImage>, TrainError> {
    let device = device_of(&pipeline.vae);
    let mut painted = Vec::with_capacity(images.len());
    for batch in images.chunks(PaintOptions::default().batch) {
        let pixels = to_tensor(batch, &device);
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
    let mut quick = PaintOptions::default();
    let suited = match &pipeline.scheduler_config {
        SchedulerConfig::Diffusion(_) => {
            // The folder may ask DPM-Solver++ for something that is not implemented.
            if pipeline.sampler(Some(quick.painting.scheduler)).is_err() {
                quick.painting.scheduler = SchedulerKind::Ddim;
            }
            quick
        }
        SchedulerConfig::FlowMatch(_) => {
            let mut suited = PaintOptions::for_model(pipeline, Some(SchedulerKind::FlowMatchEuler))?;
            suited.painting.steps = quick.painting.steps;
            suited
        }
    };
    let paint_options = PaintOptions { size: [options.size; 2], ..suited };
    let pictures = paint(pipeline, &requests, &paint_options, &mut |_| ControlFlow::Continue(()))?;
    Ok(picture::grid(&pictures, count.div_ceil(2).min(8), 2))
}
