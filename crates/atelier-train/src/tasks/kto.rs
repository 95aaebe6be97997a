//! Diffusion-KTO: every picture is good or bad by itself.

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError, forward_passes::ForwardPasses, latents::LatentCache, options::TrainOptions, painter,
    text_states::TextStates, trainer::Task,
};
use atelier_core::{
    models::{
        denoiser::Denoiser, gradient_checkpointing::DenoiserInput, prompt_embeddings::PromptEmbeddings,
    },
    noise::NoiseSource,
    objectives::{DiffusionKtoInput, Objective, diffusion_kto},
    pipeline::Pipeline,
};
use atelier_criteria::prompt::Prompt;
use burn::tensor::{Device, Tensor};
use image::RgbImage;

/// Pictures with more positive than negative attributes are liked, all others are not.
#[derive(Debug)]
pub struct KtoTask<'a> {
    /// The model before alignment, whose denoiser is the reference.
    pub reference: &'a Pipeline,
    /// Embeddings of captions.
    pub states: TextStates<'a>,
    /// Latents of the pictures.
    pub latents: &'a LatentCache,
    /// Whether each picture is liked.
    pub liked: Vec<bool>,
    /// Captions of the pictures.
    pub prompts: &'a [Prompt],
    /// Timesteps, noise and weights.
    pub noising: Noising,
    /// Options of the run.
    pub options: &'a TrainOptions,
}

/// Noisy latents of captioned pictures.
#[derive(Debug)]
pub struct KtoBatch {
    noised: NoisedBatch,
    captions: PromptEmbeddings,
    /// 1 or -1, `[batch]`.
    labels: Tensor<1>,
    dropout: Option<Dropout>,
}

impl Task for KtoTask<'_> {
    type Model = TrainedDenoiser;
    /// The reference.
    type Frozen = Denoiser;
    type Batch = KtoBatch;

    fn stage(&self) -> &'static str {
        self.options.objective.name()
    }

    fn examples(&self) -> usize {
        self.latents.len()
    }

    fn size(&self, example: usize) -> [u32; 2] {
        self.latents.size(example)
    }

    fn frozen(&self) -> Denoiser {
        self.reference.denoiser.clone()
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let captions: Vec<String> = examples.iter().map(|&i| self.prompts[i].caption.clone()).collect();
        let labels: Vec<f32> = examples.iter().map(|&i| if self.liked[i] { 1.0 } else { -1.0 }).collect();
        let (latents, sizes) = self.latents.draw(examples, noise, device)?;
        Ok(KtoBatch {
            noised: self.noising.draw(latents, noise),
            captions: self.states.get(&captions, &sizes, device)?,
            labels: Tensor::from_floats(labels.as_slice(), device),
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(
        &self,
        model: &TrainedDenoiser,
        base: &Denoiser,
        batch: KtoBatch,
        passes: &mut ForwardPasses,
    ) -> Objective {
        let KtoBatch { noised, captions, labels, dropout } = batch;
        let input = DenoiserInput { sample: noised.sample, timesteps: noised.timesteps, prompt: captions };
        let (prediction, reference) = passes.predict_beside(model, base, dropout, input);
        let input = DiffusionKtoInput {
            prediction,
            reference: reference.autodiff(),
            target: noised.target.autodiff(),
            labels: labels.autodiff(),
            weights: noised.weights.autodiff(),
        };
        diffusion_kto(input, self.options.beta())
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.reference.denoiser, None), ..self.reference.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
