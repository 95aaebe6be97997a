//! Residual blocks (`diffusers.models.resnet`).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::activation::Activation;
use super::resampling::conv_3x3;

/// Applies a 1x1 convolution as a product of matrices: burn's gradient of a convolution's weights costs three
/// times as much, as it is made for large kernels.
pub(super) fn pointwise(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let [batch, in_channels, height, width] = x.dims();
    let weight = conv.weight.val();
    let out_channels = weight.dims()[0];
    let pixels = x.reshape([batch, in_channels, height * width]);
    let product = weight.reshape([1, out_channels, in_channels]).matmul(pixels);
    let sum = match &conv.bias {
        Some(bias) => product + bias.val().reshape([1, out_channels, 1]),
        None => product,
    };
    sum.reshape([batch, out_channels, height, width])
}

/// What the residual blocks of one model have in common.
#[derive(Clone, Copy, Debug)]
pub struct ResnetOptions {
    /// Channels of the timestep embedding.
    pub temb_channels: usize,
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
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    act: Activation,
    output_scale_factor: f64,
}

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
            time_emb_proj: LinearConfig::new(options.temb_channels, out_channels).init(device),
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
    pub fn forward(&self, x: Tensor<4>, activated_temb: Tensor<2>) -> Tensor<4> {
        let h = self.conv1.forward(self.act.forward(self.norm1.forward(x.clone())));
        let h = h + self.time_emb_proj.forward(activated_temb).unsqueeze_dims::<4>(&[2, 3]);
        let h = self.conv2.forward(self.act.forward(self.norm2.forward(h)));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => pointwise(conv, x),
            None => x,
        };
        let sum = shortcut + h;
        if self.output_scale_factor == 1.0 { sum } else { sum / self.output_scale_factor }
    }
}
