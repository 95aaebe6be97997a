//! Painting, step by step before the visitor's eyes.

use crate::{
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
    picture::{GenerationParameters, from_tensor},
    schedulers::SchedulerKind,
};
use atelier_web_messages::{Model, Recipe, Reply, Sampler};
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
        let size = side(painter);
        let latents =
            seeded_latents(&[seed], pipeline.latent_shape(size as usize, size as usize), &device.device);
        let mut failure = None;
        let latents =
            denoise(pipeline, &[&recipe.prompt], &[seed], latents, &options(recipe), async |step| {
                let shown = async {
                    let picture = preview.project(step.predicted_original).await?.remove(0);
                    let (step, steps) = (step.step as u32, step.steps as u32);
                    let preview = to_pixels(&picture);
                    reply(&Reply::Step { job: job.id, model, index, step, steps, preview });
                    job.pause().await
                };
                match shown.await {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .await;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let picture = from_tensor(pipeline.decode_latents(latents?)).await?.remove(0);
        let parameters = GenerationParameters {
            prompt: &recipe.prompt,
            negative_prompt: "",
            steps: recipe.steps as usize,
            scheduler: kind(recipe.sampler),
            guidance_scale: recipe.guidance,
            distilled_guidance_scale: None,
            seed,
            size: [size; 2],
            model: match model {
                Model::Base => "painter",
                Model::Aligned => "aligned",
            },
        };
        let png = png(&picture, &[(GenerationParameters::KEYWORD, &parameters.to_string())])?;
        reply(&Reply::Painted { job: job.id, model, index, seed, pixels: to_pixels(&picture), png });
        Ok(())
    }
}

/// The sides of the pictures that the model was made for, in pixels.
pub fn side(painter: &Painter) -> u32 {
    let factor = painter.pipeline.vae_config.downsampling_factor();
    let [side, _] = painter.pipeline.denoiser_config.sample_size().unwrap_or([32; 2]);
    (side * factor) as u32
}

/// What the core calls the recipe's settings.
pub fn options(recipe: &Recipe) -> PaintingOptions {
    PaintingOptions {
        negative_prompt: String::new(),
        steps: recipe.steps as usize,
        guidance_scale: recipe.guidance,
        true_cfg_scale: 1.0,
        scheduler: kind(recipe.sampler),
    }
}

fn kind(sampler: Sampler) -> SchedulerKind {
    match sampler {
        Sampler::Ddpm => SchedulerKind::Ddpm,
        Sampler::Ddim => SchedulerKind::Ddim,
        Sampler::Euler => SchedulerKind::Euler,
        Sampler::DpmSolver => SchedulerKind::DpmSolverMultistep,
    }
}
