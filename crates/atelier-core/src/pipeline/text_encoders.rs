//! The second text encoder of models that have two.

use super::{
    Files, ModelFiles, PipelineError, T5TextEncoder, TRANSFORMERS_WEIGHTS, config, load_part,
    t5_text_encoder::T5_OF_FLUX,
};
use crate::{
    models::{
        ModelConfig,
        clip_text::{CLIPTextConfig, CLIPTextModel, CLIPTextStates},
        layers::{Adaptable, LayerMut, store_weights_as},
        prompt_embeddings::PromptEmbeddings,
        t5_encoder::T5Config,
    },
    text::PromptTokenizer,
};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

pub(super) const FOLDER: &str = "text_encoder_2";
const TOKENIZER: &str = "tokenizer_2";

/// SDXL and SD3 take the states of the last layer but one, of both CLIP encoders.
const SKIPPED_LAYERS: usize = 1;

/// The configuration of a second text encoder.
pub(super) enum SecondTextEncoderConfig {
    Clip(CLIPTextConfig),
    T5(T5Config),
}

impl SecondTextEncoderConfig {
    /// Reads it from a model folder, with its path, if there is one.
    pub(super) fn read<F: ModelFiles + ?Sized>(files: &F) -> Result<Option<(String, Self)>, PipelineError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            model_type: String,
        }
        if !files.contains(&format!("{FOLDER}/config.json")) {
            return Ok(None);
        }
        let (path, json) = config(files, FOLDER)?;
        let is_t5 = serde_json::from_slice::<Kind>(&json).is_ok_and(|kind| kind.model_type == "t5");
        let config = if is_t5 {
            T5Config::from_json(&json).map(Self::T5)
        } else {
            CLIPTextConfig::from_json(&json).map(Self::Clip)
        };
        let config = config.map_err(PipelineError::config(&path))?;
        Ok(Some((path, config)))
    }
}

/// A second text encoder with its tokenizer, which is set to the encoder's length.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
pub enum SecondTextEncoder {
    /// That of SDXL and SD3.
    Clip {
        /// Configuration of the encoder.
        config: CLIPTextConfig,
        /// The encoder, with the projection of the prompt's vector.
        model: CLIPTextModel,
        /// The tokenizer.
        tokenizer: PromptTokenizer,
    },
    /// That of FLUX.
    T5(T5TextEncoder),
}

impl SecondTextEncoder {
    /// Reads it from a model folder, if there is one.
    pub(super) fn load<F: ModelFiles + ?Sized>(
        dtype: FloatDType,
        files: &F,
        device: &Device,
    ) -> Result<Option<Self>, PipelineError> {
        let Some((path, config)) = SecondTextEncoderConfig::read(files)? else { return Ok(None) };
        Ok(Some(match config {
            SecondTextEncoderConfig::T5(config) => {
                Self::T5(T5TextEncoder::load(&T5_OF_FLUX, (path, config), dtype, files, device)?)
            }
            SecondTextEncoderConfig::Clip(config) => {
                let mut model = config.init_with_projection(device).map_err(PipelineError::model(&path))?;
                store_weights_as(&mut model, dtype);
                Self::Clip {
                    model: load_part(model, files, FOLDER, TRANSFORMERS_WEIGHTS)?,
                    tokenizer: PromptTokenizer::load(files, TOKENIZER, config.max_position_embeddings)?,
                    config,
                }
            }
        }))
    }

    /// The class in transformers.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Clip { model, .. } => model.class(),
            Self::T5(_) => T5Config::CLASS,
        }
    }

    pub(super) async fn add_to(&self, files: &mut Files) -> Result<(), PipelineError> {
        match self {
            Self::Clip { config, model, tokenizer } => {
                files.add_tokenizer(TOKENIZER, tokenizer);
                files.add_part(FOLDER, TRANSFORMERS_WEIGHTS, model, config.to_json()).await
            }
            Self::T5(t5) => t5.add_to(&T5_OF_FLUX, files).await,
        }
    }

    /// What a denoiser gets of `prompts`, of which the first encoder made `first`: the states of both CLIP encoders side by
    /// side, with the vectors of those that project one (of SDXL the second, of SD3 both); or the states of T5 with the
    /// vector of the first.
    pub(super) fn embeddings(
        &self,
        prompts: &[&str],
        first: &CLIPTextStates,
        clip_skip: usize,
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        let (prompt_embeds, pooled) = match self {
            Self::Clip { config, model, tokenizer } => {
                let second = model.states(tokenizer.encode(prompts, device)?, config);
                let layers = SKIPPED_LAYERS + clip_skip;
                let states = vec![first.hidden_state(layers), second.hidden_state(layers)];
                let vectors = first.text_embeds.clone().into_iter().chain(second.text_embeds).collect();
                (Tensor::cat(states, 2), Tensor::cat(vectors, 1))
            }
            Self::T5(t5) => (t5.states(prompts, device)?, first.pooler_output.clone()),
        };
        Ok(PromptEmbeddings { pooled_prompt_embeds: Some(pooled), ..prompt_embeds.into() })
    }
}

impl Adaptable for SecondTextEncoder {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Clip { model, .. } => model.visit_layers(name, visitor),
            Self::T5(t5) => t5.model.visit_layers(name, visitor),
        }
    }
}
