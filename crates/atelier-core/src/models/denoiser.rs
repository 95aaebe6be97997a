//! Any model that predicts what a sampler takes away.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use core::ops::Range;

use super::autoencoder::class_name;
use super::batch_parts::divided;
#[cfg(feature = "autodiff")]
use super::gradient_checkpointing::{CheckpointedPass, DenoiserInput};
use super::layers::{Adaptable, LayerMut};
use super::prompt_embeddings::PromptEmbeddings;
use super::transformer_flux::{self, FluxTransformer2DModel, FluxTransformer2DModelConfig};
use super::transformer_sd3::{SD3Transformer2DModel, SD3Transformer2DModelConfig};
#[cfg(feature = "autodiff")]
use super::unet_2d_condition::Beginning;
use super::unet_2d_condition::{AdditionEmbedType, UNet2DConditionModel, UNet2DConditionModelConfig};
use super::{ConfigError, ModelConfig, ModelError};

/// A denoiser of one of the supported classes.
#[derive(Module, Debug)]
// Where pointers are half as long, as in WebAssembly, it is not large.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "a model has one, and a module cannot be boxed")
)]
pub enum Denoiser {
    /// That of Stable Diffusion and SDXL.
    Unet(UNet2DConditionModel),
    /// That of FLUX.
    Flux(FluxTransformer2DModel),
    /// That of Stable Diffusion 3 and 3.5.
    Sd3(SD3Transformer2DModel),
}

/// The configuration of a [`Denoiser`].
#[derive(Debug, Clone, PartialEq)]
pub enum DenoiserConfig {
    /// Of [`Denoiser::Unet`].
    Unet(UNet2DConditionModelConfig),
    /// Of [`Denoiser::Flux`].
    Flux(FluxTransformer2DModelConfig),
    /// Of [`Denoiser::Sd3`].
    Sd3(SD3Transformer2DModelConfig),
}

impl DenoiserConfig {
    /// Reads the text of a `config.json`, whose `_class_name` says which class it is for.
    ///
    /// # Errors
    /// [`ConfigError::Json`], and [`ConfigError::Unsupported`] for another class.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        match class_name(json)?.as_str() {
            UNet2DConditionModelConfig::CLASS => UNet2DConditionModelConfig::from_json(json).map(Self::Unet),
            FluxTransformer2DModelConfig::CLASS => {
                FluxTransformer2DModelConfig::from_json(json).map(Self::Flux)
            }
            SD3Transformer2DModelConfig::CLASS => SD3Transformer2DModelConfig::from_json(json).map(Self::Sd3),
            other => Err(ConfigError::Unsupported {
                class: "denoiser",
                key: "_class_name".to_owned(),
                value: format!("{other:?}"),
                supported: [
                    UNet2DConditionModelConfig::CLASS,
                    FluxTransformer2DModelConfig::CLASS,
                    SD3Transformer2DModelConfig::CLASS,
                ]
                .join(", "),
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
            Self::Flux(config) => config.to_json(),
            Self::Sd3(config) => config.to_json(),
        }
    }

    /// The class in diffusers.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unet(_) => UNet2DConditionModelConfig::CLASS,
            Self::Flux(_) => FluxTransformer2DModelConfig::CLASS,
            Self::Sd3(_) => SD3Transformer2DModelConfig::CLASS,
        }
    }

    /// By what sides of the latents must be divisible.
    pub fn patch(&self) -> usize {
        match self {
            Self::Unet(_) => 1,
            Self::Flux(_) => transformer_flux::PATCH,
            Self::Sd3(config) => config.patch_size,
        }
    }

    /// The longest side of latents that the model can take, if there is one.
    pub fn longest_side(&self) -> Option<usize> {
        match self {
            Self::Unet(_) | Self::Flux(_) => None,
            Self::Sd3(config) => Some(config.pos_embed_max_size.saturating_mul(config.patch_size)),
        }
    }

    /// Whether models of the class are distilled with guidance: the guidance scale is then an input, if anything, and
    /// classifier-free guidance has a scale of its own (`true_cfg_scale` in diffusers).
    pub fn is_guidance_distilled(&self) -> bool {
        matches!(self, Self::Flux(_))
    }

    /// Whether the model takes the sizes of pictures, as SDXL does.
    pub fn takes_sizes(&self) -> bool {
        match self {
            Self::Unet(config) => config.addition_embed_type == Some(AdditionEmbedType::TextTime),
            Self::Flux(_) | Self::Sd3(_) => false,
        }
    }

    /// Height and width of the latents that the model was made for, if it says so.
    pub fn sample_size(&self) -> Option<[usize; 2]> {
        match self {
            // `default_sample_size` of diffusers' pipeline.
            Self::Flux(_) => Some([128; 2]),
            Self::Sd3(config) => Some([config.sample_size; 2]),
            Self::Unet(config) => {
                config.sample_size.as_ref()?.expand(2, self.class(), "sample_size").ok()?.try_into().ok()
            }
        }
    }

    /// Latents whose sides are multiples of this go through all stages of the model without rounding. Others can be used
    /// as well.
    pub fn latent_multiple(&self) -> usize {
        match self {
            // Every stage but the last halves them.
            Self::Unet(config) => 1 << config.down_block_types.len().saturating_sub(1),
            Self::Flux(_) | Self::Sd3(_) => self.patch(),
        }
    }

    /// Whether blocks of the model can be computed again for gradients.
    pub fn can_be_checkpointed(&self) -> bool {
        matches!(self, Self::Unet(_))
    }

    /// A randomly initialised model.
    ///
    /// # Errors
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<Denoiser, ModelError> {
        match self {
            Self::Unet(config) => config.init(device).map(Denoiser::Unet),
            Self::Flux(config) => config.init(device).map(Denoiser::Flux),
            Self::Sd3(config) => config.init(device).map(Denoiser::Sd3),
        }
    }
}

