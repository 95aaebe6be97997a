//! What the preference objectives share: the logit, the loss, and the logged quantities.

use super::{Stabilisation, mean_per_sample};
use burn::tensor::{Tensor, activation::log_sigmoid, activation::sigmoid};
use serde::{Deserialize, Serialize};

/// A loss and what to log of it, on the device.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The loss to differentiate, `[1]`.
    pub loss: Tensor<1>,
    /// Names of the logged quantities; the first is `loss`.
    pub names: Vec<&'static str>,
    /// Their values, detached, `[names]`: one read gives all.
    pub values: Tensor<1>,
}

impl Objective {
    /// Joins `loss` and named scalars (`[1]` each) into one tensor to read.
    pub fn new(loss: Tensor<1>, quantities: Vec<(&'static str, Tensor<1>)>) -> Self {
        let (mut names, mut values) = (vec!["loss"], vec![loss.clone().detach()]);
        for (name, value) in quantities {
            names.push(name);
            values.push(value);
        }
        Self { loss, names, values: Tensor::cat(values, 0) }
    }
}

/// The options of a preference objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PreferenceOptions {
    /// The strength of the implicit regularisation toward the reference (beta of DPO).
    pub beta: f64,
    /// How the losing gradient is balanced.
    pub stabilisation: Stabilisation,
}

/// Errors of the model and of the reference against the winning and the losing target, `[batch]` each.
#[derive(Debug, Clone)]
pub struct PreferenceLoss {
    /// l_w of the model (differentiable).
    pub winning: Tensor<1>,
    /// l_l of the model (differentiable).
    pub losing: Tensor<1>,
    /// l_w of the reference.
    pub reference_winning: Tensor<1>,
    /// l_l of the reference.
    pub reference_losing: Tensor<1>,
    /// The factor of the losing gradient.
    pub lambda: Tensor<1>,
    /// w(t) times the weight of the sample.
    pub weights: Tensor<1>,
}

impl PreferenceLoss {
    /// `u = -1/2 beta w ((l_w - l_l)_theta - (l_w - l_l)_ref)`, `[batch]`. The losing error keeps its value while its
    /// gradient is multiplied by `lambda`.
    pub fn logit(&self, beta: f64) -> Tensor<1> {
        let held = self.losing.clone().detach();
        let losing = held.clone() + (self.losing.clone() - held) * self.lambda.clone();
        let margin = self.winning.clone() - losing;
        let reference = self.reference_winning.clone() - self.reference_losing.clone();
        (margin - reference) * self.weights.clone().mul_scalar(-0.5 * beta)
    }

    /// `mean(-log sigmoid(u))` with everything that helps to see what training does; gradients are those of the
    /// errors with respect to the predictions, whose differences to their targets are given.
    pub(super) fn objective(self, beta: f64, to_winning: Tensor<4>, to_losing: Tensor<4>) -> Objective {
        let logit = self.logit(beta);
        let loss = log_sigmoid(logit.clone()).mean().neg();
        let logit = logit.detach();
        let (to_winning, to_losing) = (to_winning.detach(), to_losing.detach());
        let [_, channels, height, width] = to_winning.dims();
        // |d mean(d^2) / dx| = 2 |d| / n = 2 sqrt(mean(d^2) / n)
        let scale = 2.0 / ((channels * height * width) as f64).sqrt();
        let (winning, losing) = (self.winning.detach(), self.losing.detach());
        let norm_winning = winning.clone().sqrt();
        let norm_losing = losing.clone().sqrt();
        let product = mean_per_sample(to_winning * to_losing);
        let cosine = product / (norm_winning.clone() * norm_losing.clone()).clamp_min(1e-20);
        let quantities = vec![
            ("u", logit.clone().mean()),
            ("sigmoid_u", sigmoid(logit.clone()).mean()),
            ("implicit_accuracy", logit.greater_elem(0.0).float().mean()),
            ("gradient_norm_winning", norm_winning.mul_scalar(scale).mean()),
            ("gradient_norm_losing", norm_losing.mul_scalar(scale).mean()),
            ("gradient_cosine", cosine.mean()),
            ("lambda", self.lambda.mean()),
            ("mse_winning", winning.mean()),
            ("mse_losing", losing.mean()),
            ("mse_reference_winning", self.reference_winning.mean()),
            ("mse_reference_losing", self.reference_losing.mean()),
        ];
        Objective::new(loss, quantities)
    }
}
