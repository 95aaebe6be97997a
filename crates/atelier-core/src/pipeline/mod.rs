//! A diffusers model folder: all parts of a text-to-image model, loaded and saved together.

mod clip_skip;
mod configurations;
mod error;
mod files;
mod inventory;
mod names;
mod parts;
mod picture_sides;
mod scheduling;
mod t5_text_encoder;
mod text_encoders;
mod tokenizers;
mod weight_files;

pub use error::PipelineError;
pub use files::ModelFiles;
pub use inventory::{Inventory, PartSize};
pub use names::is_inside;
pub use picture_sides::PictureSides;
pub use t5_text_encoder::T5TextEncoder;
pub use text_encoders::SecondTextEncoder;

use crate::{
    lora::Component,
    models::{
        ModelConfig, ModelError,
        autoencoder::{Autoencoder, AutoencoderConfig},
        clip_text::{CLIPTextConfig, CLIPTextModel},
        denoiser::{Denoiser, DenoiserConfig},
        layers::store_weights_as,
        prompt_embeddings::PromptEmbeddings,
        t5_encoder::T5Config,
    },
    schedulers::SchedulerConfig,
    text::{PromptTokenizer, TOKENIZER_CONFIG},
    weights::{self, Precision, WeightsFile},
};
use burn::{
    module::Module,
    tensor::{Device, FloatDType, Tensor, TensorData},
};
use configurations::{Configurations, denoiser_config};
use scheduling::SCHEDULER;
use std::collections::BTreeMap;
use t5_text_encoder::{T5_OF_SD3, followed_by_t5};
use tokenizers::Tokenizers;
use weight_files::weights_of;

const INDEX: &str = "model_index.json";
const VAE: &str = "vae";
const TEXT_ENCODER: &str = "text_encoder";
const TOKENIZER: &str = "tokenizer";
/// The names of weights in diffusers and in transformers.
const DIFFUSERS_WEIGHTS: &str = "diffusion_pytorch_model";
const TRANSFORMERS_WEIGHTS: &str = "model";

/// A text-to-image model, as diffusers' `StableDiffusionPipeline`, `StableDiffusionXLPipeline`, `StableDiffusion3Pipeline`
/// and `FluxPipeline` have it.
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
    /// The third text encoder of models that have three (SD3).
    pub third_text_encoder: Option<T5TextEncoder>,
    /// The denoiser that answers negative prompts where another one than [`Self::denoiser`] does (Diffusion-NPO). It is
    /// no part of the folder.
    pub negative_denoiser: Option<Denoiser>,
    /// How many of the text encoder's last layers are left out, as `clip_skip` of diffusers; FLUX takes none of its layers.
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

