//! Sampling: from noise to latents, with classifier-free guidance.

use crate::{
    finite::{NotFinite, all_finite, flat},
    models::{denoiser::Denoiser, prompt_embeddings::PromptEmbeddings},
    noise::NoiseSource,
    schedulers::{Scheduler, SchedulerError},
};
use burn::tensor::{ExecutionError, Tensor};
use std::ops::ControlFlow;
use thiserror::Error;

/// Sampling ended without a picture.
#[derive(Debug, Error)]
pub enum SamplingError {
    /// The callback asked for it.
    #[error("sampling was cancelled after step {step} of {steps}")]
    Cancelled {
        /// Steps that were done.
        step: usize,
        /// Steps that were planned.
        steps: usize,
    },
    /// The scheduler rejected its input.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// Two inputs do not belong together.
    #[error("{0}")]
    Shape(String),
    /// A part of the model gave NaN or an infinity.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The device failed.
    #[error("the device did not return what was computed: {0}")]
    Device(String),
}

impl From<ExecutionError> for SamplingError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error.to_string())
    }
}

/// What the model is told.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// The prompts' embeddings, one row per picture.
    pub prompt: PromptEmbeddings,
    /// For the negative (or empty) prompt; one row serves the whole batch. Needed for guidance.
    pub negative: Option<PromptEmbeddings>,
    /// Answers the negative prompt instead of the denoiser that is sampled: the negative model of Diffusion-NPO (Wang et
    /// al., arXiv 2505.11245).
    pub negative_denoiser: Option<Denoiser>,
    /// Guidance scale s of `e_neg + s (e_prompt - e_neg)` (Ho and Salimans, arXiv 2207.12598); 1 is no guidance and
    /// costs one forward instead of two.
    pub guidance_scale: f64,
}

impl Conditioning {
    /// For models that are distilled with guidance, such as FLUX: `guidance_scale` becomes an input of the model, which those
    /// that have none ignore, and classifier-free guidance has the scale `true_cfg_scale`.
    #[must_use]
    pub fn distilled(self, guidance_scale: f64, true_cfg_scale: f64) -> Self {
        Self {
            prompt: self.prompt.with_guidance(guidance_scale),
            negative: self.negative.map(|negative| negative.with_guidance(guidance_scale)),
            guidance_scale: true_cfg_scale,
            negative_denoiser: self.negative_denoiser,
        }
    }
}

/// What a callback sees after every step.
#[derive(Debug)]
pub struct SamplingStep<'a> {
    /// Steps done, from 1.
    pub step: usize,
    /// Steps planned.
    pub steps: usize,
    /// The timestep that was just done, in training steps.
    pub timestep: f64,
    /// The latents after the step, `[batch, channels, height, width]`.
    pub latents: &'a Tensor<4>,
    /// The model's idea of the finished latents: what a preview shows.
    pub predicted_original: &'a Tensor<4>,
}

