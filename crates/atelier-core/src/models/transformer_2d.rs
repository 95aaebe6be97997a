//! Transformer blocks on the pixels of a feature map (`diffusers.models.transformers.transformer_2d`).

use atelier_kernels::group_norm;
use burn::module::Module;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};

use super::attention::BasicTransformerBlock;
#[cfg(feature = "autodiff")]
use super::layers::is_adapted;
use super::layers::{Adaptable, Conv2d, Conv2dConfig, LayerMut, Linear, LinearConfig, adaptable};

/// The shape of a [`Transformer2DModel`].
#[derive(Clone, Copy, Debug)]
pub struct Transformer2DOptions {
    /// Channels of the feature map, divisible by `heads` and by `groups`.
    pub channels: usize,
    /// Channels of the text states.
    pub cross_attention_dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Groups of the normalisation.
    pub groups: usize,
    /// Whether the projections in and out are linear layers (Stable Diffusion 2 and later) or 1x1
    /// convolutions.
    pub use_linear_projection: bool,
}

/// A projection of every pixel; which kind decides the shape of the weights in the file.
#[derive(Module, Debug)]
enum Projection {
    Linear(Linear),
    Conv(Conv2d),
}

impl Projection {
    fn new(channels: usize, linear: bool, device: &Device) -> Self {
        if linear {
            Self::Linear(LinearConfig::new(channels, channels).init(device))
        } else {
            Self::Conv(Conv2dConfig::new([channels, channels], [1, 1]).init(device))
        }
    }
}

impl Adaptable for Projection {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Linear(linear) => linear.visit_layers(name, visitor),
            Self::Conv(conv) => conv.visit_layers(name, visitor),
        }
    }
}

/// Group norm, projection, transformer blocks, projection, and a shortcut around all
/// (`diffusers.models.transformers.transformer_2d.Transformer2DModel`, continuous input).
#[derive(Module, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Projection,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

adaptable!(Transformer2DModel { proj_in, transformer_blocks, proj_out });

impl Transformer2DModel {
    /// Randomly initialised.
    pub fn new(options: &Transformer2DOptions, device: &Device) -> Self {
        let Transformer2DOptions {
            channels,
            cross_attention_dim,
            heads,
            layers,
            groups,
            use_linear_projection,
        } = *options;
        Self {
            norm: GroupNormConfig::new(groups, channels).with_epsilon(1e-6).init(device),
            proj_in: Projection::new(channels, use_linear_projection, device),
            transformer_blocks: (0..layers)
                .map(|_| BasicTransformerBlock::new(channels, cross_attention_dim, heads, device))
                .collect(),
            proj_out: Projection::new(channels, use_linear_projection, device),
        }
    }

    /// `[batch, channels, height, width]` to what the first block reads, `[batch, height * width, channels]`.
    pub(super) fn proj_in(&self, x: Tensor<4>) -> Tensor<3> {
        let normed = group_norm(&self.norm, x, false);
        match &self.proj_in {
            Projection::Linear(linear) => linear.forward(to_sequence(normed)),
            Projection::Conv(conv) => to_sequence(conv.forward(normed)),
        }
    }

    /// Whether an adapter sits on [`Self::proj_in`].
    #[cfg(feature = "autodiff")]
    pub(super) fn is_adapted_before_blocks(&self) -> bool {
        is_adapted(&self.proj_in)
    }

    /// Whether an adapter sits on [`Self::proj_out`].
    #[cfg(feature = "autodiff")]
    pub(super) fn is_adapted_after_blocks(&self) -> bool {
        is_adapted(&self.proj_out)
    }

    /// The blocks in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &BasicTransformerBlock> {
        self.transformer_blocks.iter()
    }

    /// What the last block gave, `[batch, height * width, channels]`, as a map of the given height and width; the shortcut
    /// is still to be added.
    pub(super) fn proj_out(&self, hidden: Tensor<3>, size: [usize; 2]) -> Tensor<4> {
        match &self.proj_out {
            Projection::Linear(linear) => to_map(linear.forward(hidden), size),
            Projection::Conv(conv) => conv.forward(to_map(hidden, size)),
        }
    }
}

/// `[batch, channels, height, width]` to `[batch, height * width, channels]`.
fn to_sequence(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).swap_dims(1, 2)
}

/// The way back from [`to_sequence`].
fn to_map(x: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}
