//! T5 as a text encoder: the second one of FLUX, the third one of SD3.

use super::{
    Files, ModelFiles, PipelineError, TRANSFORMERS_WEIGHTS, configurations::config, load_part,
    text_encoders::TextModelType,
};
use crate::{
    models::{
        ModelConfig,
        layers::store_weights_as,
        prompt_embeddings::PromptEmbeddings,
        t5_encoder::{T5Config, T5EncoderModel},
    },
    text::PromptTokenizer,
};
use burn::tensor::{Device, FloatDType, Tensor};

/// Where a model folder has a T5 encoder.
pub(super) struct T5Place {
    /// The folder of the encoder.
    pub folder: &'static str,
    /// The folder of the tokenizer.
    pub tokenizer: &'static str,
    /// Tokens that are read of a prompt (`max_sequence_length` of diffusers' pipelines).
    pub tokens: usize,
}

/// Of FLUX.
pub(super) const T5_OF_FLUX: T5Place =
    T5Place { folder: "text_encoder_2", tokenizer: "tokenizer_2", tokens: 512 };

/// Of SD3, which can do without.
pub(super) const T5_OF_SD3: T5Place =
    T5Place { folder: "text_encoder_3", tokenizer: "tokenizer_3", tokens: 256 };

impl T5Place {
    /// The configuration there, if there is one.
    pub(super) fn config<F: ModelFiles + ?Sized>(
        &self,
        files: &F,
    ) -> Result<Option<T5Config>, PipelineError> {
        if !files.contains(&format!("{}/config.json", self.folder)) {
            return Ok(None);
        }
        let (path, json) = config(files, self.folder)?;
        TextModelType::of(&path, &json)?.must_be(TextModelType::T5, &path)?;
        T5Config::from_json(&json).map(Some).map_err(PipelineError::config(&path))
    }
}

/// A T5 encoder with its tokenizer, which is set to the tokens that the model reads.
#[derive(Debug, Clone)]
pub struct T5TextEncoder {
    /// Configuration of [`Self::model`].
    pub config: T5Config,
    /// The encoder.
    pub model: T5EncoderModel,
    /// The tokenizer.
    pub tokenizer: PromptTokenizer,
}

impl T5TextEncoder {
    /// Reads the weights that belong to `config`.
    pub(super) fn load<F: ModelFiles + ?Sized>(
        place: &T5Place,
        config: T5Config,
        tokenizer: PromptTokenizer,
        dtype: FloatDType,
        files: &F,
        device: &Device,
    ) -> Result<Self, PipelineError> {
        let path = format!("{}/config.json", place.folder);
        let mut model = config.init(device).map_err(PipelineError::model(&path))?;
        store_weights_as(&mut model, dtype);
        let model = load_part(model, files, place.folder, TRANSFORMERS_WEIGHTS)?;
        Ok(Self { config, model, tokenizer })
    }

    pub(super) async fn add_to(&self, place: &T5Place, files: &mut Files) -> Result<(), PipelineError> {
        files.add_tokenizer(place.tokenizer, &self.tokenizer);
        files.add_part(place.folder, TRANSFORMERS_WEIGHTS, &self.model, self.config.to_json()).await
    }

    /// The states of `prompts`, `[prompts, tokens, d_model]`.
    pub(super) fn states(&self, prompts: &[&str], device: &Device) -> Result<Tensor<3>, PipelineError> {
        Ok(self.model.forward(self.tokenizer.encode(prompts, device)?))
    }
}

/// What SD3 reads of `prompts`: the states of the CLIP encoders, widened with zeros to `joint_attention_dim` channels, and
/// after them those of T5, or zeros where there is none (`StableDiffusion3Pipeline.encode_prompt`).
pub(super) fn followed_by_t5(
    clip: PromptEmbeddings,
    t5: Option<&T5TextEncoder>,
    prompts: &[&str],
    joint_attention_dim: usize,
    device: &Device,
) -> Result<PromptEmbeddings, PipelineError> {
    let [rows, tokens, channels] = clip.prompt_embeds.dims();
    let mut widened = vec![clip.prompt_embeds];
    if channels < joint_attention_dim {
        widened.push(Tensor::zeros([rows, tokens, joint_attention_dim - channels], device));
    }
    let states = match t5 {
        Some(t5) => t5.states(prompts, device)?,
        None => Tensor::zeros([rows, T5_OF_SD3.tokens, joint_attention_dim], device),
    };
    Ok(PromptEmbeddings { prompt_embeds: Tensor::cat(vec![Tensor::cat(widened, 2), states], 1), ..clip })
}
