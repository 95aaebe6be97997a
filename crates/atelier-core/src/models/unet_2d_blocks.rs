//! The stages of a UNet (`diffusers.models.unets.unet_2d_blocks`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::layers::adaptable;
use super::resampling::{Downsample2D, Upsample2D};
use super::resnet::{ResnetBlock2D, ResnetOptions};
use super::transformer_2d::{Transformer2DModel, Transformer2DOptions};

/// A stage on the way down: `CrossAttnDownBlock2D` with a transformer after each residual block, or
/// `DownBlock2D` without.
#[derive(Module, Debug)]
pub struct DownBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
    /// At most one; a list in diffusers, and in the names of its weights.
    downsamplers: Vec<Downsample2D>,
}

adaptable!(DownBlock2D { resnets, attentions, downsamplers });

/// The shape of a [`DownBlock2D`].
#[derive(Clone, Debug)]
pub struct DownBlock2DOptions {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Residual blocks.
    pub layers: usize,
    /// The residual blocks' shape.
    pub resnet: ResnetOptions,
    /// The transformers' shape, for a stage with cross-attention.
    pub attention: Option<Transformer2DOptions>,
    /// Padding of the downsampling convolution at the end; none for a stage that keeps the resolution.
    pub downsample_padding: Option<usize>,
}

impl DownBlock2D {
    /// Randomly initialised.
    pub fn new(options: &DownBlock2DOptions, device: &Device) -> Self {
        let DownBlock2DOptions { in_channels, out_channels, layers, resnet, attention, downsample_padding } =
            options;
        let resnets = (0..*layers)
            .map(|i| {
                ResnetBlock2D::new(
                    if i == 0 { *in_channels } else { *out_channels },
                    *out_channels,
                    resnet,
                    device,
                )
            })
            .collect();
        let attentions = attention
            .iter()
            .flat_map(|attention| (0..*layers).map(|_| Transformer2DModel::new(attention, device)))
            .collect();
        let downsamplers = downsample_padding
            .iter()
            .map(|padding| Downsample2D::new(*out_channels, *padding, device))
            .collect();
        Self { resnets, attentions, downsamplers }
    }

    /// `x`: `[batch, in_channels, height, width]`; the others as in [`ResnetBlock2D::forward`] and
    /// [`Transformer2DModel::forward`]. Pushes the result of every layer to `skips` and returns the last.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        activated_temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(activated_temb));
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x, context);
            }
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

/// The stage at the lowest resolution (`UNetMidBlock2DCrossAttn`): a residual block, a transformer, a
/// residual block.
#[derive(Module, Debug)]
pub struct UNetMidBlock2DCrossAttn {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
}

adaptable!(UNetMidBlock2DCrossAttn { resnets, attentions });

impl UNetMidBlock2DCrossAttn {
    /// Keeps `attention.channels` channels.
    pub fn new(resnet: &ResnetOptions, attention: &Transformer2DOptions, device: &Device) -> Self {
        let channels = attention.channels;
        Self {
            resnets: (0..2).map(|_| ResnetBlock2D::new(channels, channels, resnet, device)).collect(),
            attentions: vec![Transformer2DModel::new(attention, device)],
        }
    }

    /// Arguments as in [`DownBlock2D::forward`]. Returns the shape of `x`.
    pub fn forward(&self, mut x: Tensor<4>, activated_temb: &Tensor<2>, context: &Tensor<3>) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            if i > 0 {
                x = self.attentions[i - 1].forward(x, context);
            }
            x = resnet.forward(x, Some(activated_temb));
        }
        x
    }
}

/// A stage on the way up: `CrossAttnUpBlock2D` with a transformer after each residual block, or `UpBlock2D`
/// without.
#[derive(Module, Debug)]
pub struct UpBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
    /// At most one; a list in diffusers, and in the names of its weights.
    upsamplers: Vec<Upsample2D>,
}

adaptable!(UpBlock2D { resnets, attentions, upsamplers });

/// The shape of an [`UpBlock2D`].
#[derive(Clone, Debug)]
pub struct UpBlock2DOptions {
    /// Channels that come from the stage below.
    pub in_channels: usize,
    /// Channels of each skip connection, one per residual block, in the order of use.
    pub skip_channels: Vec<usize>,
    /// Channels of the output.
    pub out_channels: usize,
    /// The residual blocks' shape.
    pub resnet: ResnetOptions,
    /// The transformers' shape, for a stage with cross-attention.
    pub attention: Option<Transformer2DOptions>,
    /// Whether the stage ends with an enlargement.
    pub upsample: bool,
}

impl UpBlock2D {
    /// Randomly initialised.
    pub fn new(options: &UpBlock2DOptions, device: &Device) -> Self {
        let UpBlock2DOptions { in_channels, skip_channels, out_channels, resnet, attention, upsample } =
            options;
        let resnets = skip_channels
            .iter()
            .enumerate()
            .map(|(i, skip)| {
                let from_below = if i == 0 { *in_channels } else { *out_channels };
                ResnetBlock2D::new(from_below + skip, *out_channels, resnet, device)
            })
            .collect();
        let attentions = attention
            .iter()
            .flat_map(|attention| skip_channels.iter().map(|_| Transformer2DModel::new(attention, device)))
            .collect();
        let upsamplers = upsample.then(|| Upsample2D::new(*out_channels, device)).into_iter().collect();
        Self { resnets, attentions, upsamplers }
    }

    /// Arguments as in [`DownBlock2D::forward`]; takes one skip connection per residual block from the end of
    /// `skips`.
    ///
    /// The enlargement is to the size of the skip connection that the next stage takes, so that sizes which
    /// are no powers of two come back as they were.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        activated_temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let first_skip = skips.len() - self.resnets.len();
        for (i, (resnet, skip)) in self.resnets.iter().zip(skips.drain(first_skip..).rev()).enumerate() {
            x = resnet.forward(Tensor::cat(vec![x, skip], 1), Some(activated_temb));
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x, context);
            }
        }
        for (upsampler, next_skip) in self.upsamplers.iter().zip(skips.last()) {
            let [_, _, height, width] = next_skip.dims();
            x = upsampler.forward(x, [height, width]);
        }
        x
    }
}