impl Denoiser {
    /// What the model predicts for noisy latents `sample`, `[batch, channels, height, width]`, at `timesteps` `[batch]`, in
    /// training steps: a tensor of the latents' shape. `prompt` has one row for each.
    ///
    /// # Panics
    /// If `prompt` lacks what the model takes beside text states; a [`Pipeline`](crate::pipeline::Pipeline) gives it. If
    /// sides are not multiples of [`DenoiserConfig::patch`], or above [`DenoiserConfig::longest_side`].
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: Tensor<1>,
        prompt: impl Into<PromptEmbeddings>,
    ) -> Tensor<4> {
        let prompt = prompt.into();
        let rows_of = |(timesteps, prompt): &(Tensor<1>, PromptEmbeddings), rows: Range<usize>| {
            (timesteps.clone().narrow(0, rows.start, rows.len()), prompt.rows_of(rows))
        };
        divided(sample, (timesteps, prompt), rows_of, |sample, (timesteps, prompt)| {
            self.forward_part(sample, timesteps, prompt)
        })
    }

    fn forward_part(&self, sample: Tensor<4>, timesteps: Tensor<1>, prompt: PromptEmbeddings) -> Tensor<4> {
        match self {
            Self::Unet(unet) => unet.forward(sample, timesteps, prompt),
            Self::Flux(transformer) => transformer.forward(sample, timesteps, prompt),
            Self::Sd3(transformer) => transformer.forward(sample, timesteps, prompt),
        }
    }

    /// The prediction without gradients, and what gives the gradients of `self` later: see
    /// [`gradient_checkpointing`](super::gradient_checkpointing).
    ///
    /// `frozen` is `self` without gradients: the same weights on the device without autodiff. `input` is there, too. None
    /// where [`DenoiserConfig::can_be_checkpointed`] is false.
    ///
    /// # Panics
    /// As [`Self::forward`].
    #[cfg(feature = "autodiff")]
    pub fn forward_checkpointed(
        &self,
        frozen: &Self,
        input: DenoiserInput,
    ) -> Option<(Tensor<4>, CheckpointedPass)> {
        match (self, frozen) {
            (Self::Unet(model), Self::Unet(frozen)) => {
                Some(CheckpointedPass::forward(model, frozen, input, None))
            }
            _ => None,
        }
    }

    /// The predictions of `self`, `base` with an adapter on it, with gradients, and of `base`, without. What comes before the
    /// first adapted layer is the same for both and computed once, with the weights of `base`: whatever else is trained gets no
    /// gradients. `input` is without gradients, as `base` is.
    ///
    /// # Panics
    /// As [`Self::forward`].
    #[cfg(feature = "autodiff")]
    pub fn forward_beside(&self, base: &Self, input: DenoiserInput) -> (Tensor<4>, Tensor<4>) {
        let shared = self.shared_beginning(base, &input);
        let DenoiserInput { sample, timesteps, prompt } = input;
        if let (Self::Unet(model), Some((base, beginning))) = (self, shared) {
            let reference = base.finish(beginning.clone(), &prompt.prompt_embeds);
            return (model.finish(beginning.autodiff(), &prompt.prompt_embeds.autodiff()), reference);
        }
        let reference = base.forward(sample.clone(), timesteps.clone(), prompt.clone());
        (self.forward(sample.autodiff(), timesteps.autodiff(), prompt.autodiff()), reference)
    }

    /// As [`Self::forward_beside`], with what gives the gradients of `self` later, and as [`Self::forward_checkpointed`].
    ///
    /// # Panics
    /// As [`Self::forward`].
    #[cfg(feature = "autodiff")]
    pub fn forward_checkpointed_beside(
        &self,
        frozen: &Self,
        base: &Self,
        input: DenoiserInput,
    ) -> Option<(Tensor<4>, CheckpointedPass, Tensor<4>)> {
        let (Self::Unet(model), Self::Unet(frozen)) = (self, frozen) else { return None };
        let (reference, beginning) = match self.shared_beginning(base, &input) {
            Some((base, beginning)) => {
                (base.finish(beginning.clone(), &input.prompt.prompt_embeds), Some(beginning))
            }
            None => {
                let DenoiserInput { sample, timesteps, prompt } = input.clone();
                (base.forward(sample, timesteps, prompt), None)
            }
        };
        let (prediction, pass) = CheckpointedPass::forward(model, frozen, input, beginning);
        Some((prediction, pass, reference))
    }

    /// What `base` and `self`, an adapter on it, compute alike.
    #[cfg(feature = "autodiff")]
    fn shared_beginning<'a>(
        &self,
        base: &'a Self,
        input: &DenoiserInput,
    ) -> Option<(&'a UNet2DConditionModel, Beginning)> {
        let (Self::Unet(model), Self::Unet(base)) = (self, base) else { return None };
        let segments = model.unadapted_segments()?;
        let DenoiserInput { sample, timesteps, prompt } = input;
        Some((base, base.begin(sample.clone(), timesteps.clone(), prompt, segments)))
    }
}

impl Adaptable for Denoiser {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Unet(unet) => unet.visit_layers(name, visitor),
            Self::Flux(transformer) => transformer.visit_layers(name, visitor),
            Self::Sd3(transformer) => transformer.visit_layers(name, visitor),
        }
    }
}
