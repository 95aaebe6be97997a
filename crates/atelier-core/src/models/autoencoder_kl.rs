//! The variational autoencoder of Stable Diffusion, FLUX and SD3 (`diffusers.models.autoencoders.autoencoder_kl`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::activation::Activation;
use super::config::{OneOrMany, diffusers_identity};
use super::config_checks::{
    MOST_LAYERS_OF_A_STAGE, MOST_STAGES, check_count, check_divides, check_divisible, check_other_keys,
    halvings,
};
use super::layers::{Conv2d, Conv2dConfig};
use super::resnet::ResnetOptions;
use super::tiling::tiled;
use super::vae::{Decoder, Encoder, VaeOptions};
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "AutoencoderKL";

/// The configuration of [`AutoencoderKL`]: the keys of diffusers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderKLConfig {
    /// Channels of the pictures that enter.
    pub in_channels: usize,
    /// Channels of the pictures that leave.
    pub out_channels: usize,
    /// Stages on the way down, highest resolution first.
    pub down_block_types: Vec<String>,
    /// Stages on the way up.
    pub up_block_types: Vec<String>,
    /// Channels of each stage, highest resolution first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each stage on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// Activation function.
    pub act_fn: Activation,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Side of the pictures that the model was made for, and of the tiles of large ones; of a list the first.
    #[serde(deserialize_with = "first_of")]
    pub sample_size: usize,
    /// Denoisers see latents minus `shift_factor`, times this.
    pub scaling_factor: f64,
    /// Subtracted from latents before they are scaled.
    pub shift_factor: Option<f64>,
    /// Mean of each channel of the latents, for models that were trained on normalised ones (Playground v2.5).
    pub latents_mean: Option<Vec<f64>>,
    /// Standard deviation of each channel; counts together with the mean only.
    pub latents_std: Option<Vec<f64>>,
    /// Whether a 1x1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the middle stages attend.
    pub mid_block_add_attention: bool,
    /// Keys that have no effect here; those that would have one are refused by [`Self::init`].
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A number, or the first of a list.
fn first_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(size) => Ok(size),
        OneOrMany::Many(sizes) => {
            sizes.first().copied().ok_or_else(|| D::Error::custom("there is no number in the list"))
        }
    }
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DOWN_BLOCK.to_owned()],
            up_block_types: vec![UP_BLOCK.to_owned()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            other: Map::new(),
        }
    }
}

const DOWN_BLOCK: &str = "DownEncoderBlock2D";
const UP_BLOCK: &str = "UpDecoderBlock2D";

impl ModelConfig for AutoencoderKLConfig {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        diffusers_identity(CLASS)
    }
}

impl AutoencoderKLConfig {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<AutoencoderKL, ModelError> {
        self.check()?;
        let options = |in_channels, out_channels| VaeOptions {
            in_channels,
            out_channels,
            block_out_channels: &self.block_out_channels,
            layers_per_block: self.layers_per_block,
            attention: self.mid_block_add_attention,
            resnet: ResnetOptions {
                temb_channels: None,
                groups: self.norm_num_groups,
                eps: 1e-6,
                act: self.act_fn,
                output_scale_factor: 1.0,
            },
        };
        let pointwise = |wanted: bool, channels: usize| {
            wanted.then(|| Conv2dConfig::new([channels, channels], [1, 1]).init(device))
        };
        Ok(AutoencoderKL {
            encoder: Encoder::new(&options(self.in_channels, 2 * self.latent_channels), device),
            quant_conv: pointwise(self.use_quant_conv, 2 * self.latent_channels),
            post_quant_conv: pointwise(self.use_post_quant_conv, self.latent_channels),
            decoder: Decoder::new(&options(self.latent_channels, self.out_channels), device),
        })
    }

    /// How many pixels of a picture, in each direction, one latent pixel stands for.
    pub fn downsampling_factor(&self) -> usize {
        halvings(self.block_out_channels.len())
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_other_keys::<Self>(&self.other, &[], &["force_upcast"])?;
        let count = self.block_out_channels.len();
        check_count(CLASS, "block_out_channels", count, MOST_STAGES)?;
        check_count(CLASS, "layers_per_block", self.layers_per_block, MOST_LAYERS_OF_A_STAGE)?;
        check_divides(CLASS, "scaling_factor", self.scaling_factor)?;
        for (key, types, supported) in [
            ("down_block_types", &self.down_block_types, DOWN_BLOCK),
            ("up_block_types", &self.up_block_types, UP_BLOCK),
        ] {
            if types.len() != count || count == 0 {
                let problem = format!(
                    "has {} values, but `block_out_channels` has {count} (at least 1 is needed)",
                    types.len()
                );
                return Err(ConfigError::Inconsistent { class: CLASS, key, problem });
            }
            if let Some(value) = types.iter().find(|kind| *kind != supported) {
                return Err(ConfigError::Unsupported {
                    class: CLASS,
                    key: key.to_owned(),
                    value: value.clone(),
                    supported: supported.to_owned(),
                });
            }
        }
        for channels in &self.block_out_channels {
            let groups = self.norm_num_groups;
            check_divisible(CLASS, "block_out_channels", *channels, groups, "`norm_num_groups`")?;
        }
        for (key, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
            ("layers_per_block", self.layers_per_block),
            ("sample_size", self.sample_size),
        ] {
            check_divisible(CLASS, key, value, 1, "at least 1")?;
        }
        for (key, values) in [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)] {
            if let Some(values) = values.as_ref().filter(|values| values.len() != self.latent_channels) {
                let problem = format!(
                    "has {} values, but latents have {} channels",
                    values.len(),
                    self.latent_channels
                );
                return Err(ConfigError::Inconsistent { class: CLASS, key, problem });
            }
        }
        for deviation in self.latents_std.iter().flatten() {
            check_divides(CLASS, "latents_std", *deviation)?;
        }
        Ok(())
    }

    /// Side of the tiles in which large pictures are taken, in pixels, a multiple of [`Self::downsampling_factor`]; none if
    /// `sample_size` is below that.
    pub fn tile(&self) -> Option<usize> {
        let factor = self.downsampling_factor();
        Some(self.sample_size / factor * factor).filter(|tile| *tile > 0)
    }
}

