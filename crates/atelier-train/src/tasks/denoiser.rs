//! Pretraining: denoiser and text encoder together, from nothing.

use super::{Noising, noising::NoisedBatch};
use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    latents::LatentCache,
    options::TrainOptions,
    painter,
    trainer::{NothingFrozen, Task},
};
use atelier_core::{
    models::{clip_text::CLIPTextModel, denoiser::Denoiser},
    noise::NoiseSource,
    objectives::{Objective, sft},
    pipeline::Pipeline,
};
use atelier_criteria::prompt::{BlockDropout, Prompt};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};
use image::RgbImage;

/// What pretraining trains after the autoencoder.
#[derive(Module, Debug)]
pub struct DenoiserWithText {
    /// The noise predictor.
    pub denoiser: Denoiser,
    /// The text encoder.
    pub text_encoder: CLIPTextModel,
}

/// The denoising loss on prompts with attributes, blocks of which are dropped at random.
#[derive(Debug)]
pub struct DenoiserTask<'a> {
    /// Everything but the two trained parts.
    pub pipeline: &'a Pipeline,
    /// Latents of the pictures.
    pub latents: &'a LatentCache,
    /// Captions and attributes of the pictures.
    pub prompts: &'a [Prompt],
    /// How often which blocks of the prompts are kept.
    pub dropout: BlockDropout,
    /// Timesteps, noise and weights.
    pub noising: Noising,
    /// For the sample grids.
    pub options: &'a TrainOptions,
}

impl Task for DenoiserTask<'_> {
    type Model = DenoiserWithText;
    type Frozen = NothingFrozen;
    /// Noisy latents, and token ids of the prompts, `[batch, tokens]`.
    type Batch = (NoisedBatch, Tensor<2, Int>);

    fn stage(&self) -> &'static str {
        "denoiser"
    }

    fn examples(&self) -> usize {
        self.latents.len()
    }

    fn size(&self, example: usize) -> [u32; 2] {
        self.latents.size(example)
    }

    fn frozen(&self) -> NothingFrozen {
        NothingFrozen
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let prompts: Vec<String> = examples
            .iter()
            .map(|&i| self.prompts[i].keep(self.dropout.draw(noise.uniform())).compose())
            .collect();
        let references: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let ids = self.pipeline.tokenizer.encode(&references, device)?;
        let (latents, _) = self.latents.draw(examples, noise, device)?;
        Ok((self.noising.draw(latents, noise), ids))
    }

    fn objective(
        &self,
        model: &DenoiserWithText,
        _frozen: &NothingFrozen,
        (batch, ids): Self::Batch,
        _passes: &mut ForwardPasses,
    ) -> Objective {
        let states = model.text_encoder.forward(ids.autodiff());
        let prediction = model.denoiser.forward(batch.sample.autodiff(), batch.timesteps.autodiff(), states);
        sft(prediction, batch.target.autodiff(), batch.weights.autodiff())
    }

    fn picture(&mut self, model: &DenoiserWithText) -> Result<Option<RgbImage>, TrainError> {
        let pipeline = Pipeline {
            denoiser: model.denoiser.clone(),
            text_encoder: model.text_encoder.clone(),
            ..self.pipeline.clone()
        };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
