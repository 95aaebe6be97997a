//! Changes of resolution inside a model (`diffusers.models.downsampling` and `.upsampling`).

use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};

use super::layers::{Conv2d, Conv2dConfig, adaptable};

/// A 3x3 convolution that keeps the size of the picture.
pub(super) fn conv_3x3(in_channels: usize, out_channels: usize) -> Conv2dConfig {
    Conv2dConfig::new([in_channels, out_channels], [3, 3]).with_padding([(1, 1); 2])
}

/// Halves the resolution by a strided convolution (`diffusers.models.downsampling.Downsample2D`).
#[derive(Module, Debug)]
pub struct Downsample2D {
    conv: Conv2d,
}

adaptable!(Downsample2D { conv });

impl Downsample2D {
    /// Keeps the number of channels; `padding` is 1, or 0 for padding at the right and bottom edges only.
    pub fn new(channels: usize, padding: usize, device: &Device) -> Self {
        let conv = Conv2dConfig::new([channels, channels], [3, 3])
            .with_stride([2, 2])
            .with_padding([(padding, 1); 2]);
        Self { conv: conv.init(device) }
    }

    /// `[batch, channels, height, width]` to `[batch, channels, ceil(height / 2), ceil(width / 2)]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }
}

/// Enlarges to a given size, then convolves (`diffusers.models.upsampling.Upsample2D`).
#[derive(Module, Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

adaptable!(Upsample2D { conv });

impl Upsample2D {
    /// Keeps the number of channels.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { conv: conv_3x3(channels, channels).init(device) }
    }

    /// `[batch, channels, height, width]` to `[batch, channels, size[0], size[1]]`.
    pub fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        self.conv.forward(upsample_nearest(x, size))
    }
}

/// Enlarges `[batch, channels, height, width]` to `size` (height, width) by repeating the nearest pixel.
pub(super) fn upsample_nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}
