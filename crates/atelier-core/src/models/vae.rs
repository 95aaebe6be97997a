//! The two halves of a variational autoencoder (`diffusers.models.autoencoders.vae`).

use atelier_kernels::group_norm;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};

use super::activation::Activation;
use super::attention::multi_head_attention;
use super::layers::{Conv2d, Linear, LinearConfig};
use super::resampling::{Downsample2D, Upsample2D, conv_3x3};
use super::resnet::{ResnetBlock2D, ResnetOptions};

/// The shape of an encoder or a decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct VaeOptions<'a> {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channels of each stage, highest resolution first.
    pub block_out_channels: &'a [usize],
    /// Residual blocks of each stage of the encoder.
    pub layers_per_block: usize,
    /// Whether the middle stage attends.
    pub attention: bool,
    /// The residual blocks' shape.
    pub resnet: ResnetOptions,
}

impl VaeOptions<'_> {
    fn norm(&self, channels: usize, device: &Device) -> GroupNorm {
        GroupNormConfig::new(self.resnet.groups, channels).with_epsilon(self.resnet.eps).init(device)
    }

    /// Channels at the lowest resolution.
    fn lowest(&self) -> usize {
        self.block_out_channels.last().copied().unwrap_or(1)
    }

    fn resnets(&self, count: usize, from: usize, to: usize, device: &Device) -> Vec<ResnetBlock2D> {
        (0..count)
            .map(|i| ResnetBlock2D::new(if i == 0 { from } else { to }, to, &self.resnet, device))
            .collect()
    }
}

/// `Encoder`: residual stages that halve the resolution, and a middle stage.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownEncoderBlock2D>,
    mid_block: UNetMidBlock2D,
    conv_norm_out: GroupNorm,
    act: Activation,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct DownEncoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    downsamplers: Vec<Downsample2D>,
}

impl Encoder {
    pub fn new(options: &VaeOptions<'_>, device: &Device) -> Self {
        let channels = options.block_out_channels;
        let first = channels.first().copied().unwrap_or(1);
        let down_blocks = channels.iter().enumerate().map(|(i, &to)| {
            let from = if i == 0 { first } else { channels[i - 1] };
            DownEncoderBlock2D {
                resnets: options.resnets(options.layers_per_block, from, to, device),
                downsamplers: (i + 1 < channels.len())
                    .then(|| Downsample2D::new(to, 0, device))
                    .into_iter()
                    .collect(),
            }
        });
        Self {
            conv_in: conv_3x3(options.in_channels, first).init(device),
            down_blocks: down_blocks.collect(),
            mid_block: UNetMidBlock2D::new(options, device),
            conv_norm_out: options.norm(options.lowest(), device),
            act: options.resnet.act,
            conv_out: conv_3x3(options.lowest(), options.out_channels).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv_in.forward(x);
        for block in &self.down_blocks {
            x = block.resnets.iter().fold(x, |x, resnet| resnet.forward(x, None));
            x = block.downsamplers.iter().fold(x, |x, downsampler| downsampler.forward(x));
        }
        let x = self.mid_block.forward(x);
        self.conv_out.forward(self.act.after(&self.conv_norm_out, x))
    }
}

/// `Decoder`: a middle stage, and residual stages that double the resolution.
#[derive(Module, Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    up_blocks: Vec<UpDecoderBlock2D>,
    mid_block: UNetMidBlock2D,
    conv_norm_out: GroupNorm,
    act: Activation,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct UpDecoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    upsamplers: Vec<Upsample2D>,
}

impl Decoder {
    pub fn new(options: &VaeOptions<'_>, device: &Device) -> Self {
        let channels: Vec<usize> = options.block_out_channels.iter().rev().copied().collect();
        let last = channels.last().copied().unwrap_or(1);
        let up_blocks = channels.iter().enumerate().map(|(i, &to)| {
            let from = if i == 0 { options.lowest() } else { channels[i - 1] };
            UpDecoderBlock2D {
                resnets: options.resnets(options.layers_per_block + 1, from, to, device),
                upsamplers: (i + 1 < channels.len())
                    .then(|| Upsample2D::new(to, device))
                    .into_iter()
                    .collect(),
            }
        });
        Self {
            conv_in: conv_3x3(options.in_channels, options.lowest()).init(device),
            up_blocks: up_blocks.collect(),
            mid_block: UNetMidBlock2D::new(options, device),
            conv_norm_out: options.norm(last, device),
            act: options.resnet.act,
            conv_out: conv_3x3(last, options.out_channels).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid_block.forward(self.conv_in.forward(x));
        for block in &self.up_blocks {
            x = block.resnets.iter().fold(x, |x, resnet| resnet.forward(x, None));
            for upsampler in &block.upsamplers {
                let [_, _, height, width] = x.dims();
                x = upsampler.forward(x, [2 * height, 2 * width]);
            }
        }
        self.conv_out.forward(self.act.after(&self.conv_norm_out, x))
    }
}

/// The stage at the lowest resolution (`diffusers.models.unets.unet_2d_blocks.UNetMidBlock2D`).
#[derive(Module, Debug)]
struct UNetMidBlock2D {
    resnets: Vec<ResnetBlock2D>,
    /// At most one; a list in diffusers, and in the names of its weights.
    attentions: Vec<SpatialAttention>,
}

impl UNetMidBlock2D {
    fn new(options: &VaeOptions<'_>, device: &Device) -> Self {
        let channels = options.lowest();
        Self {
            resnets: options.resnets(2, channels, channels, device),
            attentions: options
                .attention
                .then(|| SpatialAttention::new(options, channels, device))
                .into_iter()
                .collect(),
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            if i > 0 {
                x = self.attentions.iter().fold(x, |x, attention| attention.forward(x));
            }
            x = resnet.forward(x, None);
        }
        x
    }
}

/// Attention of every pixel to all pixels, with one head, a group norm before and a shortcut around it
/// (`diffusers.models.attention_processor.Attention` with `residual_connection`).
#[derive(Module, Debug)]
struct SpatialAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: (Linear, Dropout),
}

impl SpatialAttention {
    fn new(options: &VaeOptions<'_>, channels: usize, device: &Device) -> Self {
        let projection = || LinearConfig::new(channels, channels).init(device);
        Self {
            group_norm: options.norm(channels, device),
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: (projection(), DropoutConfig::new(0.0).init()),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let normed = group_norm(&self.group_norm, x.clone(), false);
        let pixels = normed.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let query = self.to_q.forward(pixels.clone());
        let (key, value) = (self.to_k.forward(pixels.clone()), self.to_v.forward(pixels));
        let attended = self.to_out.0.forward(multi_head_attention(query, key, value, 1, None));
        attended.swap_dims(1, 2).reshape([batch, channels, height, width]) + x
    }
}
