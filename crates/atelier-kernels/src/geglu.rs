//! The gate of a transformer's feed-forward part.

#[cfg(feature = "flex")]
mod extension;

use burn::tensor::{Tensor, activation};

/// `hidden gelu(gate)`, where `hidden` is the first half of the last dimension of `projected` and `gate` the second
/// (`diffusers.models.activations.GEGLU` after its projection). Returns half of the last dimension.
///
/// # Panics
///
/// If the last dimension is odd.
pub fn geglu<const D: usize>(projected: Tensor<D>) -> Tensor<D> {
    let width = projected.dims()[D - 1];
    assert!(width.is_multiple_of(2), "{width} channels are no pairs of hidden values and gates");
    #[cfg(feature = "flex")]
    if width > 0 && crate::flex::has_kernels(&projected) {
        return extension::geglu(projected);
    }
    let hidden = projected.clone().narrow(D - 1, 0, width / 2);
    let gate = projected.narrow(D - 1, width / 2, width / 2);
    hidden * activation::gelu(gate)
}
