//! A diffusers model folder: all parts of a text-to-image model, loaded and saved together.

use crate::{
    models::{
        ConfigError, ModelConfig, ModelError,
        autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig},
        clip_text::{CLIPTextConfig, CLIPTextModel},
        unet_2d_condition::{UNet2DConditionModel, UNet2DConditionModelConfig},
    },
    schedulers::{NoiseSchedule, SchedulerConfig, SchedulerError},
    text::{PromptTokenizer, TextError},
    weights::{self, Precision, WeightsError},
};
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;
use thiserror::Error;

/// A model folder could not be read or written.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// A file is missing or cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file, relative to the model folder unless the folder itself is known.
        path: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// A configuration cannot be used.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// A part of the model cannot be built.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        source: ModelError,
    },
    /// Weights cannot be used.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        source: WeightsError,
    },
    /// The scheduler's configuration cannot be used.
    #[error("{SCHEDULER}: {0}")]
    Scheduler(#[from] SchedulerError),
    /// The tokenizer cannot be used, or a prompt.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Where the files of a model come from: a folder, or what a browser has downloaded.
pub trait ModelFiles {
    /// The bytes of the file at `path`, relative to the model folder with `/` between its parts.
    ///
    /// # Errors
    /// [`PipelineError::File`] names it.
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError>;
}

/// Files in memory, by relative path.
impl ModelFiles for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        self.get(path)
            .cloned()
            .ok_or_else(|| PipelineError::File { path: path.to_owned(), reason: "is missing".to_owned() })
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ModelFiles for std::path::Path {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        let full = self.join(path);
        std::fs::read(&full).map_err(|error| PipelineError::File {
            path: full.display().to_string(),
            reason: format!(
                "{error}; a diffusers model folder is expected (model_index.json, unet/, vae/, …)"
            ),
        })
    }
}

const INDEX: &str = "model_index.json";
const UNET_CONFIG: &str = "unet/config.json";
const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE_CONFIG: &str = "vae/config.json";
const VAE_WEIGHTS: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT_CONFIG: &str = "text_encoder/config.json";
const TEXT_WEIGHTS: &str = "text_encoder/model.safetensors";
const TOKENIZER: &str = "tokenizer/tokenizer.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// A text-to-image model, as diffusers' `StableDiffusionPipeline` has it.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Configuration of [`Self::unet`].
    pub unet_config: UNet2DConditionModelConfig,
    /// The denoiser.
    pub unet: UNet2DConditionModel,
    /// Configuration of [`Self::vae`].
    pub vae_config: AutoencoderTinyConfig,
    /// The autoencoder between pictures and latents.
    pub vae: AutoencoderTiny,
    /// Configuration of [`Self::text_encoder`].
    pub text_config: CLIPTextConfig,
    /// The text encoder.
    pub text_encoder: CLIPTextModel,
    /// The tokenizer, set to the text encoder's length.
    pub tokenizer: PromptTokenizer,
    /// The noise schedule that the denoiser was trained with, and how it predicts.
    pub scheduler_config: SchedulerConfig,
}

