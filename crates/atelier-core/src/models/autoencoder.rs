//! Any autoencoder between pictures and latents.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;

use super::autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig};
use super::autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig};
use super::batch_parts::divided;
use super::{ConfigError, ModelConfig, ModelError};
use crate::json;

/// An autoencoder of one of the supported classes.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one, and a module cannot be boxed")]
pub enum Autoencoder {
    /// Small and deterministic.
    Tiny(AutoencoderTiny),
    /// That of Stable Diffusion, SDXL and FLUX.
    Kl(AutoencoderKL),
}

/// The configuration of an [`Autoencoder`].
#[derive(Debug, Clone, PartialEq)]
pub enum AutoencoderConfig {
    /// Of [`Autoencoder::Tiny`].
    Tiny(AutoencoderTinyConfig),
    /// Of [`Autoencoder::Kl`].
    Kl(AutoencoderKLConfig),
}

impl AutoencoderConfig {
    /// Reads the text of a `config.json`, whose `_class_name` says which class it is for.
    ///
    /// # Errors
    /// [`ConfigError::Json`], and [`ConfigError::Unsupported`] for another class.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        match class_name(json)?.as_str() {
            AutoencoderTinyConfig::CLASS => AutoencoderTinyConfig::from_json(json).map(Self::Tiny),
            AutoencoderKLConfig::CLASS => AutoencoderKLConfig::from_json(json).map(Self::Kl),
            other => Err(ConfigError::Unsupported {
                class: "autoencoder",
                key: "_class_name".to_owned(),
                value: format!("{other:?}"),
                supported: [AutoencoderTinyConfig::CLASS, AutoencoderKLConfig::CLASS].join(", "),
            }),
        }
    }

    /// The text of a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError::Json`] for numbers that JSON cannot hold.
    pub fn to_json(&self) -> Result<String, ConfigError> {
        match self {
            Self::Tiny(config) => config.to_json(),
            Self::Kl(config) => config.to_json(),
        }
    }

    /// The class in diffusers.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Tiny(_) => AutoencoderTinyConfig::CLASS,
            Self::Kl(_) => AutoencoderKLConfig::CLASS,
        }
    }

    /// A randomly initialised model.
    ///
    /// # Errors
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<Autoencoder, ModelError> {
        match self {
            Self::Tiny(config) => config.init(device).map(Autoencoder::Tiny),
            Self::Kl(config) => config.init(device).map(Autoencoder::Kl),
        }
    }

    /// How many pixels of a picture, in each direction, one latent pixel stands for.
    pub fn downsampling_factor(&self) -> usize {
        match self {
            Self::Tiny(config) => config.downsampling_factor(),
            Self::Kl(config) => config.downsampling_factor(),
        }
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Tiny(config) => config.latent_channels,
            Self::Kl(config) => config.latent_channels,
        }
    }

    /// Channels of the pictures that enter.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::Tiny(config) => config.in_channels,
            Self::Kl(config) => config.in_channels,
        }
    }

    /// Channels of the pictures that leave.
    pub fn out_channels(&self) -> usize {
        match self {
            Self::Tiny(config) => config.out_channels,
            Self::Kl(config) => config.out_channels,
        }
    }

    /// Sets what denoisers see latents multiplied by.
    pub fn set_scaling_factor(&mut self, factor: f64) {
        match self {
            Self::Tiny(config) => config.scaling_factor = factor,
            Self::Kl(config) => config.scaling_factor = factor,
        }
    }

    /// Latents `[batch, channels, height, width]` of the autoencoder as denoisers see them.
    fn normalized(&self, latents: Tensor<4>) -> Tensor<4> {
        if let Some((mean, deviation, scale)) = self.latent_statistics(&latents.device()) {
            return (latents - mean) * scale / deviation;
        }
        let (shift, scale) = self.shift_and_scale();
        latents.sub_scalar(shift).mul_scalar(scale)
    }

    /// The inverse of [`Self::normalized`].
    fn denormalized(&self, latents: Tensor<4>) -> Tensor<4> {
        if let Some((mean, deviation, scale)) = self.latent_statistics(&latents.device()) {
            return latents * deviation / scale + mean;
        }
        let (shift, scale) = self.shift_and_scale();
        latents.div_scalar(scale).add_scalar(shift)
    }

    fn shift_and_scale(&self) -> (f64, f64) {
        match self {
            Self::Tiny(config) => (0.0, config.scaling_factor),
            Self::Kl(config) => (config.shift_factor.unwrap_or(0.0), config.scaling_factor),
        }
    }

    /// Mean and standard deviation of the channels, `[1, channels, 1, 1]`, and the scale, where the configuration has them: they
    /// stand in for the shift, as in `StableDiffusionXLPipeline`.
    fn latent_statistics(&self, device: &Device) -> Option<(Tensor<4>, Tensor<4>, f64)> {
        let Self::Kl(config) = self else { return None };
        let of_channels = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            let shape = [1, values.len(), 1, 1];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        let (mean, deviation) = (config.latents_mean.as_ref()?, config.latents_std.as_ref()?);
        Some((of_channels(mean), of_channels(deviation), config.scaling_factor))
    }

    /// Whether latents have means and deviations of their channels.
    pub fn has_latent_statistics(&self) -> bool {
        matches!(self, Self::Kl(config) if config.latents_mean.is_some() && config.latents_std.is_some())
    }
}

