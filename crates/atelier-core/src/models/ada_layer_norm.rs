//! Layer norms whose scale and shift come from the conditions (`diffusers.models.normalization`; Peebles and Xie, arXiv
//! 2212.09748).

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation, module::layer_norm};

use super::layers::{Linear, LinearConfig, adaptable};

const EPSILON: f64 = 1e-6;

/// What the conditions say to a block: some vectors of its channels, from a linear layer (`AdaLayerNormZero` has six of
/// them, `AdaLayerNormZeroSingle` three, `AdaLayerNormContinuous` two).
#[derive(Module, Debug)]
pub struct AdaLayerNorm {
    linear: Linear,
}

adaptable!(AdaLayerNorm { linear });

impl AdaLayerNorm {
    /// For conditions of `channels` channels, and `vectors` vectors of as many.
    pub fn new(channels: usize, vectors: usize, device: &Device) -> Self {
        Self { linear: LinearConfig::new(channels, vectors * channels).init(device) }
    }

    /// Conditions `[batch, channels]` to `N` vectors `[batch, 1, channels]`.
    ///
    /// # Panics
    /// If the layer was not made for `N` vectors.
    pub fn forward<const N: usize>(&self, conditions: Tensor<2>) -> [Tensor<3>; N] {
        let [_, channels] = conditions.dims();
        let all = self.linear.forward(activation::silu(conditions)).unsqueeze_dim::<3>(1);
        core::array::from_fn(|index| all.clone().narrow(2, index * channels, channels))
    }
}

/// The layer norm of `x`, `[batch, length, channels]`, scaled by one more than `scale` and moved by `shift`, both `[batch, 1,
/// channels]`.
pub fn modulated_norm(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>) -> Tensor<3> {
    let [_, _, channels] = x.dims();
    let ones = Tensor::ones([channels], &x.device());
    layer_norm(x, ones, None, EPSILON) * (scale + 1.0) + shift
}
