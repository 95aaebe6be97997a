//! Stage 1: the auxiliary model learns the attributes (section 3 of the paper; block dropout is ours).

use super::{Dropout, Noising, TrainedDenoiser, noising::NoisedBatch};
use crate::{
    error::TrainError,
    forward_passes::ForwardPasses,
    latents::LatentCache,
    options::{Granularity, TrainOptions},
    painter,
    text_states::TextStates,
    trainer::Task,
};
use atelier_core::{
    models::{
        denoiser::Denoiser, gradient_checkpointing::DenoiserInput, prompt_embeddings::PromptEmbeddings,
    },
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
    /// What an adapter sits on.
    type Frozen = Denoiser;
    type Batch = SftBatch;

    fn stage(&self) -> &'static str {
        "sft"
    }

    fn examples(&self) -> usize {
        self.latents.len()
    }

    fn size(&self, example: usize) -> [u32; 2] {
        self.latents.size(example)
    }

    fn frozen(&self) -> Denoiser {
        self.pipeline.denoiser.clone()
    }

    fn batch(
        &mut self,
        examples: &[usize],
        noise: &mut NoiseSource,
        _step: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainError> {
        let mut draw = |prompt: &Prompt| {
            let one = self.options.granularity == Granularity::Leaf && prompt.phrases() > 0;
            let prompt = if one { &prompt.only_phrase(noise.below(prompt.phrases())) } else { prompt };
            prompt.keep(self.dropout.draw(noise.uniform())).compose()
        };
        let prompts: Vec<String> = examples.iter().map(|&i| draw(&self.prompts[i])).collect();
        let (latents, sizes) = self.latents.draw(examples, noise, device)?;
        let states = self.states.get(&prompts, &sizes, device)?;
        Ok(SftBatch {
            noised: self.noising.draw(latents, noise),
            states,
            dropout: Dropout::draw(self.options.lora_dropout, noise),
        })
    }

    fn objective(
        &self,
        model: &TrainedDenoiser,
        base: &Denoiser,
        batch: SftBatch,
        passes: &mut ForwardPasses,
    ) -> Objective {
        let SftBatch { noised, states, dropout } = batch;
        let input = DenoiserInput { sample: noised.sample, timesteps: noised.timesteps, prompt: states };
        let prediction = passes.predict(model, base, dropout, input);
        sft(prediction, noised.target.autodiff(), noised.weights.autodiff())
    }

    fn picture(&mut self, model: &TrainedDenoiser) -> Result<Option<RgbImage>, TrainError> {
        let pipeline =
            Pipeline { denoiser: model.denoiser(&self.pipeline.denoiser, None), ..self.pipeline.clone() };
        painter::sample_grid(&pipeline, self.prompts, self.options).map(Some)
    }
}
