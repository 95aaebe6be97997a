//! Painting, step by step before the visitor's eyes.

use super::{
    device::OpenDevice,
    failure::Failure,
    job::Job,
    link::reply,
    models::Painter,
    pictures::{png, to_pixels},
};
use atelier_core::{
    noise::seeded_latents,
    painting::{PaintingOptions, denoise},
    picture::{GenerationParameters, ModelNames, from_tensor},
    pipeline::Pipeline,
    sampling::SamplingStep,
    schedulers::SchedulerKind,
};
use atelier_web_messages::{Model, Recipe, Reply, Sampler};
use burn::tensor::Tensor;
use std::{ops::ControlFlow, rc::Rc};

/// Paints every picture of `recipe` with each of `painters`, picture by picture, so that those of one seed appear
/// together.
///
/// # Errors
/// [`Failure`]; pictures that are done stay.
pub async fn paint(
    painters: &[(Model, Rc<Painter>)],
    recipe: &Recipe,
    device: &OpenDevice,
    job: Job,
) -> Result<(), Failure> {
    for index in 0..recipe.count {
        for (model, painter) in painters {
            let picture = Picture { model: *model, index, seed: recipe.seed_of(index) };
            picture.paint(painter, recipe, device, job).await?;
        }
    }
    Ok(())
}

/// One picture of a recipe.
#[derive(Debug, Clone, Copy)]
struct Picture {
    model: Model,
    index: u32,
    seed: u64,
}

impl Picture {
    async fn paint(
        self,
        painter: &Painter,
        recipe: &Recipe,
        device: &OpenDevice,
        job: Job,
    ) -> Result<(), Failure> {
        let Self { model, index, seed } = self;
        let Painter { pipeline, preview } = painter;
        let options = options(recipe);
        let latents = denoised(pipeline, &recipe.prompt, seed, &options, device, async |step| {
            let picture = preview.project(step.predicted_original).await?.remove(0);
            let (step, steps) = (step.step as u32, step.steps as u32);
            reply(&Reply::Step { job: job.id, model, index, step, steps, preview: to_pixels(&picture) });
            job.pause().await
        })
        .await?;
        let picture = from_tensor(pipeline.decode_latents(latents)).await?.remove(0);
        let name = match model {
            Model::Base => "painter",
            Model::Aligned => "aligned",
        };
        let parameters = GenerationParameters {
            prompt: &recipe.prompt,
            options: &options,
            is_distilled: false,
            clip_skip: pipeline.clip_skip,
            seed,
            size: [picture.width(), picture.height()],
            models: &ModelNames { model: name.to_owned(), ..ModelNames::default() },
            initial_latents: None,
        };
        let png = png(&picture, &[(GenerationParameters::KEYWORD, &parameters.to_string())])?;
        reply(&Reply::Painted { job: job.id, model, index, seed, pixels: to_pixels(&picture), png });
        Ok(())
    }
}

/// The finished latents of the picture of `seed`, of the size that the model was made for. What `on_step` fails with ends the
/// sampling.
///
/// # Errors
/// [`Failure`].
pub async fn denoised(
    pipeline: &Pipeline,
    prompt: &str,
    seed: u64,
    options: &PaintingOptions,
    device: &OpenDevice,
    mut on_step: impl AsyncFnMut(SamplingStep<'_>) -> Result<(), Failure>,
) -> Result<Tensor<4>, Failure> {
    let [height, width] = pipeline.denoiser_config.sample_size().unwrap_or([32; 2]);
    let shape = [pipeline.vae_config.latent_channels(), height, width];
    let latents = seeded_latents(&[seed], shape, &device.device);
    let mut failure = None;
    let denoised =
        denoise(pipeline, &[prompt], &[seed], latents, options, async |step| match on_step(step).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        })
        .await;
    failure.map_or_else(|| Ok(denoised?), Err)
}

/// What the core calls the recipe's settings.
pub fn options(recipe: &Recipe) -> PaintingOptions {
    PaintingOptions {
        negative_prompt: String::new(),
        steps: recipe.steps as usize,
        guidance_scale: recipe.guidance,
        true_cfg_scale: 1.0,
        scheduler: match recipe.sampler {
            Sampler::Ddpm => SchedulerKind::Ddpm,
            Sampler::Ddim => SchedulerKind::Ddim,
            Sampler::Euler => SchedulerKind::Euler,
            Sampler::DpmSolver => SchedulerKind::DpmSolverMultistep,
        },
    }
}