impl Pipeline {
    /// Reads all parts onto `device`.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn load<F: ModelFiles + ?Sized>(files: &F, device: &Device) -> Result<Self, PipelineError> {
        let index = files.read(INDEX)?;
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&index)
            .map_err(|error| PipelineError::File { path: INDEX.to_owned(), reason: error.to_string() })?;
        let unet_config: UNet2DConditionModelConfig = config(files, UNET_CONFIG)?;
        let vae_config: AutoencoderTinyConfig = config(files, VAE_CONFIG)?;
        let text_config: CLIPTextConfig = config(files, TEXT_CONFIG)?;
        let model = |path| move |source| PipelineError::Model { path, source };
        let weights = |path| move |source| PipelineError::Weights { path, source };
        let unet = unet_config.init(device).map_err(model(UNET_CONFIG))?;
        let vae = vae_config.init(device).map_err(model(VAE_CONFIG))?;
        let text_encoder = text_config.init(device).map_err(model(TEXT_CONFIG))?;
        let scheduler_config = SchedulerConfig::from_json(&files.read(SCHEDULER)?)?;
        Ok(Self {
            unet: weights::load_into(unet, &files.read(UNET_WEIGHTS)?).map_err(weights(UNET_WEIGHTS))?,
            vae: weights::load_into(vae, &files.read(VAE_WEIGHTS)?).map_err(weights(VAE_WEIGHTS))?,
            text_encoder: weights::load_into(text_encoder, &files.read(TEXT_WEIGHTS)?)
                .map_err(weights(TEXT_WEIGHTS))?,
            tokenizer: PromptTokenizer::from_bytes(
                files.read(TOKENIZER)?,
                text_config.max_position_embeddings,
            )?,
            unet_config,
            vae_config,
            text_config,
            scheduler_config,
        })
    }

    /// All files of the model folder, by relative path.
    ///
    /// # Errors
    /// [`PipelineError`] for weights that are not finite or cannot be read from the device.
    pub async fn to_files(&self, precision: Precision) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
        let metadata = BTreeMap::new();
        let weights = |path| move |source| PipelineError::Weights { path, source };
        let config = |path| move |source| PipelineError::Config { path, source };
        let unet =
            weights::to_bytes(&self.unet, precision, &metadata).await.map_err(weights(UNET_WEIGHTS))?;
        let vae = weights::to_bytes(&self.vae, precision, &metadata).await.map_err(weights(VAE_WEIGHTS))?;
        let text = weights::to_bytes(&self.text_encoder, precision, &metadata)
            .await
            .map_err(weights(TEXT_WEIGHTS))?;
        let scheduler = serde_json::to_vec_pretty(&self.scheduler_config)
            .map_err(|error| PipelineError::File { path: SCHEDULER.to_owned(), reason: error.to_string() })?;
        let files: [(&str, Vec<u8>); 9] = [
            (INDEX, index(&self.scheduler_config)),
            (UNET_CONFIG, self.unet_config.to_json().map_err(config(UNET_CONFIG))?.into_bytes()),
            (UNET_WEIGHTS, unet),
            (VAE_CONFIG, self.vae_config.to_json().map_err(config(VAE_CONFIG))?.into_bytes()),
            (VAE_WEIGHTS, vae),
            (TEXT_CONFIG, self.text_config.to_json().map_err(config(TEXT_CONFIG))?.into_bytes()),
            (TEXT_WEIGHTS, text),
            (TOKENIZER, self.tokenizer.bytes().to_vec()),
            (SCHEDULER, scheduler),
        ];
        Ok(files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect())
    }

    /// The noise schedule of the denoiser's training.
    ///
    /// # Errors
    /// [`PipelineError::Scheduler`] if the configuration is not supported.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, PipelineError> {
        Ok(NoiseSchedule::new(&self.scheduler_config)?)
    }

    /// States of the text encoder for `prompts`, `[prompts, tokens, features]`.
    ///
    /// # Errors
    /// [`PipelineError::Text`] names a prompt that cannot be tokenised.
    pub fn encode_prompts(&self, prompts: &[&str], device: &Device) -> Result<Tensor<3>, PipelineError> {
        Ok(self.text_encoder.forward(self.tokenizer.encode(prompts, device)?))
    }

    /// Latents of `pictures` (`[batch, 3, height, width]` in `[-1, 1]`), scaled as the denoiser expects them.
    pub fn encode_pictures(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.vae.encode(pictures).mul_scalar(self.vae_config.scaling_factor)
    }

    /// Pictures `[batch, 3, height, width]` in `[-1, 1]` of latents as the denoiser gives them.
    pub fn decode_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        self.vae.decode(latents.div_scalar(self.vae_config.scaling_factor)).clamp(-1.0, 1.0)
    }

    /// Shape of one picture's latents, `[channels, height, width]`, for pictures of `height` by `width` pixels.
    pub fn latent_shape(&self, height: usize, width: usize) -> [usize; 3] {
        let factor = self.vae_config.downsampling_factor();
        [self.unet_config.in_channels, height / factor, width / factor]
    }
}

fn config<C: ModelConfig, F: ModelFiles + ?Sized>(files: &F, path: &'static str) -> Result<C, PipelineError> {
    C::from_json(&files.read(path)?).map_err(|source| PipelineError::Config { path, source })
}

/// `model_index.json`, which diffusers reads to know the class of every part.
fn index(scheduler: &SchedulerConfig) -> Vec<u8> {
    let class = scheduler.class_name();
    let index = serde_json::json!({
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [null, null],
        "image_encoder": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", class],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    });
    format!("{index:#}\n").into_bytes()
}
