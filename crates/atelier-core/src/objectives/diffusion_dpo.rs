//! Diffusion-DPO (Wallace et al., arXiv 2311.12908), and what differs from it in its input alone: with the safeguard it is
//! Diffusion-SDPO (arXiv 2511.03317), with targets of two policies DDSPO (arXiv 2512.23426), and with the two pictures
//! exchanged the negative model of Diffusion-NPO (arXiv 2505.11245).

use super::{Objective, PreferenceLoss, PreferenceOptions, mean_per_sample, squared_error};
use burn::tensor::Tensor;

/// Outputs and targets for a pair of pictures of one caption, noised with the same noise and timestep;
/// `[batch, channels, height, width]` each.
#[derive(Debug, Clone)]
pub struct DiffusionDpoInput {
    /// The trained model's output for the preferred picture (differentiable).
    pub prediction_winning: Tensor<4>,
    /// The trained model's output for the other picture (differentiable).
    pub prediction_losing: Tensor<4>,
    /// The reference's output for the preferred picture.
    pub reference_winning: Tensor<4>,
    /// The reference's output for the other picture.
    pub reference_losing: Tensor<4>,
    /// The denoising target of the preferred picture: the noise, or its velocity.
    pub target_winning: Tensor<4>,
    /// The denoising target of the other picture.
    pub target_losing: Tensor<4>,
    /// w(t) times the weight of the sample, `[batch]`.
    pub weights: Tensor<1>,
}

/// Equation 14 of arXiv 2311.12908, `beta T w` written as one `beta`: 2000 for Stable Diffusion 1.5 and 5000 for SDXL
/// in the paper.
pub fn diffusion_dpo(input: DiffusionDpoInput, options: &PreferenceOptions) -> Objective {
    let to_winning = input.prediction_winning - input.target_winning.clone();
    let to_losing = input.prediction_losing - input.target_losing.clone();
    PreferenceLoss {
        winning: mean_per_sample(to_winning.clone().square()),
        losing: mean_per_sample(to_losing.clone().square()),
        reference_winning: squared_error(input.reference_winning, input.target_winning),
        reference_losing: squared_error(input.reference_losing, input.target_losing),
        lambda: options.stabilisation.lambda(&to_winning, &to_losing),
        weights: input.weights,
    }
    .objective(options.beta, to_winning, to_losing)
}
