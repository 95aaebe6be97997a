//! A diffusers model folder: all parts of a text-to-image model, loaded and saved together.

mod error;
mod files;
mod text_encoders;

pub use error::PipelineError;
pub use files::ModelFiles;
pub use text_encoders::SecondTextEncoder;

use crate::{
    models::{
        ModelConfig,
        autoencoder::{Autoencoder, AutoencoderConfig},
        clip_text::{CLIPTextConfig, CLIPTextModel},
        denoiser::{Denoiser, DenoiserConfig},
        prompt_embeddings::PromptEmbeddings,
    },
    schedulers::{NoiseSchedule, SchedulerConfig},
    text::PromptTokenizer,
    weights::{self, Precision},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use serde::Deserialize;
use std::collections::BTreeMap;

const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const VAE: &str = "vae";
const TEXT_ENCODER: &str = "text_encoder";
const TOKENIZER: &str = "tokenizer";
/// The names of weights in diffusers and in transformers.
const DIFFUSERS_WEIGHTS: &str = "diffusion_pytorch_model";
const TRANSFORMERS_WEIGHTS: &str = "model";

/// A text-to-image model, as diffusers' `StableDiffusionPipeline` and `StableDiffusionXLPipeline` have it.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Configuration of [`Self::denoiser`].
    pub denoiser_config: DenoiserConfig,
    /// The denoiser.
    pub denoiser: Denoiser,
    /// Configuration of [`Self::vae`].
    pub vae_config: AutoencoderConfig,
    /// The autoencoder between pictures and latents.
    pub vae: Autoencoder,
    /// Configuration of [`Self::text_encoder`].
    pub text_config: CLIPTextConfig,
    /// The text encoder.
    pub text_encoder: CLIPTextModel,
    /// The tokenizer, set to the text encoder's length.
    pub tokenizer: PromptTokenizer,
    /// The second text encoder of models that have two.
    pub second_text_encoder: Option<SecondTextEncoder>,
    /// The denoiser that answers negative prompts where another one than [`Self::denoiser`] does (Diffusion-NPO). It is
    /// no part of the folder.
    pub negative_denoiser: Option<Denoiser>,
    /// How many of the text encoder's last layers are left out, as `clip_skip` of diffusers.
    pub clip_skip: usize,
    /// Whether guidance without a negative prompt takes zeros for its embeddings (SDXL).
    pub force_zeros_for_empty_prompt: bool,
    /// The noise schedule that the denoiser was trained with, and how it predicts.
    pub scheduler_config: SchedulerConfig,
}

/// What SDXL is told of a picture's size, in pixels, height before width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeConditions {
    /// The size of the picture before it was scaled and cropped.
    pub original: [usize; 2],
    /// Where the crop begins, from the top and from the left.
    pub crop: [usize; 2],
    /// The size of the crop.
    pub target: [usize; 2],
}

impl SizeConditions {
    /// Of a whole picture.
    pub fn whole(height: usize, width: usize) -> Self {
        Self { original: [height, width], crop: [0, 0], target: [height, width] }
    }
}

/// What of `model_index.json` is not said by the parts themselves.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    force_zeros_for_empty_prompt: bool,
}

