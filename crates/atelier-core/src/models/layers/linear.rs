use burn::module::{Module, Param};
use burn::nn;
use burn::tensor::{Device, Tensor, module::linear};

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
    #[module(skip)]
    terms: Vec<LinearTerm>,
}

/// A low-rank term of a [`Linear`].
#[derive(Debug, Clone)]
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
        let output = linear(x, self.weight.val(), self.bias.as_ref().map(Param::val));
        terms.into_iter().fold(output, |sum, term| sum + term)
    }

    /// Adds a term to those that are attached.
    pub fn attach(&mut self, term: LinearTerm) {
        self.terms.push(term);
    }

    /// Adds `term` to the weight itself.
    pub fn merge(&mut self, term: LinearTerm) {
        self.weight =
            self.weight.clone().map(|weight| weight + term.down.matmul(term.up).mul_scalar(term.scale));
    }
}
