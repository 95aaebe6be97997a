//! MaPO, margin-aware preference optimisation without a reference (Hong et al., arXiv 2406.06424).

use super::{Objective, squared_error};
use burn::tensor::{Tensor, activation::log_sigmoid};

/// Outputs and targets for a pair of pictures of one caption, noised with the same noise and timestep;
/// `[batch, channels, height, width]` each.
#[derive(Debug, Clone)]
pub struct MapoInput {
    /// The trained model's output for the preferred picture (differentiable).
    pub prediction_winning: Tensor<4>,
    /// The trained model's output for the other picture (differentiable).
    pub prediction_losing: Tensor<4>,
    /// The denoising target of the preferred picture.
    pub target_winning: Tensor<4>,
    /// The denoising target of the other picture.
    pub target_losing: Tensor<4>,
    /// The weight of the sample, `[batch]`.
    pub weights: Tensor<1>,
}

/// s, how fast an error counts less the larger it is.
const SHARPNESS: f64 = 0.5;

/// T, the number of timesteps that one step stands for.
const TIMESTEPS: f64 = 1000.0;

/// Below this, `phi` is 1 to the last digit of an f32.
const SMALLEST: f64 = 1e-7;

/// `mean(w l_w) - beta mean(w log sigmoid(T (phi(l_w) - phi(l_l))))` with `phi(l) = s l / (exp(s l) - 1)`: the preferred
/// picture is learned, and its likelihood lifted above the other's. The paper has a `beta` of 0.1.
pub fn mapo(input: MapoInput, beta: f64) -> Objective {
    let winning = squared_error(input.prediction_winning, input.target_winning);
    let losing = squared_error(input.prediction_losing, input.target_losing);
    let margin = (phi(winning.clone()) - phi(losing.clone())).mul_scalar(TIMESTEPS);
    let preference = log_sigmoid(margin.clone()) * input.weights.clone();
    let loss = (winning.clone() * input.weights).mean() - preference.mean().mul_scalar(beta);
    let margin = margin.detach();
    let quantities = vec![
        ("mse_winning", winning.detach().mean()),
        ("mse_losing", losing.detach().mean()),
        ("margin", margin.clone().mean()),
        ("implicit_accuracy", margin.greater_elem(0.0).float().mean()),
    ];
    Objective::new(loss, quantities)
}

/// As `exp(-y) y / sinh(y)` with `y = s l / 2`, which loses no digits where `exp(s l)` is near 1.
fn phi(error: Tensor<1>) -> Tensor<1> {
    let y = error.mul_scalar(0.5 * SHARPNESS).clamp_min(SMALLEST);
    y.clone().neg().exp() * y.clone() / y.sinh()
}
