//! The denoiser of pretraining: UNet and text encoder together, from nothing.

use super::{Noising, noising::NoisedBatch};
use crate::{error::TrainError, options::TrainOptions, painter, pictures::LatentCache, trainer::Task};
use atelier_core::{
    models::{clip_text::CLIPTextModel, unet_2d_condition::UNet2DConditionModel},
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
pub struct Denoiser {
    /// The noise predictor.
    pub unet: UNet2DConditionModel,
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
    type Model = Denoiser;
    /// Noisy latents, and token ids of the prompts, `[batch, tokens]`.
    type Batch = (NoisedBatch, Tensor<2, Int>);

    fn stage(&self) -> &'static str {
        "denoiser"
    }

    fn examples(&self) -> usize {
        self.latents.len()
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
        Ok((self.noising.draw(self.latents.batch(examples, device), noise), ids))
    }

    fn objective(&self, model: &Denoiser, (batch, ids): Self::Batch) -> Objective {
        let states = model.text_encoder.forward(ids.autodiff());
        let prediction = model.unet.forward(batch.sample.autodiff(), batch.timesteps.autodiff(), states);
        sft(prediction, batch.target.autodiff(), batch.weights.autodiff())
    }

    fn picture(&mut self, model: &Denoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline = Pipeline {
            unet: model.unet.clone(),
            text_encoder: model.text_encoder.clone(),
            ..self.pipeline.clone()
        };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
