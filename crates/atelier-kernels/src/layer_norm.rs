//! Layer normalisation.

#[cfg(feature = "flex")]
mod extension;

use burn::nn::LayerNorm;
use burn::tensor::Tensor;

/// `norm` of the last dimension of `x` (`torch.nn.LayerNorm`); `epsilon` is what `norm` adds to the variance and keeps to
/// itself. Returns the shape of `x`.
///
/// # Panics
///
/// If the last dimension is not that of `norm`.
pub fn layer_norm<const D: usize>(norm: &LayerNorm, epsilon: f64, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if let Some(shift) = &norm.beta {
        let (scale, shift) = (norm.gamma.val(), shift.val());
        if [&scale, &shift].into_iter().all(crate::flex::has_kernels) && crate::flex::has_kernels(&x) {
            return extension::layer_norm(x, scale, shift, epsilon);
        }
    }
    #[cfg(not(feature = "flex"))]
    let _ = epsilon;
    norm.forward(x)
}
