//! The stages of a UNet (`diffusers.models.unets.unet_2d_blocks`).

use burn::module::Module;
use burn::tensor::Device;

use super::layers::adaptable;
use super::resampling::{Downsample2D, Upsample2D};
use super::resnet::{ResnetBlock2D, ResnetOptions};
use super::transformer_2d::{Transformer2DModel, Transformer2DOptions};
use super::unet_2d_segments::{Segment, Skip};

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

    /// The stage in order; the result of every segment is a skip connection.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        layers(&self.resnets, &self.attentions, Skip::Gives)
            .chain(self.downsamplers.iter().map(Segment::downsample))
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

    /// The stage in order.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        layers(&self.resnets, &self.attentions, Skip::Neither)
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

    /// The stage in order; every residual block reads the latest skip connection that is left.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        layers(&self.resnets, &self.attentions, Skip::Takes)
            .chain(self.upsamplers.iter().map(Segment::upsample))
    }
}

/// Residual blocks, each with its transformer after it as far as there are any.
fn layers<'a>(
    resnets: &'a [ResnetBlock2D],
    transformers: &'a [Transformer2DModel],
    skip: Skip,
) -> impl Iterator<Item = Segment<'a>> {
    let pairs = resnets.iter().enumerate().map(|(i, resnet)| (resnet, transformers.get(i)));
    pairs.flat_map(move |(resnet, transformer)| Segment::layer(resnet, transformer, skip))
}