impl Pipeline {
    /// Reads all parts onto `device`.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn load<F: ModelFiles + ?Sized>(files: &F, device: &Device) -> Result<Self, PipelineError> {
        Self::load_stored_as(FloatDType::F32, files, device)
    }

    /// As [`Self::load`], with the weights of denoiser and text encoders kept on the device in `dtype`: see
    /// [`store_weights_as`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_stored_as<F: ModelFiles + ?Sized>(
        dtype: FloatDType,
        files: &F,
        device: &Device,
    ) -> Result<Self, PipelineError> {
        let configurations = Configurations::read(files)?;
        let folder = component(&configurations.denoiser).key();
        let mut denoiser =
            configurations.denoiser.init(device).map_err(PipelineError::model(&config_of(folder)))?;
        store_weights_as(&mut denoiser, dtype);
        let is_unet = matches!(configurations.denoiser, DenoiserConfig::Unet(_));
        if !is_unet {
            parts::check(&configurations)?;
        }
        let denoiser_files = weights_of(files, folder, DIFFUSERS_WEIGHTS)?;
        if is_unet {
            // A UNet whose weights contradict its own configuration fits no other part either, but for that reason.
            check_weights(&denoiser, folder, &denoiser_files)?;
            parts::check(&configurations)?;
        }
        let Tokenizers { first: tokenizer, second: second_tokenizer, third: third_tokenizer } =
            configurations.tokenizers(files)?;
        let scheduler_config = scheduling::read(files, &configurations.denoiser)?;
        let Configurations {
            force_zeros_for_empty_prompt,
            denoiser: denoiser_config,
            vae: vae_config,
            text: text_config,
            second,
            third,
        } = configurations;
        let vae = vae_config.init(device).map_err(PipelineError::model(&config_of(VAE)))?;
        let mut text_encoder = text_encoder(&denoiser_config, &text_config, device)
            .map_err(PipelineError::model(&config_of(TEXT_ENCODER)))?;
        store_weights_as(&mut text_encoder, dtype);
        let second_text_encoder = second
            .zip(second_tokenizer)
            .map(|(config, tokenizer)| SecondTextEncoder::load(config, tokenizer, dtype, files, device))
            .transpose()?;
        let third_text_encoder = third
            .zip(third_tokenizer)
            .map(|(config, tokenizer)| {
                T5TextEncoder::load(&T5_OF_SD3, config, tokenizer, dtype, files, device)
            })
            .transpose()?;
        Ok(Self {
            denoiser: load_weights(denoiser, folder, &denoiser_files)?,
            vae: load_part(vae, files, VAE, DIFFUSERS_WEIGHTS)?,
            text_encoder: load_part(text_encoder, files, TEXT_ENCODER, TRANSFORMERS_WEIGHTS)?,
            tokenizer,
            second_text_encoder,
            third_text_encoder,
            negative_denoiser: None,
            clip_skip: 0,
            force_zeros_for_empty_prompt,
            denoiser_config,
            vae_config,
            text_config,
            scheduler_config,
        })
    }

    /// The configuration of the denoiser in `files`, of which no weights are read.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn read_denoiser_config<F: ModelFiles + ?Sized>(files: &F) -> Result<DenoiserConfig, PipelineError> {
        denoiser_config(files).map(|(_, config)| config)
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
        let folder = self.denoiser_component().key();
        files.add_part(folder, DIFFUSERS_WEIGHTS, &self.denoiser, self.denoiser_config.to_json()).await?;
        files.add_part(VAE, DIFFUSERS_WEIGHTS, &self.vae, self.vae_config.to_json()).await?;
        files
            .add_part(TEXT_ENCODER, TRANSFORMERS_WEIGHTS, &self.text_encoder, self.text_config.to_json())
            .await?;
        files.add_tokenizer(TOKENIZER, &self.tokenizer);
        if let Some(second) = &self.second_text_encoder {
            second.add_to(&mut files).await?;
        }
        if let Some(third) = &self.third_text_encoder {
            third.add_to(&T5_OF_SD3, &mut files).await?;
        }
        Ok(files.files)
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
        let embeddings = second.embeddings(prompts, &states, clip_skip, device)?;
        match &self.denoiser_config {
            DenoiserConfig::Sd3(sd3) => {
                let third = self.third_text_encoder.as_ref();
                followed_by_t5(embeddings, third, prompts, sd3.joint_attention_dim, device)
            }
            DenoiserConfig::Unet(_) | DenoiserConfig::Flux(_) => Ok(embeddings),
        }
    }

    /// The end of `prompt` that is too long for the text encoders, if there is one. FLUX and SD3 read with T5 what is too
    /// long for CLIP.
    pub fn ignored(&self, prompt: &str) -> Option<String> {
        let tokenizer = match (&self.second_text_encoder, &self.third_text_encoder) {
            (Some(SecondTextEncoder::T5(t5)), _) | (_, Some(t5)) => &t5.tokenizer,
            _ => &self.tokenizer,
        };
        tokenizer.ignored(prompt)
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
        let PromptEmbeddings { prompt_embeds, pooled_prompt_embeds, .. } =
            self.encode(&[prompt], 0, device)?;
        let zero =
            prompt.is_empty() && self.force_zeros_for_empty_prompt && self.second_text_encoder.is_some();
        Ok(PromptEmbeddings {
            pooled_prompt_embeds: pooled_prompt_embeds.map(|it| if zero { it.zeros_like() } else { it }),
            ..if zero { prompt_embeds.zeros_like() } else { prompt_embeds }.into()
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

    /// What model folders and LoRA files call the denoiser.
    pub fn denoiser_component(&self) -> Component {
        component(&self.denoiser_config)
    }

    /// The sides of pictures that the model takes.
    pub fn picture_sides(&self) -> PictureSides {
        PictureSides::new(&self.denoiser_config, &self.vae_config)
    }

    /// `model_index.json`, which diffusers reads to know the class of every part.
    fn index(&self) -> Vec<u8> {
        let absent = serde_json::json!([null, null]);
        let mut index = serde_json::json!({
            "_class_name": self.class(),
            "_diffusers_version": "0.42.1",
            "feature_extractor": absent,
            "image_encoder": absent,
            "scheduler": ["diffusers", self.scheduler_config.class_name()],
            "text_encoder": ["transformers", self.text_encoder.class()],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
            "vae": ["diffusers", self.vae_config.class()],
        });
        let folder = self.denoiser_component().key();
        index[folder] = serde_json::json!(["diffusers", self.denoiser_config.class()]);
        match &self.second_text_encoder {
            None => {
                index["requires_safety_checker"] = false.into();
                index["safety_checker"] = absent.clone();
            }
            Some(second) => {
                index["text_encoder_2"] = serde_json::json!(["transformers", second.class()]);
                index["tokenizer_2"] = serde_json::json!(["transformers", "PreTrainedTokenizerFast"]);
                if let DenoiserConfig::Unet(_) = &self.denoiser_config {
                    index["force_zeros_for_empty_prompt"] = self.force_zeros_for_empty_prompt.into();
                }
            }
        }
        if let DenoiserConfig::Sd3(_) = &self.denoiser_config {
            let part = |class: &str| match &self.third_text_encoder {
                Some(_) => serde_json::json!(["transformers", class]),
                None => absent.clone(),
            };
            index["text_encoder_3"] = part(T5Config::CLASS);
            index["tokenizer_3"] = part("PreTrainedTokenizerFast");
        }
        format!("{index:#}\n").into_bytes()
    }

    /// The class of the pipeline in diffusers.
    fn class(&self) -> &'static str {
        match (&self.denoiser_config, &self.second_text_encoder) {
            (DenoiserConfig::Flux(_), _) => "FluxPipeline",
            (DenoiserConfig::Sd3(_), _) => "StableDiffusion3Pipeline",
            (DenoiserConfig::Unet(_), Some(_)) => "StableDiffusionXLPipeline",
            (DenoiserConfig::Unet(_), None) => "StableDiffusionPipeline",
        }
    }
}

fn component(denoiser: &DenoiserConfig) -> Component {
    match denoiser {
        DenoiserConfig::Unet(_) => Component::Unet,
        DenoiserConfig::Flux(_) | DenoiserConfig::Sd3(_) => Component::Transformer,
    }
}

/// The first text encoder that goes with `denoiser`: SD3 takes the projection of its vector.
fn text_encoder(
    denoiser: &DenoiserConfig,
    config: &CLIPTextConfig,
    device: &Device,
) -> Result<CLIPTextModel, ModelError> {
    match denoiser {
        DenoiserConfig::Sd3(_) => config.init_with_projection(device),
        DenoiserConfig::Unet(_) | DenoiserConfig::Flux(_) => config.init(device),
    }
}

/// The path of the configuration of the part in `folder`.
fn config_of(folder: &str) -> String {
    format!("{folder}/config.json")
}

/// `module` with the weights in `folder`.
fn load_part<M: Module, F: ModelFiles + ?Sized>(
    module: M,
    files: &F,
    folder: &str,
    stem: &str,
) -> Result<M, PipelineError> {
    load_weights(module, folder, &weights_of(files, folder, stem)?)
}

/// `module` with the weights in `parts`, the files in `folder`.
fn load_weights<M: Module>(module: M, folder: &str, parts: &[WeightsFile]) -> Result<M, PipelineError> {
    weights::load_files(module, parts)
        .map_err(|error| PipelineError::weights(&first_path(parts, folder), error))
}

/// Whether `parts`, the files in `folder`, hold what `module` needs; no value is read.
fn check_weights<M: Module>(module: &M, folder: &str, parts: &[WeightsFile]) -> Result<(), PipelineError> {
    weights::check_files(module, parts)
        .map_err(|error| PipelineError::weights(&first_path(parts, folder), error))
}

/// What messages call the weights in `folder`.
fn first_path(parts: &[WeightsFile], folder: &str) -> String {
    parts.first().map_or(folder, WeightsFile::path).to_owned()
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

    /// `tokenizer_config.json` names what `tokenizer.json` of most models leaves out.
    fn add_tokenizer(&mut self, folder: &str, tokenizer: &PromptTokenizer) {
        self.add(format!("{folder}/tokenizer.json"), tokenizer.bytes().to_vec());
        self.add(format!("{folder}/{TOKENIZER_CONFIG}"), tokenizer.config());
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