/// Pictures to a distribution over latents, and latents to pictures
/// (`diffusers.models.autoencoders.autoencoder_kl.AutoencoderKL`).
#[derive(Module, Debug)]
pub struct AutoencoderKL {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
}

/// What the encoder says of a picture (`diffusers.models.autoencoders.vae.DiagonalGaussianDistribution`).
#[derive(Debug, Clone)]
pub struct DiagonalGaussian {
    /// `[batch, latent_channels, height, width]`; also the most likely latents.
    pub mean: Tensor<4>,
    /// Logarithm of the variance, of the same shape, in [-30, 20].
    pub logvar: Tensor<4>,
}

impl DiagonalGaussian {
    fn new(moments: Tensor<4>) -> Self {
        let channels = moments.dims()[1] / 2;
        let mean = moments.clone().narrow(1, 0, channels);
        let logvar = moments.narrow(1, channels, channels).clamp(-30.0, 20.0);
        Self { mean, logvar }
    }

    /// Latents drawn with `noise`, which is unit Gaussian and of the mean's shape.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + noise * self.logvar.clone().mul_scalar(0.5).exp()
    }
}

impl AutoencoderKL {
    /// Pictures `[batch, in_channels, height, width]` in [-1, 1] to latents of `height / f` by `width / f`, f being
    /// [`AutoencoderKLConfig::downsampling_factor`].
    pub fn encode(&self, images: Tensor<4>) -> DiagonalGaussian {
        DiagonalGaussian::new(self.moments(images))
    }

    /// Latents `[batch, latent_channels, height, width]` to pictures, whose values are about in [-1, 1] and are not
    /// clamped.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let latents = match &self.post_quant_conv {
            Some(conv) => conv.forward(latents),
            None => latents,
        };
        self.decoder.forward(latents)
    }

    /// As [`Self::encode`], in overlapping tiles of `config`'s `sample_size`, blended at their seams (`tiled_encode` in
    /// diffusers): memory no longer grows with the square of the picture.
    pub fn encode_tiled(&self, images: &Tensor<4>, config: &AutoencoderKLConfig) -> DiagonalGaussian {
        let Some(tile) = config.tile() else { return self.encode(images.clone()) };
        let factor = config.downsampling_factor();
        DiagonalGaussian::new(tiled(images, tile, tile / factor, |tile| self.moments(tile)))
    }

    /// As [`Self::decode`], in overlapping tiles (`tiled_decode` in diffusers).
    pub fn decode_tiled(&self, latents: &Tensor<4>, config: &AutoencoderKLConfig) -> Tensor<4> {
        let Some(tile) = config.tile() else { return self.decode(latents.clone()) };
        tiled(latents, tile / config.downsampling_factor(), tile, |tile| self.decode(tile))
    }

    fn moments(&self, images: Tensor<4>) -> Tensor<4> {
        let moments = self.encoder.forward(images);
        match &self.quant_conv {
            Some(conv) => conv.forward(moments),
            None => moments,
        }
    }
}

/// The name that a tensor has today, for one that was written before diffusers renamed the layers of the middle
/// attention.
pub(crate) fn current_name(name: &str) -> Option<String> {
    let (rest, parameter) = name.rsplit_once('.')?;
    let (parent, layer) = rest.rsplit_once('.')?;
    if !parent.contains("mid_block.attentions.") {
        return None;
    }
    let layer = match layer {
        "query" => "to_q",
        "key" => "to_k",
        "value" => "to_v",
        "proj_attn" => "to_out.0",
        _ => return None,
    };
    Some(format!("{parent}.{layer}.{parameter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_understood() {
        let prefix = "decoder.mid_block.attentions.0";
        assert_eq!(current_name(&format!("{prefix}.query.weight")), Some(format!("{prefix}.to_q.weight")));
        assert_eq!(
            current_name(&format!("{prefix}.proj_attn.bias")),
            Some(format!("{prefix}.to_out.0.bias"))
        );
        assert_eq!(current_name(&format!("{prefix}.group_norm.weight")), None);
        assert_eq!(current_name("decoder.conv_in.weight"), None);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |json: &str| {
            let config = AutoencoderKLConfig::from_json(json.as_bytes()).unwrap();
            config.init(&Device::flex()).unwrap_err().to_string()
        };
        assert!(error(r#"{"latents_mean": [0.1]}"#).contains("`latents_mean`"));
        assert!(error(r#"{"latents_std": [1, 1, 0, 1]}"#).contains("`latents_std` is 0"));
        assert!(error(r#"{"scaling_factor": 0}"#).contains("`scaling_factor`"));
        assert!(error(r#"{"block_out_channels": [32, 64]}"#).contains("`down_block_types` has 1 values"));
        assert!(error(r#"{"up_block_types": ["AttnUpDecoderBlock2D"]}"#).contains("UpDecoderBlock2D"));
        assert!(error(r#"{"norm_num_groups": 48}"#).contains("`norm_num_groups`"));
    }
}
