use atelier_kernels::linear;
use burn::module::{Module, Param};
use burn::nn;
use burn::tensor::{Device, Tensor};

/// Makes a [`Linear`]; by default with a bias, and initialised as PyTorch does.
#[derive(Debug, Clone)]
pub struct LinearConfig(nn::LinearConfig);

impl LinearConfig {
    /// From `in_features` to `out_features`.
    pub fn new(in_features: usize, out_features: usize) -> Self {
        Self(nn::LinearConfig::new(in_features, out_features))
    }

    /// Whether something is added to the product.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self(self.0.with_bias(bias))
    }

    /// How the weight and the bias begin.
    #[must_use]
    pub fn with_initializer(self, initializer: nn::Initializer) -> Self {
        Self(self.0.with_initializer(initializer))
    }

    /// The layer, on `device`.
    pub fn init(&self, device: &Device) -> Linear {
        let nn::Linear { weight, bias } = self.0.init(device);
        Linear::new(weight, bias)
    }
}

/// `x W + b` (`torch.nn.Linear`), plus `scale (x down) up` for every attached term.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in_features, out_features]`.
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`.
    pub bias: Option<Param<Tensor<1>>>,
    terms: Vec<LinearTerm>,
}

/// A low-rank term of a [`Linear`].
#[derive(Module, Debug)]
pub struct LinearTerm {
    /// `[in_features, rank]`.
    pub down: Tensor<2>,
    /// `[rank, out_features]`.
    pub up: Tensor<2>,
    /// Multiplies the term.
    pub scale: f64,
}

impl LinearTerm {
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let narrow = linear(x, self.down.clone(), None).mul_scalar(self.scale);
        linear(narrow, self.up.clone(), None)
    }
}

impl Linear {
    /// A layer with these parameters.
    pub fn new(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight, bias, terms: Vec::new() }
    }

    /// `[…, in_features]` to `[…, out_features]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let terms: Vec<_> = self.terms.iter().map(|term| term.forward(x.clone())).collect();
        let weight = self.weight.val().cast(x.dtype());
        let output = linear(x, weight, self.bias.as_ref().map(Param::val));
        terms.into_iter().fold(output, |sum, term| sum + term)
    }

    /// Whether terms are attached.
    #[cfg(feature = "autodiff")]
    pub(super) fn is_adapted(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Adds a term to those that are attached.
    pub fn attach(&mut self, term: LinearTerm) {
        self.terms.push(term);
    }

    /// Adds `term` to the weight itself, which gets the type of the term.
    pub fn merge(&mut self, term: LinearTerm) {
        let product = term.down.matmul(term.up).mul_scalar(term.scale);
        self.weight = self.weight.clone().map(|weight| weight.cast(product.dtype()) + product);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_go_where_the_layer_goes_and_are_no_parameters() {
        let device = Device::flex();
        let mut layer = LinearConfig::new(2, 3).init(&device);
        let parameters = layer.num_params();
        layer.attach(LinearTerm {
            down: Tensor::ones([2, 1], &device),
            up: Tensor::ones([1, 3], &device),
            scale: 2.0,
        });
        let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
        let before = layer.forward(x.clone());
        // To gradients and back, as to another device and back.
        let there = layer.train();
        assert!(there.terms[0].down.is_autodiff());
        let after = there.valid().forward(x);
        assert_eq!(there.num_params(), parameters);
        assert_eq!(before.to_data(), after.to_data());
    }
}
