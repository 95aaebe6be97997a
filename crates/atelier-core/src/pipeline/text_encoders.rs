//! The second text encoder of models that have two.

use super::{
    Files, ModelFiles, PipelineError, T5TextEncoder, TRANSFORMERS_WEIGHTS, configurations::config, load_part,
    t5_text_encoder::T5_OF_FLUX,
};
use crate::{
    json,
    models::{
        ConfigError, ModelConfig,
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
const PATH: &str = "text_encoder_2/config.json";
pub(super) const TOKENIZER: &str = "tokenizer_2";

/// SDXL and SD3 take the states of the last layer but one, of both CLIP encoders.
pub(super) const SKIPPED_LAYERS: usize = 1;

/// The kind of a text encoder, as its configuration says under `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextModelType {
    Clip,
    T5,
}

impl TextModelType {
    /// Of the configuration with the text `json`, which is at `path`. One that says nothing is of CLIP.
    pub fn of(path: &str, json: &[u8]) -> Result<Self, PipelineError> {
        #[derive(Deserialize)]
        struct Kind {
            model_type: Option<String>,
        }
        let class = "text encoder";
        let kind: Kind = json::from_slice(json)
            .map_err(|source| PipelineError::config(path)(ConfigError::Json { class, source }))?;
        match kind.model_type.as_deref() {
            None | Some("clip_text_model" | "clip") => Ok(Self::Clip),
            Some("t5") => Ok(Self::T5),
            Some(other) => Err(PipelineError::config(path)(ConfigError::Unsupported {
                class,
                key: "model_type".to_owned(),
                value: format!("{other:?}"),
                supported: "\"clip_text_model\", \"t5\"".to_owned(),
            })),
        }
    }

    /// Refuses another kind than is `wanted` at `path`.
    pub fn must_be(self, wanted: Self, path: &str) -> Result<(), PipelineError> {
        if self == wanted {
            return Ok(());
        }
        let reason = match wanted {
            Self::Clip => "is of a T5 encoder, where the supported models have one of CLIP",
            Self::T5 => "is of a CLIP encoder, where the model needs one of T5",
        };
        Err(PipelineError::File { path: path.to_owned(), reason: reason.to_owned() })
    }
}

/// The configuration of a second text encoder.
#[derive(Debug)]
pub(super) enum SecondTextEncoderConfig {
    Clip(CLIPTextConfig),
    T5(T5Config),
}

impl SecondTextEncoderConfig {
    /// Reads it from a model folder, if there is one.
    pub(super) fn read<F: ModelFiles + ?Sized>(files: &F) -> Result<Option<Self>, PipelineError> {
        if !files.contains(PATH) {
            return Ok(None);
        }
        let (path, json) = config(files, FOLDER)?;
        let config = match TextModelType::of(&path, &json)? {
            TextModelType::T5 => T5Config::from_json(&json).and_then(|it| it.check().map(|()| Self::T5(it))),
            TextModelType::Clip => {
                CLIPTextConfig::from_json(&json).and_then(|it| it.check().map(|()| Self::Clip(it)))
            }
        };
        config.map(Some).map_err(PipelineError::config(&path))
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
    /// Reads the weights that belong to `config`.
    pub(super) fn load<F: ModelFiles + ?Sized>(
        config: SecondTextEncoderConfig,
        tokenizer: PromptTokenizer,
        dtype: FloatDType,
        files: &F,
        device: &Device,
    ) -> Result<Self, PipelineError> {
        match config {
            SecondTextEncoderConfig::T5(config) => {
                T5TextEncoder::load(&T5_OF_FLUX, config, tokenizer, dtype, files, device).map(Self::T5)
            }
            SecondTextEncoderConfig::Clip(config) => {
                let mut model = config.init_with_projection(device).map_err(PipelineError::model(PATH))?;
                store_weights_as(&mut model, dtype);
                let model = load_part(model, files, FOLDER, TRANSFORMERS_WEIGHTS)?;
                Ok(Self::Clip { config, model, tokenizer })
            }
        }
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
