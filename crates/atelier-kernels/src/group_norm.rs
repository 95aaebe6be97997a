//! Group normalisation and the activation after it.

#[cfg(feature = "flex")]
mod extension;

use burn::nn::GroupNorm;
use burn::tensor::{Tensor, activation};

/// How the processor's kernel normalises.
#[cfg(feature = "flex")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormOptions {
    groups: usize,
    epsilon: f64,
    silu: bool,
}

/// `norm` of `x` `[batch, channels, height, width]`, then `x sigmoid(x)` if `silu` (`torch.nn.GroupNorm` and
/// `torch.nn.SiLU`, which follow each other in every residual block). Returns the shape of `x`.
///
/// # Panics
///
/// If the channels of `x` are not those of `norm`.
pub fn group_norm(norm: &GroupNorm, x: Tensor<4>, silu: bool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let (Some(scale), Some(shift)) = (&norm.gamma, &norm.beta) {
        let (scale, shift) = (scale.val(), shift.val());
        if [&scale, &shift].into_iter().all(crate::flex::has_kernels) && crate::flex::has_kernels(&x) {
            let options = GroupNormOptions { groups: norm.num_groups, epsilon: norm.epsilon, silu };
            return extension::group_norm(x, scale, shift, options);
        }
    }
    let y = norm.forward(x);
    if silu { activation::silu(y) } else { y }
}
