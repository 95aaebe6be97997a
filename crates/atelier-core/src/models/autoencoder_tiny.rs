//! A small autoencoder without sampling (`diffusers.models.autoencoders.autoencoder_tiny`).

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::activation::Activation;
use super::config::diffusers_identity;
use super::config_checks::{
    MOST_LAYERS_OF_A_STAGE, MOST_STAGES, check_count, check_divides, check_divisible, check_other_keys,
    halvings,
};
use super::layers::Conv2d;
use super::resampling::{conv_3x3, upsample_nearest};
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "AutoencoderTiny";

/// The configuration of [`AutoencoderTiny`]: the keys of diffusers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderTinyConfig {
    /// Channels of the pictures that enter.
    pub in_channels: usize,
    /// Channels of the pictures that leave.
    pub out_channels: usize,
    /// Channels of each level of the encoder, all equal; every level but the first halves the resolution.
    pub encoder_block_out_channels: Vec<usize>,
    /// Channels of each level of the decoder, all equal.
    pub decoder_block_out_channels: Vec<usize>,
    /// Activation function inside the blocks.
    pub act_fn: Activation,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// By how much each level of the decoder but the last enlarges.
    pub upsampling_scaling_factor: usize,
    /// Residual blocks of each level of the encoder.
    pub num_encoder_blocks: Vec<usize>,
    /// Residual blocks of each level of the decoder.
    pub num_decoder_blocks: Vec<usize>,
    /// By what latents are multiplied before the denoiser sees them; [`AutoencoderTiny`] itself does not
    /// apply it.
    pub scaling_factor: f64,
    /// What is subtracted from latents before the denoiser sees them; [`AutoencoderTiny`] itself does not
    /// apply it.
    pub shift_factor: f64,
    /// Keys that have no effect here; those that would have one are refused by [`Self::init`].
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            act_fn: Activation::Relu,
            latent_channels: 4,
            upsampling_scaling_factor: 2,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            scaling_factor: 1.0,
            shift_factor: 0.0,
            other: Map::new(),
        }
    }
}

impl ModelConfig for AutoencoderTinyConfig {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        diffusers_identity(CLASS)
    }
}

/// Keys of diffusers that would change the model, with the values under which they do not.
const NEUTRAL: &[(&str, &[&str])] = &[("upsample_fn", &["\"nearest\""])];

impl AutoencoderTinyConfig {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<AutoencoderTiny, ModelError> {
        check_other_keys::<Self>(
            &self.other,
            NEUTRAL,
            &["block_out_channels", "force_upcast", "latent_magnitude", "latent_shift"],
        )?;
        let encoder_channels = channels(
            "encoder_block_out_channels",
            &self.encoder_block_out_channels,
            &self.num_encoder_blocks,
        )?;
        let decoder_channels = channels(
            "decoder_block_out_channels",
            &self.decoder_block_out_channels,
            &self.num_decoder_blocks,
        )?;
        check_divisible(CLASS, "in_channels", self.in_channels, 1, "channels of a picture")?;
        check_divisible(CLASS, "out_channels", self.out_channels, 1, "channels of a picture")?;
        check_divisible(CLASS, "latent_channels", self.latent_channels, 1, "channels of the latents")?;
        check_divisible(
            CLASS,
            "upsampling_scaling_factor",
            self.upsampling_scaling_factor,
            1,
            "a whole factor",
        )?;
        check_divides(CLASS, "scaling_factor", self.scaling_factor)?;
        let enlarged = u32::try_from(self.num_decoder_blocks.len() - 1)
            .ok()
            .and_then(|levels| self.upsampling_scaling_factor.checked_pow(levels));
        if enlarged != Some(self.downsampling_factor()) {
            let problem = format!(
                "enlarges {} times by {}, but the encoder makes pictures {} times smaller",
                self.num_decoder_blocks.len() - 1,
                self.upsampling_scaling_factor,
                self.downsampling_factor()
            );
            return Err(ConfigError::Inconsistent { class: CLASS, key: "num_decoder_blocks", problem }.into());
        }
        Ok(AutoencoderTiny {
            encoder: Coder { layers: self.encoder_layers(encoder_channels, device) },
            decoder: Coder { layers: self.decoder_layers(decoder_channels, device) },
        })
    }

    /// How many pixels of a picture, in each direction, one latent pixel stands for.
    pub fn downsampling_factor(&self) -> usize {
        halvings(self.num_encoder_blocks.len())
    }