/// Denoises `latents` (unit Gaussian noise, `[batch, channels, height, width]`) along the scheduler's timesteps.
///
/// `noises` has one source per picture for schedulers that add noise on the way; a picture then depends on its own
/// source alone. `on_step` is awaited after every step: a browser gives way to its event loop there, a preview reads
/// back there, and [`ControlFlow::Break`] cancels. Every step ends with a look at the latents, for which it waits for the
/// device: sampling ends where numbers first are not finite.
///
/// # Errors
/// [`SamplingError`] when cancelled, when shapes or scheduler do not fit, and when numbers are not finite.
pub async fn sample(
    denoiser: &Denoiser,
    scheduler: &mut dyn Scheduler,
    latents: Tensor<4>,
    conditioning: &Conditioning,
    noises: &mut [NoiseSource],
    mut on_step: impl AsyncFnMut(SamplingStep<'_>) -> ControlFlow<()>,
) -> Result<Tensor<4>, SamplingError> {
    let [batch, channels, height, width] = latents.dims();
    let rows = conditioning.prompt.rows();
    if rows != batch || noises.len() != batch {
        return Err(SamplingError::Shape(format!(
            "{batch} pictures need {batch} prompts and {batch} noise sources, not {rows} and {}",
            noises.len()
        )));
    }
    let guided = conditioning.guidance_scale != 1.0;
    let guidance = if guided { Some(Guidance::new(conditioning, batch)?) } else { None };
    let texts = [Some(&conditioning.prompt), conditioning.negative.as_ref().filter(|_| guided)];
    for text in texts.into_iter().flatten() {
        check_text(text).await?;
    }
    let device = latents.device();
    scheduler.reset();
    let timesteps = scheduler.timesteps().to_vec();
    let steps = timesteps.len();
    let mut latents = latents.mul_scalar(scheduler.init_noise_sigma());
    for (index, &timestep) in timesteps.iter().enumerate() {
        let input = scheduler.scale_model_input(latents.clone(), index);
        let output = match &guidance {
            Some(guidance) => guidance.predict(denoiser, input, timestep),
            None => {
                let times = Tensor::full([batch], timestep, &device);
                denoiser.forward(input, times, conditioning.prompt.clone())
            }
        };
        let noise = scheduler.needs_noise(index).then(|| {
            let rows = noises.iter_mut().map(|source| source.normal([1, channels, height, width], &device));
            Tensor::cat(rows.collect(), 0)
        });
        let done = scheduler.step(output.clone(), index, latents, noise)?;
        latents = done.prev_sample;
        let step = index + 1;
        match all_finite([flat(&output), flat(&latents)]).await? {
            [true, true] => {}
            [true, false] => return Err(NotFinite::Scheduler { step, steps }.into()),
            [false, _] => return Err(NotFinite::Denoiser { step, steps }.into()),
        }
        let event = SamplingStep {
            step,
            steps,
            timestep,
            latents: &latents,
            predicted_original: &done.pred_original_sample,
        };
        if on_step(event).await.is_break() {
            return Err(SamplingError::Cancelled { step, steps });
        }
    }
    Ok(latents)
}

/// Whether the text encoders gave finite numbers.
async fn check_text(text: &PromptEmbeddings) -> Result<(), SamplingError> {
    let states = flat(&text.prompt_embeds);
    let pooled = text.pooled_prompt_embeds.as_ref().map_or_else(|| states.clone(), flat);
    match all_finite([states, pooled]).await? {
        [true, true] => Ok(()),
        _ => Err(NotFinite::TextEncoder.into()),
    }
}

/// Predictions led away from those for the negative prompt.
struct Guidance<'a> {
    /// The denoiser that answers the negative prompt, and the prompt, where it is another one.
    negative: Option<(&'a Denoiser, PromptEmbeddings)>,
    /// The other prompts; where one denoiser answers all, in one batch, the negative ones stand before them.
    prompt: PromptEmbeddings,
    scale: f64,
}

impl<'a> Guidance<'a> {
    fn new(conditioning: &'a Conditioning, batch: usize) -> Result<Self, SamplingError> {
        let Some(negative) = conditioning.negative.clone() else {
            return Err(SamplingError::Shape(
                "guidance needs the states of a negative prompt; encode \"\" for none".to_owned(),
            ));
        };
        let negative = if negative.rows() == batch { negative } else { negative.expand(batch) };
        let (prompt, scale) = (conditioning.prompt.clone(), conditioning.guidance_scale);
        Ok(match &conditioning.negative_denoiser {
            Some(denoiser) => Self { negative: Some((denoiser, negative)), prompt, scale },
            None => Self { negative: None, prompt: PromptEmbeddings::cat(vec![negative, prompt]), scale },
        })
    }

    fn predict(&self, denoiser: &Denoiser, input: Tensor<4>, timestep: f64) -> Tensor<4> {
        let (batch, device) = (input.dims()[0], input.device());
        let times = |rows: usize| Tensor::full([rows], timestep, &device);
        let (negative, prompted) = match &self.negative {
            None => {
                let inputs = Tensor::cat(vec![input.clone(), input], 0);
                let both = denoiser.forward(inputs, times(2 * batch), self.prompt.clone());
                (both.clone().slice([0..batch]), both.slice([batch..2 * batch]))
            }
            Some((negative_denoiser, negative)) => (
                negative_denoiser.forward(input.clone(), times(batch), negative.clone()),
                denoiser.forward(input, times(batch), self.prompt.clone()),
            ),
        };
        negative.clone() + (prompted - negative).mul_scalar(self.scale)
    }
}
