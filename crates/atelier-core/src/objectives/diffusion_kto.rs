//! Diffusion-KTO (Li et al., arXiv 2404.04465): single pictures with a thumb up or down instead of pairs.

use super::{Objective, squared_error};
use burn::tensor::{Tensor, activation::sigmoid};

/// Outputs and targets for pictures that are liked or not, `[batch, channels, height, width]`.
#[derive(Debug, Clone)]
pub struct DiffusionKtoInput {
    /// The trained model's output (differentiable).
    pub prediction: Tensor<4>,
    /// The reference's output.
    pub reference: Tensor<4>,
    /// The denoising target.
    pub target: Tensor<4>,
    /// 1 for a picture that is liked, -1 for another, `[batch]`.
    pub labels: Tensor<1>,
    /// lambda_y times the weight of the sample, `[batch]`.
    pub weights: Tensor<1>,
}

/// `mean(w (1 - sigmoid(y beta (g - max(0, mean g)))))` with the gain `g = l_ref - l_theta` of every picture; the batch's
/// mean is a constant of the step. The paper has a `beta` of 1000.
pub fn diffusion_kto(input: DiffusionKtoInput, beta: f64) -> Objective {
    let DiffusionKtoInput { prediction, reference, target, labels, weights } = input;
    let error = squared_error(prediction, target.clone());
    let gain = squared_error(reference, target) - error.clone();
    let anchor = gain.clone().detach().mean().clamp_min(0.0);
    let logit = labels.clone() * (gain.clone() - anchor.clone()).mul_scalar(beta);
    let value = sigmoid(logit.clone());
    let loss = ((value.clone().neg() + 1.0) * weights).mean();
    let quantities = vec![
        ("mse", error.detach().mean()),
        ("gain", gain.clone().detach().mean()),
        ("anchor", anchor),
        ("value", value.detach().mean()),
        ("implicit_accuracy", (labels * gain.detach()).greater_elem(0.0).float().mean()),
    ];
    Objective::new(loss, quantities)
}
