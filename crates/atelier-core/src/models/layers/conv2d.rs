use atelier_kernels::{Conv2dOptions, conv2d, conv2d_biased_by_picture};
use burn::module::{Module, Param};
use burn::nn;
use burn::tensor::{Device, Tensor};

/// Makes a [`Conv2d`]; by default with a bias, of stride 1, without padding, and initialised as PyTorch does.
#[derive(Debug, Clone)]
pub struct Conv2dConfig {
    layer: nn::conv::Conv2dConfig,
    padding: [(usize, usize); 2],
}

impl Conv2dConfig {
    /// From `channels[0]` to `channels[1]` channels, with a kernel of the given height and width.
    pub fn new(channels: [usize; 2], kernel_size: [usize; 2]) -> Self {
        Self { layer: nn::conv::Conv2dConfig::new(channels, kernel_size), padding: [(0, 0); 2] }
    }

    /// Whether something is added to the sums.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self { layer: self.layer.with_bias(bias), ..self }
    }

    /// Pixels from one place to the next.
    #[must_use]
    pub fn with_stride(self, stride: [usize; 2]) -> Self {
        Self { layer: self.layer.with_stride(stride), ..self }
    }

    /// Zeros around the picture: rows above and below it, columns left and right of it.
    #[must_use]
    pub fn with_padding(self, padding: [(usize, usize); 2]) -> Self {
        Self { padding, ..self }
    }

    /// How the weight and the bias begin.
    #[must_use]
    pub fn with_initializer(self, initializer: nn::Initializer) -> Self {
        Self { layer: self.layer.with_initializer(initializer), ..self }
    }

    /// The layer, on `device`.
    pub fn init(&self, device: &Device) -> Conv2d {
        let layer = self.layer.init(device);
        Conv2d {
            weight: layer.weight,
            bias: layer.bias,
            stride: self.layer.stride,
            padding: self.padding,
            terms: Vec::new(),
        }
    }
}

/// A convolution (`torch.nn.Conv2d`), plus `scale up(down(x))` for every attached term.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, height, width]`.
    pub weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: [usize; 2],
    #[module(skip)]
    padding: [(usize, usize); 2],
    terms: Vec<ConvTerm>,
}

/// A low-rank term of a [`Conv2d`]: a convolution of its kernel, stride and padding to few channels, and a 1x1
/// convolution back.
#[derive(Module, Debug)]
pub struct ConvTerm {
    /// `[rank, in_channels, height, width]`.
    pub down: Tensor<4>,
    /// `[out_channels, rank, 1, 1]`.
    pub up: Tensor<4>,
    /// Multiplies the term.
    pub scale: f64,
}

impl Conv2d {
    /// `[batch, in_channels, height, width]` to `[batch, out_channels, height, width]`, smaller by stride and
    /// kernel, larger by padding.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val().cast(x.dtype());
        self.with_terms(x, |x| self.convolve(x, weight, self.bias.as_ref().map(Param::val)))
    }

    /// [`Self::forward`], plus `shift` `[batch, out_channels]` at every pixel: an embedding of each picture.
    pub fn forward_shifted(&self, x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
        let weight = self.weight.val().cast(x.dtype());
        let bias = match &self.bias {
            Some(bias) => shift + bias.val().unsqueeze(),
            None => shift,
        };
        self.with_terms(x, |x| conv2d_biased_by_picture(x, weight, bias, self.options()))
    }

    fn with_terms(&self, x: Tensor<4>, convolve: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let terms: Vec<_> = self.terms.iter().map(|term| self.term(x.clone(), term)).collect();
        terms.into_iter().fold(convolve(x), |sum, term| sum + term)
    }

    fn term(&self, x: Tensor<4>, ConvTerm { down, up, scale }: &ConvTerm) -> Tensor<4> {
        let narrow = self.convolve(x, down.clone(), None).mul_scalar(*scale);
        conv2d(narrow, up.clone(), None, Conv2dOptions { stride: [1, 1], padding: [(0, 0); 2] })
    }

    fn convolve(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        conv2d(x, weight, bias, self.options())
    }

    fn options(&self) -> Conv2dOptions {
        Conv2dOptions { stride: self.stride, padding: self.padding }
    }

    /// Whether terms are attached.
    #[cfg(feature = "autodiff")]
    pub(super) fn is_adapted(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Adds a term to those that are attached.
    pub fn attach(&mut self, term: ConvTerm) {
        self.terms.push(term);
    }

    /// Adds `term` to the weight itself, which gets the type of the term.
    pub fn merge(&mut self, term: ConvTerm) {
        let ConvTerm { down, up, scale } = term;
        let ([rank, inputs, height, width], [outputs, ..]) = (down.dims(), up.dims());
        let product = up.reshape([outputs, rank]).matmul(down.reshape([rank, inputs * height * width]));
        let product = product.reshape([outputs, inputs, height, width]).mul_scalar(scale);
        self.weight = self.weight.clone().map(|weight| weight.cast(product.dtype()) + product);
    }
}
