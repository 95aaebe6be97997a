//! Steps of an optimiser and of an average of its results.

#[cfg(feature = "flex")]
mod extension;

pub use crate::slices::adamw::AdamWStep;
use burn::tensor::Tensor;

/// A parameter and the moments of its gradients, flattened.
#[derive(Clone, Debug)]
pub struct AdamWState {
    /// The parameter.
    pub parameter: Tensor<1>,
    /// The first moment.
    pub first: Tensor<1>,
    /// The second moment.
    pub second: Tensor<1>,
}

/// One step of AdamW by `gradient`, times `factor` `[1]`, without gradients of its own (`torch.optim.AdamW`).
///
/// # Panics
///
/// If the tensors have different lengths.
pub fn adamw(state: AdamWState, gradient: Tensor<1>, factor: Tensor<1>, step: AdamWStep) -> AdamWState {
    #[cfg(feature = "flex")]
    if [&state.parameter, &state.first, &state.second, &gradient, &factor]
        .into_iter()
        .all(|tensor| crate::flex::has_kernels(tensor) && !tensor.is_autodiff())
    {
        return extension::adamw(state, gradient, factor, step);
    }
    let AdamWStep { beta1, beta2, epsilon, weight_decay, rate, step } = step;
    let gradient = gradient * factor;
    let first = state.first.mul_scalar(beta1) + gradient.clone().mul_scalar(1.0 - beta1);
    let second = state.second.mul_scalar(beta2) + gradient.square().mul_scalar(1.0 - beta2);
    let correction1 = 1.0 - beta1.powi(step);
    let correction2 = (1.0 - beta2.powi(step)).sqrt();
    let denominator = second.clone().sqrt().mul_scalar(1.0 / correction2).add_scalar(epsilon);
    let moved = (first.clone() / denominator).mul_scalar(rate / correction1);
    let parameter = state.parameter.mul_scalar(1.0 - rate * weight_decay) - moved;
    AdamWState { parameter, first, second }
}

/// `average`, moved towards `value` by `share` of the distance, without gradients.
///
/// # Panics
///
/// If the tensors have different lengths.
pub fn moving_average(average: Tensor<1>, value: Tensor<1>, share: f64) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if [&average, &value].into_iter().all(|tensor| crate::flex::has_kernels(tensor) && !tensor.is_autodiff())
    {
        return extension::moving_average(average, value, share);
    }
    average.clone() + (value - average).mul_scalar(share)
}
