//! What a model folder says of its parts, before any weights are read.

use super::{
    INDEX, ModelFiles, PipelineError, TEXT_ENCODER, VAE,
    t5_text_encoder::T5_OF_SD3,
    text_encoders::{SecondTextEncoderConfig, TextModelType},
    tokenizers::Tokenizers,
};
use crate::{
    json,
    lora::Component,
    models::{
        ModelConfig, autoencoder::AutoencoderConfig, clip_text::CLIPTextConfig, denoiser::DenoiserConfig,
        t5_encoder::T5Config,
    },
};
use serde::Deserialize;

/// The configurations of all parts.
#[derive(Debug)]
pub(super) struct Configurations {
    /// Whether guidance without a negative prompt takes zeros for its embeddings.
    pub force_zeros_for_empty_prompt: bool,
    /// Of the denoiser.
    pub denoiser: DenoiserConfig,
    /// Of the autoencoder.
    pub vae: AutoencoderConfig,
    /// Of the first text encoder.
    pub text: CLIPTextConfig,
    /// Of the second one, in models that have two.
    pub second: Option<SecondTextEncoderConfig>,
    /// Of the third one, in models that have three (SD3).
    pub third: Option<T5Config>,
}

impl Configurations {
    /// Reads them all; [`parts::check`](super::parts::check) compares them.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn read<F: ModelFiles + ?Sized>(files: &F) -> Result<Self, PipelineError> {
        let (_, denoiser) = denoiser_config(files)?;
        let vae = autoencoder_config(files)?;
        let (path, bytes) = config(files, TEXT_ENCODER)?;
        TextModelType::of(&path, &bytes)?.must_be(TextModelType::Clip, &path)?;
        let text = CLIPTextConfig::from_json(&bytes).map_err(PipelineError::config(&path))?;
        // Before a tokenizer fills prompts up to the length that it says.
        text.check().map_err(PipelineError::config(&path))?;
        let second = SecondTextEncoderConfig::read(files)?;
        let third = match &denoiser {
            DenoiserConfig::Sd3(_) => T5_OF_SD3.config(files)?,
            DenoiserConfig::Unet(_) | DenoiserConfig::Flux(_) => None,
        };
        // diffusers' pipeline of SDXL has it unless the folder says otherwise.
        let default = matches!((&denoiser, &second), (DenoiserConfig::Unet(_), Some(_)));
        let force_zeros_for_empty_prompt = force_zeros(files)?.unwrap_or(default);
        Ok(Self { force_zeros_for_empty_prompt, denoiser, vae, text, second, third })
    }

    /// The tokenizers of all text encoders, which give no more tokens, and no others, than those know.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn tokenizers<F: ModelFiles + ?Sized>(&self, files: &F) -> Result<Tokenizers, PipelineError> {
        Tokenizers::load(files, &self.text, self.second.as_ref(), self.third.as_ref())
    }
}

/// What `model_index.json` says of empty prompts, if it does.
fn force_zeros<F: ModelFiles + ?Sized>(files: &F) -> Result<Option<bool>, PipelineError> {
    /// The only thing there that the parts do not say themselves.
    #[derive(Deserialize)]
    struct Index {
        #[serde(default, deserialize_with = "null_is_false")]
        force_zeros_for_empty_prompt: Option<bool>,
    }
    fn null_is_false<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<bool>, D::Error> {
        Ok(Some(Option::deserialize(value)?.unwrap_or(false)))
    }
    let index: Index = json::from_slice(&files.read(INDEX)?)
        .map_err(|error| PipelineError::File { path: INDEX.to_owned(), reason: error.to_string() })?;
    Ok(index.force_zeros_for_empty_prompt)
}

/// The configuration of the denoiser, and its path: a model folder has a UNet or a transformer.
pub(super) fn denoiser_config<F: ModelFiles + ?Sized>(
    files: &F,
) -> Result<(String, DenoiserConfig), PipelineError> {
    let [unet, transformer] = [Component::Unet, Component::Transformer].map(Component::key);
    let is_transformer = files.contains(&format!("{transformer}/config.json"));
    let (path, json) = config(files, if is_transformer { transformer } else { unet })?;
    let config = DenoiserConfig::from_json(&json).map_err(PipelineError::config(&path))?;
    Ok((path, config))
}

/// The configuration of the autoencoder.
pub(super) fn autoencoder_config<F: ModelFiles + ?Sized>(
    files: &F,
) -> Result<AutoencoderConfig, PipelineError> {
    let (path, json) = config(files, VAE)?;
    AutoencoderConfig::from_json(&json).map_err(PipelineError::config(&path))
}

/// The text of the configuration of the part in `folder`, and its path.
pub(super) fn config<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
) -> Result<(String, Vec<u8>), PipelineError> {
    let path = format!("{folder}/config.json");
    let json = files.read(&path)?;
    Ok((path, json))
}
