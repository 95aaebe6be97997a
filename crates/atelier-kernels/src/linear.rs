//! Linear layers.

#[cfg(feature = "flex")]
mod extension;

use burn::tensor::{Tensor, module};

/// `x` `[…, in_features]` times `weight` `[in_features, out_features]`, plus `bias` `[out_features]`
/// (`torch.nn.functional.linear`, with the weight the other way round): `[…, out_features]`.
///
/// # Panics
///
/// If the last dimension of `x` is not the first of `weight`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if D > 1
        && crate::flex::has_kernels(&x)
        && crate::flex::has_kernels(&weight)
        && bias.as_ref().is_none_or(crate::flex::has_kernels)
    {
        return extension::linear(x, weight, bias);
    }
    module::linear(x, weight, bias)
}