    fn encoder_layers(&self, channels: usize, device: &Device) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (level, blocks) in self.num_encoder_blocks.iter().enumerate() {
            let conv = if level == 0 {
                conv_3x3(self.in_channels, channels)
            } else {
                conv_3x3(channels, channels).with_stride([2, 2]).with_bias(false)
            };
            layers.push(Layer::Conv(conv.init(device)));
            layers.extend(
                (0..*blocks).map(|_| Layer::Block(AutoencoderTinyBlock::new(channels, self.act_fn, device))),
            );
        }
        layers.push(Layer::Conv(conv_3x3(channels, self.latent_channels).init(device)));
        layers
    }

    fn decoder_layers(&self, channels: usize, device: &Device) -> Vec<Layer> {
        let mut layers = vec![
            Layer::Conv(conv_3x3(self.latent_channels, channels).init(device)),
            Layer::Activation(self.act_fn),
        ];
        let last = self.num_decoder_blocks.len() - 1;
        for (level, blocks) in self.num_decoder_blocks.iter().enumerate() {
            layers.extend(
                (0..*blocks).map(|_| Layer::Block(AutoencoderTinyBlock::new(channels, self.act_fn, device))),
            );
            let conv = if level < last {
                layers.push(Layer::Upsample(self.upsampling_scaling_factor));
                conv_3x3(channels, channels).with_bias(false)
            } else {
                conv_3x3(channels, self.out_channels)
            };
            layers.push(Layer::Conv(conv.init(device)));
        }
        layers
    }
}

/// The number of channels that all levels share: diffusers' convolutions between levels do not change it.
fn channels(key: &'static str, channels: &[usize], blocks: &[usize]) -> Result<usize, ConfigError> {
    let failed = |problem| Err(ConfigError::Inconsistent { class: CLASS, key, problem });
    if channels.len() != blocks.len() || channels.is_empty() {
        let (found, expected) = (channels.len(), blocks.len());
        return failed(format!("has {found} values, but there are {expected} levels (at least 1 is needed)"));
    }
    check_count(CLASS, key, channels.len(), MOST_STAGES)?;
    for blocks in blocks {
        check_count(CLASS, key, *blocks, MOST_LAYERS_OF_A_STAGE)?;
    }
    check_divisible(CLASS, key, channels[0].max(1), 1, "channels")?;
    if channels.iter().any(|c| *c != channels[0] || *c == 0) {
        return failed(format!("must hold one positive number throughout, not {channels:?}"));
    }
    Ok(channels[0])
}

/// Pictures to latents and back (`diffusers.models.autoencoders.autoencoder_tiny.AutoencoderTiny`).
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    encoder: Coder,
    decoder: Coder,
}

impl AutoencoderTiny {
    /// Pictures `[batch, in_channels, height, width]` in [-1, 1] to latents
    /// `[batch, latent_channels, height / f, width / f]`, f being
    /// [`AutoencoderTinyConfig::downsampling_factor`].
    pub fn encode(&self, images: Tensor<4>) -> Tensor<4> {
        self.encoder.forward((images + 1.0) / 2.0)
    }

    /// Latents `[batch, latent_channels, height, width]` to pictures, whose values are about in [-1, 1] and
    /// are not clamped.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let clamped = (latents / 3.0).tanh() * 3.0;
        self.decoder.forward(clamped) * 2.0 - 1.0
    }
}

/// `EncoderTiny` or `DecoderTiny`, which differ only in their layers.
#[derive(Module, Debug)]
struct Coder {
    layers: Vec<Layer>,
}

impl Coder {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }
}

/// One position in PyTorch's `Sequential`.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has few layers, and a module cannot be boxed")]
enum Layer {
    Conv(Conv2d),
    Block(AutoencoderTinyBlock),
    Activation(Activation),
    Upsample(usize),
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
            Self::Activation(activation) => activation.forward(x),
            Self::Upsample(factor) => {
                let [_, _, height, width] = x.dims();
                upsample_nearest(x, [factor * height, factor * width])
            }
        }
    }
}

/// Three convolutions and a shortcut (`diffusers.models.unets.unet_2d_blocks.AutoencoderTinyBlock`).
#[derive(Module, Debug)]
struct AutoencoderTinyBlock {
    conv: (Conv2d, Activation, Conv2d, Activation, Conv2d),
}

impl AutoencoderTinyBlock {
    fn new(channels: usize, act: Activation, device: &Device) -> Self {
        let conv = || conv_3x3(channels, channels).init(device);
        Self { conv: (conv(), act, conv(), act, conv()) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (conv_0, act_1, conv_2, act_3, conv_4) = &self.conv;
        let h = act_1.forward(conv_0.forward(x.clone()));
        let h = act_3.forward(conv_2.forward(h));
        activation::relu(conv_4.forward(h) + x)
    }
}
