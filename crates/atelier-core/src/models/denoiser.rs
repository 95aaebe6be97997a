//! Any model that predicts what a sampler takes away.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::autoencoder::class_name;
use super::layers::{Adaptable, LayerMut};
use super::prompt_embeddings::PromptEmbeddings;
use super::unet_2d_condition::{AdditionEmbedType, UNet2DConditionModel, UNet2DConditionModelConfig};
use super::{ConfigError, ModelConfig, ModelError};

/// A denoiser of one of the supported classes.
#[derive(Module, Debug)]
pub enum Denoiser {
    /// That of Stable Diffusion and SDXL.
    Unet(UNet2DConditionModel),
}

/// The configuration of a [`Denoiser`].
#[derive(Debug, Clone, PartialEq)]
pub enum DenoiserConfig {
    /// Of [`Denoiser::Unet`].
    Unet(UNet2DConditionModelConfig),
}

impl DenoiserConfig {
    /// Reads the text of a `config.json`, whose `_class_name` says which class it is for.
    ///
    /// # Errors
    /// [`ConfigError::Json`], and [`ConfigError::Unsupported`] for another class.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        match class_name(json)?.as_str() {
            UNet2DConditionModelConfig::CLASS => UNet2DConditionModelConfig::from_json(json).map(Self::Unet),
            other => Err(ConfigError::Unsupported {
                class: "denoiser",
                key: "_class_name".to_owned(),
                value: format!("{other:?}"),
                supported: UNet2DConditionModelConfig::CLASS.to_owned(),
            }),
        }
    }

    /// The text of a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError::Json`] for numbers that JSON cannot hold.
    pub fn to_json(&self) -> Result<String, ConfigError> {
        match self {
            Self::Unet(config) => config.to_json(),
        }
    }

    /// The class in diffusers.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unet(_) => UNet2DConditionModelConfig::CLASS,
        }
    }

    /// Whether the model takes the sizes of pictures, as SDXL does.
    pub fn takes_sizes(&self) -> bool {
        match self {
            Self::Unet(config) => config.addition_embed_type == Some(AdditionEmbedType::TextTime),
        }
    }

    /// Height and width of the latents that the model was made for, if it says so.
    pub fn sample_size(&self) -> Option<[usize; 2]> {
        match self {
            Self::Unet(config) => {
                config.sample_size.as_ref()?.expand(2, self.class(), "sample_size").ok()?.try_into().ok()
            }
        }
    }

    /// A randomly initialised model.
    ///
    /// # Errors
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<Denoiser, ModelError> {
        match self {
            Self::Unet(config) => config.init(device).map(Denoiser::Unet),
        }
    }
}

impl Denoiser {
    /// What the model predicts for noisy latents `sample`, `[batch, channels, height, width]`, at `timesteps` `[batch]`, in
    /// training steps: a tensor of the latents' shape. `prompt` has one row for each.
    ///
    /// # Panics
    /// If `prompt` lacks what the model takes beside text states; a [`Pipeline`](crate::pipeline::Pipeline) gives it.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: Tensor<1>,
        prompt: impl Into<PromptEmbeddings>,
    ) -> Tensor<4> {
        match self {
            Self::Unet(unet) => unet.forward(sample, timesteps, prompt),
        }
    }
}

impl Adaptable for Denoiser {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Unet(unet) => unet.visit_layers(name, visitor),
        }
    }
}
