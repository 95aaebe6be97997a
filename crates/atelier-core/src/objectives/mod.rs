//! Training objectives: pure functions of tensors, the same for native training and for a browser.
//!
//! All of them see model outputs and targets `[batch, channels, height, width]` and do not care whether these are
//! noise (epsilon), velocity (v) or flow: the caller keeps to one kind. Each returns the loss to differentiate and
//! the quantities worth logging, still on the device, so that a training step reads back once.

mod cpo;
mod diffusion_dpo;
mod diffusion_kto;
mod mapo;
mod preference;
mod sft;
mod stabilisation;

pub use cpo::{CpoInput, cpo};
pub use diffusion_dpo::{DiffusionDpoInput, diffusion_dpo};
pub use diffusion_kto::{DiffusionKtoInput, diffusion_kto};
pub use mapo::{MapoInput, mapo};
pub use preference::{Objective, PreferenceLoss, PreferenceOptions};
pub use sft::{min_snr_weight, sft};
pub use stabilisation::Stabilisation;

use burn::tensor::Tensor;

/// The mean of every sample: `[batch, channels, height, width]` to `[batch]`.
pub fn mean_per_sample(values: Tensor<4>) -> Tensor<1> {
    let [batch, ..] = values.dims();
    values.mean_dims(&[1, 2, 3]).reshape([batch])
}

/// The mean squared error of every sample, `[batch]`.
pub fn squared_error(prediction: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
    mean_per_sample((prediction - target).square())
}
