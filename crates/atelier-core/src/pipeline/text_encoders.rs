//! The second text encoder of models that have two.

use super::{Files, ModelFiles, PipelineError, TRANSFORMERS_WEIGHTS, config, load_part};
use crate::{
    models::{
        ModelConfig,
        clip_text::{CLIPTextConfig, CLIPTextModelWithProjection, CLIPTextStates},
        prompt_embeddings::PromptEmbeddings,
    },
    text::PromptTokenizer,
};
use burn::tensor::{Device, Tensor};

const FOLDER: &str = "text_encoder_2";
const TOKENIZER: &str = "tokenizer_2";

/// SDXL takes the states of the last layer but one, of both encoders.
const SDXL_SKIPPED_LAYERS: usize = 1;

/// A second text encoder with its tokenizer.
#[derive(Debug, Clone)]
pub struct SecondTextEncoder {
    /// Configuration of [`Self::model`].
    pub config: CLIPTextConfig,
    /// The encoder.
    pub model: CLIPTextModelWithProjection,
    /// The tokenizer, set to the encoder's length.
    pub tokenizer: PromptTokenizer,
}

impl SecondTextEncoder {
    /// Reads it from a model folder, if there is one.
    pub(super) fn load<F: ModelFiles + ?Sized>(
        files: &F,
        device: &Device,
    ) -> Result<Option<Self>, PipelineError> {
        if !files.contains(&format!("{FOLDER}/config.json")) {
            return Ok(None);
        }
        let (path, json) = config(files, FOLDER)?;
        let config = CLIPTextConfig::from_json(&json).map_err(PipelineError::config(&path))?;
        let model = config.init_with_projection(device).map_err(PipelineError::model(&path))?;
        Ok(Some(Self {
            model: load_part(model, files, FOLDER, TRANSFORMERS_WEIGHTS)?,
            tokenizer: PromptTokenizer::load(files, TOKENIZER, config.max_position_embeddings)?,
            config,
        }))
    }

    /// The class in transformers.
    pub(super) fn class(&self) -> &'static str {
        "CLIPTextModelWithProjection"
    }

    pub(super) async fn add_to(&self, files: &mut Files) -> Result<(), PipelineError> {
        files.add(format!("{TOKENIZER}/tokenizer.json"), self.tokenizer.bytes().to_vec());
        files.add_part(FOLDER, TRANSFORMERS_WEIGHTS, &self.model, self.config.to_json()).await
    }

    /// What a denoiser gets of `prompts`, of which the first encoder made `first`.
    pub(super) fn embeddings(
        &self,
        prompts: &[&str],
        first: &CLIPTextStates,
        clip_skip: usize,
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        let ids = self.tokenizer.encode(prompts, device)?;
        let (second, text_embeds) = self.model.states(ids, &self.config);
        let layers = SDXL_SKIPPED_LAYERS + clip_skip;
        let states = [first.hidden_state(layers), second.hidden_state(layers)];
        Ok(PromptEmbeddings {
            prompt_embeds: Tensor::cat(states.to_vec(), 2),
            pooled_prompt_embeds: Some(text_embeds),
            time_ids: None,
        })
    }
}
