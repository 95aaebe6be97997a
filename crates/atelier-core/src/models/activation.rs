//! Activation functions, under the names that configurations use.

use atelier_kernels::group_norm;
use burn::empty;
use burn::nn::GroupNorm;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An activation function (`diffusers.models.activations`, `transformers.activations`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x sigmoid(x)`.
    #[serde(alias = "swish")]
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `x Φ(x)` with the exact normal distribution function.
    Gelu,
    /// `x Φ(x)`, approximated with tanh (Hendrycks and Gimpel, arXiv 1606.08415).
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu-approximate")]
    GeluTanh,
    /// `x sigmoid(1.702 x)`, OpenAI's approximation of GELU.
    QuickGelu,
    /// `x tanh(softplus(x))`.
    Mish,
}

impl Activation {
    /// Applies the function to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => activation::silu(x),
            Self::Relu => activation::relu(x),
            Self::Gelu => activation::gelu(x),
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            Self::Mish => activation::mish(x),
        }
    }

    /// Applies the function after `norm`, to `[batch, channels, height, width]`.
    pub fn after(self, norm: &GroupNorm, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Silu => group_norm(norm, x, true),
            _ => self.forward(group_norm(norm, x, false)),
        }
    }
}

impl core::fmt::Display for Activation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self:?}")
    }
}

// A module without parameters, so that it can stand where PyTorch counts it in a `Sequential`.
empty!(Activation);
