//! Complex Preference Optimization (Meng et al., arXiv 2601.04300; the formulas are our reconstruction).

use super::{Objective, PreferenceLoss, PreferenceOptions, squared_error};
use burn::tensor::Tensor;

/// The four model outputs of one CPO step, all at the same noisy latents, `[batch, channels, height, width]`.
#[derive(Debug, Clone)]
pub struct CpoInput {
    /// The trained model's output for the caption (differentiable).
    pub prediction: Tensor<4>,
    /// The frozen reference's output for the caption.
    pub reference: Tensor<4>,
    /// z_w: the auxiliary model's output for the caption with the positive attributes.
    pub winning: Tensor<4>,
    /// z_l: the auxiliary model's output for the caption with the negative attributes.
    pub losing: Tensor<4>,
    /// w(t) times the weight of the sample, `[batch]`.
    pub weights: Tensor<1>,
}

/// `L = mean(-log sigmoid(u))`, `u = -1/2 beta w(t) ((l_w - l_l)_theta - (l_w - l_l)_ref)` with
/// `l_* = mean((prediction - z_*)^2)`: Diffusion-DPO with targets that the auxiliary model gives at every timestep.
pub fn cpo(input: CpoInput, options: &PreferenceOptions) -> Objective {
    let CpoInput { prediction, reference, winning, losing, weights } = input;
    let to_winning = prediction.clone() - winning.clone();
    let to_losing = prediction.clone() - losing.clone();
    let drift = squared_error(prediction.detach(), reference.clone()).mean();
    let terms = PreferenceLoss {
        winning: super::mean_per_sample(to_winning.clone().square()),
        losing: super::mean_per_sample(to_losing.clone().square()),
        reference_winning: squared_error(reference.clone(), winning),
        reference_losing: squared_error(reference, losing),
        lambda: options.stabilisation.lambda(&to_winning, &to_losing),
        weights,
    };
    let mut objective = terms.objective(options.beta, to_winning, to_losing);
    objective.names.push("mse_reference");
    objective.values = Tensor::cat(vec![objective.values, drift], 0);
    objective
}

#[cfg(test)]
mod tests;
