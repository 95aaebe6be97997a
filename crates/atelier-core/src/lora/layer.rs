use crate::{
    models::layers::{ConvTerm, LayerMut, LinearTerm},
    noise::NoiseSource,
};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

/// The term of one layer.
///
/// Both matrices are as PyTorch keeps them, convolutions flattened: `down` is `lora_A.weight`, `up` is `lora_B.weight`.
#[derive(Module, Debug)]
pub struct LoraLayer {
    /// `[rank, in_channels * height * width]`.
    pub(super) down: Param<Tensor<2>>,
    /// `[out_channels, rank]`.
    pub(super) up: Param<Tensor<2>>,
    #[module(skip)]
    pub(super) name: String,
    #[module(skip)]
    pub(super) alpha: f64,
    /// Height and width of a convolution's kernel.
    #[module(skip)]
    pub(super) kernel: Option<[usize; 2]>,
}

/// The kind of a layer, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerShape {
    /// Values per place that go in.
    pub inputs: usize,
    /// Values per place that come out.
    pub outputs: usize,
    /// Height and width of a convolution's kernel.
    pub kernel: Option<[usize; 2]>,
}

impl LayerShape {
    pub fn of(layer: &LayerMut<'_>) -> Self {
        match layer {
            LayerMut::Linear(linear) => {
                let [inputs, outputs] = linear.weight.lazy_shape().dims();
                Self { inputs, outputs, kernel: None }
            }
            LayerMut::Conv2d(conv) => {
                let [outputs, inputs, height, width] = conv.weight.lazy_shape().dims();
                Self { inputs, outputs, kernel: Some([height, width]) }
            }
        }
    }

    /// Values that one sum goes over.
    pub fn fan_in(self) -> usize {
        self.inputs * self.kernel.map_or(1, |[height, width]| height * width)
    }
}

impl LoraLayer {
    /// A term that changes nothing yet: `down` as peft draws it (`kaiming_uniform_` with a = sqrt(5)), `up` zero.
    pub(super) fn new(
        name: &str,
        shape: LayerShape,
        rank: usize,
        alpha: f64,
        noise: &mut NoiseSource,
        device: &Device,
    ) -> Self {
        let fan_in = shape.fan_in();
        let bound = (fan_in as f32).sqrt().recip();
        let down: Vec<f32> = (0..rank * fan_in).map(|_| bound * (2.0 * noise.uniform() - 1.0)).collect();
        Self {
            down: Param::from_tensor(Tensor::from_data(TensorData::new(down, [rank, fan_in]), device)),
            up: Param::from_tensor(Tensor::zeros([shape.outputs, rank], device)),
            name: name.to_owned(),
            alpha,
            kernel: shape.kernel,
        }
    }

    /// The name of the layer in the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Channels of the bottleneck.
    pub fn rank(&self) -> usize {
        self.down.lazy_shape().dims::<2>()[0]
    }

    /// The term is multiplied by `alpha / rank`.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    pub(super) fn shape(&self) -> LayerShape {
        let [_, fan_in] = self.down.lazy_shape().dims();
        let [outputs, _] = self.up.lazy_shape().dims();
        let area = self.kernel.map_or(1, |[height, width]| height * width);
        LayerShape { inputs: fan_in / area, outputs, kernel: self.kernel }
    }

    /// Attaches or merges the term, with `scale` on top of `alpha / rank`, into a layer of its shape. `mask`,
    /// `[fan_in]`, multiplies the inputs.
    pub(super) fn apply(&self, layer: LayerMut<'_>, scale: f64, mask: Option<Vec<f32>>, merge: bool) {
        let (down, up) = (self.down.val(), self.up.val());
        let [rank, fan_in] = down.dims();
        let [outputs, _] = up.dims();
        let scale = scale * self.alpha / rank as f64;
        let down = match mask {
            Some(mask) => {
                let mask = Tensor::<2>::from_data(TensorData::new(mask, [1, fan_in]), &down.device());
                down * mask
            }
            None => down,
        };
        match layer {
            LayerMut::Linear(linear) => {
                let term = LinearTerm { down: down.transpose(), up: up.transpose(), scale };
                if merge { linear.merge(term) } else { linear.attach(term) }
            }
            LayerMut::Conv2d(conv) => {
                let [height, width] = self.kernel.unwrap_or([1, 1]);
                let term = ConvTerm {
                    down: down.reshape([rank, fan_in / (height * width), height, width]),
                    up: up.reshape([outputs, rank, 1, 1]),
                    scale,
                };
                if merge { conv.merge(term) } else { conv.attach(term) }
            }
        }
    }

    /// Multipliers that leave a share of `dropout` of the input channels out and keep the mean.
    pub(super) fn dropout_mask(&self, dropout: f64, noise: &mut NoiseSource) -> Vec<f32> {
        let shape = self.shape();
        let area = shape.fan_in() / shape.inputs.max(1);
        let kept = (1.0 - dropout).recip() as f32;
        (0..shape.inputs)
            .flat_map(|_| {
                let factor = if f64::from(noise.uniform()) < dropout { 0.0 } else { kept };
                std::iter::repeat_n(factor, area)
            })
            .collect()
    }
}