/// The `_class_name` of a configuration, or an empty text.
pub(super) fn class_name(json: &[u8]) -> Result<String, ConfigError> {
    #[derive(Deserialize)]
    struct Class {
        #[serde(default, rename = "_class_name")]
        name: String,
    }
    let class: Class =
        json::from_slice(json).map_err(|source| ConfigError::Json { class: "model", source })?;
    Ok(class.name)
}

/// Pictures that are larger than this many times the size that an [`AutoencoderKL`] was made for are taken in tiles.
const UNTILED: usize = 2;

impl Autoencoder {
    /// Pictures `[batch, 3, height, width]` in [-1, 1] to latents as the denoiser sees them, shifted and scaled. Where
    /// the encoder gives a distribution, its mean.
    pub fn encode(&self, pictures: Tensor<4>, config: &AutoencoderConfig) -> Tensor<4> {
        divided(pictures, (), |(), _| (), |pictures, ()| self.encode_part(pictures, config))
    }

    fn encode_part(&self, pictures: Tensor<4>, config: &AutoencoderConfig) -> Tensor<4> {
        let latents = match (self, config) {
            (Self::Kl(model), AutoencoderConfig::Kl(config)) if is_large(&pictures, config.tile()) => {
                model.encode_tiled(&pictures, config).mean
            }
            (Self::Kl(model), _) => model.encode(pictures).mean,
            (Self::Tiny(model), _) => model.encode(pictures),
        };
        config.normalized(latents)
    }

    /// Latents as the denoiser sees them to pictures `[batch, 3, height, width]` in [-1, 1].
    pub fn decode(&self, latents: Tensor<4>, config: &AutoencoderConfig) -> Tensor<4> {
        divided(latents, (), |(), _| (), |latents, ()| self.decode_part(latents, config))
    }

    fn decode_part(&self, latents: Tensor<4>, config: &AutoencoderConfig) -> Tensor<4> {
        let latents = config.denormalized(latents);
        let pictures = match (self, config) {
            (Self::Kl(model), AutoencoderConfig::Kl(config))
                if is_large(&latents, config.tile().map(|tile| tile / config.downsampling_factor())) =>
            {
                model.decode_tiled(&latents, config)
            }
            (Self::Kl(model), _) => model.decode(latents),
            (Self::Tiny(model), _) => model.decode(latents),
        };
        pictures.clamp(-1.0, 1.0)
    }
}

/// Whether `x` is to be taken in tiles of the given side, if there are tiles at all.
fn is_large(x: &Tensor<4>, tile: Option<usize>) -> bool {
    let [_, _, height, width] = x.dims();
    tile.is_some_and(|tile| height.max(width) > UNTILED * tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of Playground v2.5, with a scale that is easy to follow.
    #[test]
    fn statistics_of_channels_stand_in_for_the_shift() {
        let json = br#"{"_class_name": "AutoencoderKL", "latents_mean": [-1.5, 1, 2, 0], "latents_std": [8, 5, 4, 2],
            "scaling_factor": 0.5}"#;
        let config = AutoencoderConfig::from_json(json).unwrap();
        let latents = Tensor::<4>::from_data([[[[2.5_f32]], [[6.0]], [[2.0]], [[-1.0]]]], &Device::flex());
        let seen = config.normalized(latents.clone());
        assert_eq!(seen.to_data(), TensorData::from([[[[0.25_f32]], [[0.5]], [[0.0]], [[-0.25]]]]));
        assert_eq!(config.denormalized(seen).to_data(), latents.to_data());
        assert!(config.has_latent_statistics());
    }

    #[test]
    fn the_class_decides() {
        let kl = AutoencoderConfig::from_json(br#"{"_class_name": "AutoencoderKL", "latent_channels": 16}"#);
        assert_eq!(kl.unwrap().latent_channels(), 16);
        let error = AutoencoderConfig::from_json(br#"{"_class_name": "VQModel"}"#).unwrap_err().to_string();
        assert!(error.contains("VQModel") && error.contains("AutoencoderTiny, AutoencoderKL"), "{error}");
    }
}