impl Pipeline {
    /// Reads all parts onto `device`.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn load<F: ModelFiles + ?Sized>(files: &F, device: &Device) -> Result<Self, PipelineError> {
        let index: Index = serde_json::from_slice(&files.read(INDEX)?)
            .map_err(|error| PipelineError::File { path: INDEX.to_owned(), reason: error.to_string() })?;
        let (path, json) = config(files, "unet")?;
        let denoiser_config = DenoiserConfig::from_json(&json).map_err(PipelineError::config(&path))?;
        let denoiser = denoiser_config.init(device).map_err(PipelineError::model(&path))?;
        let (path, json) = config(files, VAE)?;
        let vae_config = AutoencoderConfig::from_json(&json).map_err(PipelineError::config(&path))?;
        let vae = vae_config.init(device).map_err(PipelineError::model(&path))?;
        let (path, json) = config(files, TEXT_ENCODER)?;
        let text_config = CLIPTextConfig::from_json(&json).map_err(PipelineError::config(&path))?;
        let text_encoder = text_config.init(device).map_err(PipelineError::model(&path))?;
        Ok(Self {
            denoiser: load_part(denoiser, files, "unet", DIFFUSERS_WEIGHTS)?,
            vae: load_part(vae, files, VAE, DIFFUSERS_WEIGHTS)?,
            text_encoder: load_part(text_encoder, files, TEXT_ENCODER, TRANSFORMERS_WEIGHTS)?,
            tokenizer: PromptTokenizer::load(files, TOKENIZER, text_config.max_position_embeddings)?,
            second_text_encoder: SecondTextEncoder::load(files, device)?,
            negative_denoiser: None,
            clip_skip: 0,
            force_zeros_for_empty_prompt: index.force_zeros_for_empty_prompt,
            denoiser_config,
            vae_config,
            text_config,
            scheduler_config: SchedulerConfig::from_json(&files.read(SCHEDULER)?)?,
        })
    }

    /// All files of the model folder, by relative path.
    ///
    /// # Errors
    /// [`PipelineError`] for weights that are not finite or cannot be read from the device.
    pub async fn to_files(&self, precision: Precision) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
        let scheduler = serde_json::to_vec_pretty(&self.scheduler_config)
            .map_err(|error| PipelineError::File { path: SCHEDULER.to_owned(), reason: error.to_string() })?;
        let mut files = Files { files: BTreeMap::new(), precision };
        files.add(INDEX.to_owned(), self.index());
        files.add(SCHEDULER.to_owned(), scheduler);
        files.add_part("unet", DIFFUSERS_WEIGHTS, &self.denoiser, self.denoiser_config.to_json()).await?;
        files.add_part(VAE, DIFFUSERS_WEIGHTS, &self.vae, self.vae_config.to_json()).await?;
        files
            .add_part(TEXT_ENCODER, TRANSFORMERS_WEIGHTS, &self.text_encoder, self.text_config.to_json())
            .await?;
        files.add(format!("{TOKENIZER}/tokenizer.json"), self.tokenizer.bytes().to_vec());
        if let Some(second) = &self.second_text_encoder {
            second.add_to(&mut files).await?;
        }
        Ok(files.files)
    }

    /// The noise schedule of the denoiser's training.
    ///
    /// # Errors
    /// [`PipelineError::Scheduler`] if the configuration is not supported.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, PipelineError> {
        Ok(NoiseSchedule::new(&self.scheduler_config)?)
    }

    /// What the text encoders say of `prompts`, one row each; [`Self::with_sizes`] adds what SDXL needs beside.
    ///
    /// # Errors
    /// [`PipelineError::Text`] names a prompt that cannot be tokenised.
    pub fn encode_prompts(
        &self,
        prompts: &[&str],
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        self.encode(prompts, self.clip_skip, device)
    }

    fn encode(
        &self,
        prompts: &[&str],
        clip_skip: usize,
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        let ids = self.tokenizer.encode(prompts, device)?;
        let Some(second) = &self.second_text_encoder else {
            let states = self.text_encoder.states(ids, &self.text_config);
            return Ok(match clip_skip {
                0 => states.last_hidden_state,
                layers => self.text_encoder.final_layer_norm(states.hidden_state(layers)),
            }
            .into());
        };
        let states = self.text_encoder.states(ids, &self.text_config);
        second.embeddings(prompts, &states, clip_skip, device)
    }

    /// As [`Self::encode_prompts`], for one negative prompt. Where it is empty, some models take zeros; and no layer is
    /// skipped, as in diffusers.
    ///
    /// # Errors
    /// As [`Self::encode_prompts`].
    pub fn encode_negative_prompt(
        &self,
        prompt: &str,
        device: &Device,
    ) -> Result<PromptEmbeddings, PipelineError> {
        let PromptEmbeddings { prompt_embeds, pooled_prompt_embeds, time_ids } =
            self.encode(&[prompt], 0, device)?;
        let zero =
            prompt.is_empty() && self.force_zeros_for_empty_prompt && self.second_text_encoder.is_some();
        Ok(PromptEmbeddings {
            prompt_embeds: if zero { prompt_embeds.zeros_like() } else { prompt_embeds },
            pooled_prompt_embeds: pooled_prompt_embeds.map(|it| if zero { it.zeros_like() } else { it }),
            time_ids,
        })
    }

    /// `prompt` with the sizes of its pictures, for models that take them: one for each row, or one for all.
    #[must_use]
    pub fn with_sizes(&self, prompt: PromptEmbeddings, sizes: &[SizeConditions]) -> PromptEmbeddings {
        const SIZES: usize = 6;
        if !self.denoiser_config.takes_sizes() {
            return prompt;
        }
        let numbers = |sizes: &SizeConditions| [sizes.original, sizes.crop, sizes.target].concat();
        let values: Vec<f32> = sizes.iter().flat_map(numbers).map(|size| size as f32).collect();
        let device = prompt.prompt_embeds.device();
        let time_ids = Tensor::<2>::from_data(TensorData::new(values, [sizes.len(), SIZES]), &device);
        let rows = prompt.rows();
        prompt.with_time_ids(time_ids.expand([rows, SIZES]))
    }

    /// Latents of `pictures` (`[batch, 3, height, width]` in `[-1, 1]`), scaled as the denoiser expects them.
    pub fn encode_pictures(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.vae.encode(pictures, &self.vae_config)
    }

    /// Pictures `[batch, 3, height, width]` in `[-1, 1]` of latents as the denoiser gives them.
    pub fn decode_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        self.vae.decode(latents, &self.vae_config)
    }

    /// Shape of one picture's latents, `[channels, height, width]`, for pictures of `height` by `width` pixels.
    pub fn latent_shape(&self, height: usize, width: usize) -> [usize; 3] {
        let factor = self.vae_config.downsampling_factor();
        [self.vae_config.latent_channels(), height / factor, width / factor]
    }

    /// `model_index.json`, which diffusers reads to know the class of every part.
    fn index(&self) -> Vec<u8> {
        let mut index = serde_json::json!({
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.42.1",
            "feature_extractor": [null, null],
            "image_encoder": [null, null],
            "scheduler": ["diffusers", self.scheduler_config.class_name()],
            "text_encoder": ["transformers", CLIPTextConfig::CLASS],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
            "unet": ["diffusers", self.denoiser_config.class()],
            "vae": ["diffusers", self.vae_config.class()],
        });
        let own = match &self.second_text_encoder {
            None => serde_json::json!({ "requires_safety_checker": false, "safety_checker": [null, null] }),
            Some(second) => serde_json::json!({
                "_class_name": "StableDiffusionXLPipeline",
                "force_zeros_for_empty_prompt": self.force_zeros_for_empty_prompt,
                "text_encoder_2": ["transformers", second.class()],
                "tokenizer_2": ["transformers", "PreTrainedTokenizerFast"],
            }),
        };
        if let (Some(index), serde_json::Value::Object(own)) = (index.as_object_mut(), own) {
            index.extend(own);
        }
        format!("{index:#}\n").into_bytes()
    }
}

