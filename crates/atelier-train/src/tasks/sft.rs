//! Stage 1: the auxiliary model learns the attributes (section 3 of the paper; block dropout is ours).

use super::{Noising, noising::NoisedBatch};
use crate::{
    error::TrainError, options::TrainOptions, painter, pictures::LatentCache, text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::unet_2d_condition::UNet2DConditionModel,
    noise::NoiseSource,
    objectives::{Objective, sft},
    pipeline::Pipeline,
};
use atelier_criteria::prompt::{BlockDropout, Prompt};
use burn::tensor::{Device, Tensor};
use image::RgbImage;

/// `E || target - model(x_t, t, prompt(c, A_pos, A_neg)) ||^2` with random dropout of the prompt's blocks, so that the
/// auxiliary model can be asked with both attribute sets, either, neither, or nothing.
#[derive(Debug)]
pub struct SftTask<'a> {
    /// Everything but the denoiser.
    pub pipeline: &'a Pipeline,
    /// Latents of the pictures.
    pub latents: &'a LatentCache,
    /// Captions and attributes of the pictures.
    pub prompts: &'a [Prompt],
    /// How often which blocks of the prompts are kept.
    pub dropout: BlockDropout,
    /// Timesteps, noise and weights.
    pub noising: Noising,
    /// States of the frozen text encoder.
    pub states: TextStates<'a>,
    /// For the sample grids.
    pub options: &'a TrainOptions,
}

impl Task for SftTask<'_> {
    type Model = UNet2DConditionModel;
    /// Noisy latents, and states of the prompts, `[batch, tokens, features]`.
    type Batch = (NoisedBatch, Tensor<3>);

    fn stage(&self) -> &'static str {
        "sft"
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
        let states = self.states.get(&prompts)?;
        Ok((self.noising.draw(self.latents.batch(examples, device), noise), states))
    }

    fn objective(&self, model: &UNet2DConditionModel, (batch, states): Self::Batch) -> Objective {
        let prediction =
            model.forward(batch.sample.autodiff(), batch.timesteps.autodiff(), states.autodiff());
        sft(prediction, batch.target.autodiff(), batch.weights.autodiff())
    }

    fn picture(&mut self, model: &UNet2DConditionModel) -> Result<Option<RgbImage>, TrainError> {
        let pipeline = Pipeline { unet: model.clone(), ..self.pipeline.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
