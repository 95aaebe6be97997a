//! Numbers that are not finite, found where they first arise: they would end as a black picture.

use burn::tensor::{ExecutionError, Tensor};
use thiserror::Error;

/// The first part of a model that gave NaN or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotFinite {
    /// The states of the prompts.
    #[error(
        "the text encoder gave numbers that are not finite (NaN or infinity) for the prompt, so there is nothing to \
         paint from: its weights, or those of a LoRA on it, are damaged or too large; get the file again, or lower the \
         LoRA's strength"
    )]
    TextEncoder,
    /// A prediction of the denoiser, with guidance.
    #[error(
        "the denoiser gave numbers that are not finite (NaN or infinity) at step {step} of {steps}, so there is no \
         picture: lower the guidance scale or the strength of a LoRA; if that does not help, the weights of one are \
         damaged, or were trained with too high a learning rate"
    )]
    Denoiser {
        /// The step, from 1.
        step: usize,
        /// Steps that were planned.
        steps: usize,
    },
    /// What the scheduler made of a finite prediction.
    #[error(
        "the latents grew beyond all numbers at step {step} of {steps}, so there is no picture: lower the guidance \
         scale or the strength of a LoRA, or take another scheduler or number of steps"
    )]
    Scheduler {
        /// The step, from 1.
        step: usize,
        /// Steps that were planned.
        steps: usize,
    },
    /// The pixels of finite latents.
    #[error(
        "the autoencoder gave numbers that are not finite (NaN or infinity) for latents that are, so there is no \
         picture: its weights are damaged or overflow; get the model's vae again"
    )]
    Autoencoder,
}

/// Whether all values of every one of `tensors` are finite, in their order; one transfer from the device for all.
///
/// A sum is finite only if all its terms are. It overflows for finite values beyond 1e30 as well, of which no model can
/// make anything either.
///
/// # Errors
/// The device's.
pub(crate) async fn all_finite<const N: usize>(tensors: [Tensor<1>; N]) -> Result<[bool; N], ExecutionError> {
    let sums = tensors.map(Tensor::sum).to_vec();
    let data = Tensor::cat(sums, 0).into_data_async().await?;
    let mut sums = data.iter::<f32>();
    Ok([(); N].map(|()| sums.next().is_some_and(f32::is_finite)))
}

/// All values of `tensor` in one row.
pub(crate) fn flat<const D: usize>(tensor: &Tensor<D>) -> Tensor<1> {
    tensor.clone().flatten(0, D - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn one_bad_value_is_found_and_opposite_infinities_do_not_cancel() {
        let device = Device::flex();
        let row = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device);
        let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        for bad in bad {
            let found = all_finite([row([1.0, 2.0, 3.0]), row([0.0, bad, 0.0])]);
            assert_eq!(futures_lite::future::block_on(found).unwrap(), [true, false]);
        }
        let both = all_finite([row([f32::INFINITY, f32::NEG_INFINITY, 0.0])]);
        assert_eq!(futures_lite::future::block_on(both).unwrap(), [false]);
    }
}
