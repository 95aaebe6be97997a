//! The four ways to balance the gradients of the winning and the losing term.

use super::mean_per_sample;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the losing term's gradient is scaled by `lambda` (the value of the loss never changes).
///
/// With `g_w` and `g_l` the gradients of the winning and losing error with respect to the prediction, an update
/// follows `-(g_w - lambda g_l)`. Norms and products are taken per sample, and `lambda` is a constant of the step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "strategy")]
pub enum Stabilisation {
    /// `lambda = 1`: the plain preference loss, which has no finite minimiser and diverges along `z_w - z_l`.
    None,
    /// A fixed `lambda` below 1: settles at `z_w + lambda / (1 - lambda) (z_w - z_l)`, as classifier-free guidance
    /// of that weight would.
    Constant {
        /// The factor, in `[0, 1)`.
        lambda: f64,
    },
    /// `clip((1 - mu) |g_w|^2 / <g_w, g_l>, 0, 1)` where the product is positive, otherwise 1 (Diffusion-SDPO,
    /// arXiv 2511.03317): the winning error never rises to first order; settles at `z_w`.
    Safeguard {
        /// How much of the winning term's descent is kept, in `(0, 1]`.
        mu: f64,
    },
    /// `|g_w| / |g_l|` (after pairwise-normalised gradients, arXiv 2410.13828): settles on the ray from `z_w` away
    /// from `z_l`.
    #[default]
    NormRatio,
}

impl Stabilisation {
    /// `lambda` for every sample, `[batch]`, detached.
    ///
    /// `to_winning` is `prediction - z_w` and `to_losing` is `prediction - z_l`, both
    /// `[batch, channels, height, width]`; the gradients are these times one common factor, which cancels.
    pub(super) fn lambda(self, to_winning: &Tensor<4>, to_losing: &Tensor<4>) -> Tensor<1> {
        let square = |a: &Tensor<4>| mean_per_sample(a.clone().detach().square());
        let winning = square(to_winning);
        match self {
            Self::None => winning.ones_like(),
            Self::Constant { lambda } => winning.full_like(lambda),
            Self::Safeguard { mu } => {
                let product = mean_per_sample(to_winning.clone().detach() * to_losing.clone().detach());
                let opposed = product.clone().lower_equal_elem(0.0);
                let ratio = winning.mul_scalar(1.0 - mu) / product.clamp_min(GUARD);
                ratio.clamp(0.0, 1.0).mask_fill(opposed, 1.0)
            }
            Self::NormRatio => (winning / square(to_losing).clamp_min(GUARD)).sqrt(),
        }
    }
}

/// Keeps denominators from zero: the squared error of a perfect prediction.
const GUARD: f64 = 1e-20;
