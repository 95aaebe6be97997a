//! Residual blocks (`diffusers.models.resnet`).

use burn::module::Module;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};

use super::activation::Activation;
use super::layers::{Conv2d, Conv2dConfig, Linear, LinearConfig, adaptable};
use super::resampling::conv_3x3;

/// What the residual blocks of one model have in common.
#[derive(Clone, Copy, Debug)]
pub struct ResnetOptions {
    /// Channels of the timestep embedding, for models that have one.
    pub temb_channels: Option<usize>,
    /// Groups of the normalisations.
    pub groups: usize,
    /// Added to the variance in the normalisations.
    pub eps: f64,
    /// Between the layers.
    pub act: Activation,
    /// Divides the output.
    pub output_scale_factor: f64,
}

/// Two convolutions with a timestep embedding between them and a shortcut around them
/// (`diffusers.models.resnet.ResnetBlock2D`).
#[derive(Module, Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    act: Activation,
    output_scale_factor: f64,
}

adaptable!(ResnetBlock2D { conv1, time_emb_proj, conv2, conv_shortcut });

impl ResnetBlock2D {
    /// The shortcut is a 1x1 convolution where the number of channels changes.
    ///
    /// Both numbers of channels must be divisible by `options.groups`.
    pub fn new(in_channels: usize, out_channels: usize, options: &ResnetOptions, device: &Device) -> Self {
        let norm =
            |channels| GroupNormConfig::new(options.groups, channels).with_epsilon(options.eps).init(device);
        Self {
            norm1: norm(in_channels),
            conv1: conv_3x3(in_channels, out_channels).init(device),
            time_emb_proj: options
                .temb_channels
                .map(|channels| LinearConfig::new(channels, out_channels).init(device)),
            norm2: norm(out_channels),
            conv2: conv_3x3(out_channels, out_channels).init(device),
            conv_shortcut: (in_channels != out_channels)
                .then(|| Conv2dConfig::new([in_channels, out_channels], [1, 1]).init(device)),
            act: options.act,
            output_scale_factor: options.output_scale_factor,
        }
    }

    /// `x`: `[batch, in_channels, height, width]`; `activated_temb`: the timestep embedding
    /// `[batch, temb_channels]` after the activation, which is the same for all blocks of a model.
    ///
    /// Returns `[batch, out_channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>, activated_temb: Option<&Tensor<2>>) -> Tensor<4> {
        let h = self.act.after(&self.norm1, x.clone());
        let h = match (&self.time_emb_proj, activated_temb) {
            (Some(projection), Some(temb)) => self.conv1.forward_shifted(h, projection.forward(temb.clone())),
            _ => self.conv1.forward(h),
        };
        let h = self.conv2.forward(self.act.after(&self.norm2, h));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        let sum = shortcut + h;
        if self.output_scale_factor == 1.0 { sum } else { sum / self.output_scale_factor }
    }
}