/// The configuration of the part in `folder`, and its path.
fn config<F: ModelFiles + ?Sized>(files: &F, folder: &str) -> Result<(String, Vec<u8>), PipelineError> {
    let path = format!("{folder}/config.json");
    let json = files.read(&path)?;
    Ok((path, json))
}

/// `module` with the weights in `folder`.
fn load_part<M: Module, F: ModelFiles + ?Sized>(
    module: M,
    files: &F,
    folder: &str,
    stem: &str,
) -> Result<M, PipelineError> {
    let parts = files::weights_of(files, folder, stem)?;
    let path = parts.first().map_or_else(|| folder.to_owned(), |file| file.path().to_owned());
    weights::load_files(module, &parts).map_err(|error| PipelineError::weights(&path, error))
}

/// Files on their way to a model folder.
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    precision: Precision,
}

impl Files {
    fn add(&mut self, path: String, bytes: Vec<u8>) {
        self.files.insert(path, bytes);
    }

    async fn add_part<M: Module>(
        &mut self,
        folder: &str,
        stem: &str,
        module: &M,
        config: Result<String, crate::models::ConfigError>,
    ) -> Result<(), PipelineError> {
        let path = format!("{folder}/config.json");
        let config = config.map_err(PipelineError::config(&path))?;
        self.add(path, config.into_bytes());
        let path = format!("{folder}/{stem}.safetensors");
        let bytes = weights::to_bytes(module, self.precision, &BTreeMap::new())
            .await
            .map_err(|error| PipelineError::weights(&path, error))?;
        self.add(path, bytes);
        Ok(())
    }
}
