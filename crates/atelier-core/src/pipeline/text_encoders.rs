//! The second text encoder of models that have two.

use super::{Files, ModelFiles, PipelineError, TRANSFORMERS_WEIGHTS, config, load_part};
use crate::{
    models::{
        ModelConfig,
        clip_text::{CLIPTextConfig, CLIPTextModelWithProjection, CLIPTextStates},
        layers::{Adaptable, LayerMut, store_weights_as},
        prompt_embeddings::PromptEmbeddings,
        t5_encoder::{T5Config, T5EncoderModel},
    },
    text::PromptTokenizer,
};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::Deserialize;

pub(super) const FOLDER: &str = "text_encoder_2";
const TOKENIZER: &str = "tokenizer_2";

/// SDXL takes the states of the last layer but one, of both encoders.
const SDXL_SKIPPED_LAYERS: usize = 1;

/// Tokens that FLUX reads of a prompt (`max_sequence_length` of diffusers' pipeline).
pub(super) const T5_TOKENS: usize = 512;

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
    /// That of SDXL.
    Clip {
        /// Configuration of the encoder.
        config: CLIPTextConfig,
        /// The encoder.
        model: CLIPTextModelWithProjection,
        /// The tokenizer.
        tokenizer: PromptTokenizer,
    },
    /// That of FLUX.
    T5 {
        /// Configuration of the encoder.
        config: T5Config,
        /// The encoder.
        model: T5EncoderModel,
        /// The tokenizer.
        tokenizer: PromptTokenizer,
    },
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
                let mut model = config.init(device).map_err(PipelineError::model(&path))?;
                store_weights_as(&mut model, dtype);
                Self::T5 {
                    model: load_part(model, files, FOLDER, TRANSFORMERS_WEIGHTS)?,
                    tokenizer: PromptTokenizer::load(files, TOKENIZER, T5_TOKENS)?,
                    config,
                }
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
            Self::Clip { .. } => "CLIPTextModelWithProjection",
            Self::T5 { .. } => T5Config::CLASS,
        }
    }

    /// The tokenizer, set to the encoder's length.
    pub fn tokenizer(&self) -> &PromptTokenizer {
        match self {
            Self::Clip { tokenizer, .. } | Self::T5 { tokenizer, .. } => tokenizer,
        }
    }

    pub(super) async fn add_to(&self, files: &mut Files) -> Result<(), PipelineError> {
        files.add_tokenizer(TOKENIZER, self.tokenizer());
        match self {
            Self::Clip { config, model, .. } => {
                files.add_part(FOLDER, TRANSFORMERS_WEIGHTS, model, config.to_json()).await
            }
            Self::T5 { config, model, .. } => {
                files.add_part(FOLDER, TRANSFORMERS_WEIGHTS, model, config.to_json()).await
            }
        }
    }

    /// What a denoiser gets of `prompts`, of which the first encoder made `first`.
    pub(super) fn embeddings(
        &self,
        prompts: &[&str],
        first: &CLIPTextStates,
        clip_skip: usize,
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        let ids = self.tokenizer().encode(prompts, device)?;
        let (prompt_embeds, pooled) = match self {
            Self::Clip { config, model, .. } => {
                let (second, text_embeds) = model.states(ids, config);
                let layers = SDXL_SKIPPED_LAYERS + clip_skip;
                let states = vec![first.hidden_state(layers), second.hidden_state(layers)];
                (Tensor::cat(states, 2), text_embeds)
            }
            Self::T5 { model, .. } => (model.forward(ids), first.pooler_output.clone()),
        };
        Ok(PromptEmbeddings { pooled_prompt_embeds: Some(pooled), ..prompt_embeds.into() })
    }
}

impl Adaptable for SecondTextEncoder {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Clip { model, .. } => model.visit_layers(name, visitor),
            Self::T5 { model, .. } => model.visit_layers(name, visitor),
        }
    }
}
