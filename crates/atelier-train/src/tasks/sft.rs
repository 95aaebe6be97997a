//! Stage 1: the auxiliary model learns the attributes (section 3 of the paper; block dropout is ours).

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError, options::TrainOptions, painter, pictures::LatentCache, text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::prompt_embeddings::PromptEmbeddings,
    noise::NoiseSource,
    objectives::{Objective, sft},
    pipeline::Pipeline,
};
use atelier_criteria::prompt::{BlockDropout, Prompt};
use burn::tensor::Device;
use image::RgbImage;

/// `E || target - model(x_t, t, prompt(c, A_pos, A_neg)) ||^2` with random dropout of the prompt's blocks, so that the
/// auxiliary model can be asked with both attribute sets, either, neither, or nothing.
#[derive(Debug)]
pub struct SftTask<'a> {
    /// The model before training.
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

/// Noisy latents and the prompts' states.
#[derive(Debug)]
pub struct SftBatch {
    noised: NoisedBatch,
    states: PromptEmbeddings,
    dropout: Option<Dropout>,
}

impl Task for SftTask<'_> {
    type Model = TrainedDenoiser;
    type Batch = SftBatch;

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
        let states = self.states.get(&prompts, &self.latents.sizes(examples))?;
        Ok(SftBatch {
            noised: self.noising.draw(self.latents.batch(examples, device), noise),
            states,
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(&self, model: &TrainedDenoiser, batch: SftBatch) -> Objective {
        let SftBatch { noised, states, dropout } = batch;
        let denoiser = model.denoiser(&self.pipeline.denoiser, dropout);
        let prediction =
            denoiser.forward(noised.sample.autodiff(), noised.timesteps.autodiff(), states.autodiff());
        sft(prediction, noised.target.autodiff(), noised.weights.autodiff())
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.pipeline.denoiser, None), ..self.pipeline.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
