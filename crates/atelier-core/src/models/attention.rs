//! Attention and the transformer block around it (`diffusers.models.attention`).

use atelier_kernels::{attention, geglu, layer_norm};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor, activation};

use super::layers::{Adaptable, LayerMut, Linear, LinearConfig, adaptable};

/// How much wider feed-forward parts are inside.
const WIDENING: usize = 4;

/// Added to the variance in layer norms.
const EPSILON: f64 = 1e-5;

/// `softmax(q kᵀ / sqrt(channels) + bias) v` for `heads` heads ("Attention Is All You Need", equation 1).
///
/// `query`: `[batch, length, heads * channels]`; `key`, `value`: `[batch, context, heads * channels]`;
/// `bias` is added to the scores and broadcasts to `[batch, heads, length, context]`.
/// Returns the shape of `query`.
pub(super) fn multi_head_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    bias: Option<Tensor<4>>,
) -> Tensor<3> {
    let split = |x| split_heads(x, heads);
    let scale = ((query.dims()[2] / heads) as f64).sqrt().recip();
    join_heads(attention(split(query), split(key), split(value), scale, bias))
}

/// `[batch, length, heads * channels]` to `[batch, heads, length, channels]`.
pub(super) fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, length, channels] = x.dims();
    x.reshape([batch, length, heads, channels / heads]).swap_dims(1, 2)
}

/// `[batch, heads, length, channels]` to `[batch, length, heads * channels]`.
pub(super) fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, length, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, length, heads * channels])
}

/// Multi-head attention with its projections (`diffusers.models.attention_processor.Attention`).
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: (Linear, Dropout),
    heads: usize,
}

adaptable!(Attention { to_q, to_k, to_v, to_out });

impl Attention {
    /// `channels` must be divisible by `heads`; keys and values come from `context_channels` channels.
    pub fn new(channels: usize, context_channels: usize, heads: usize, device: &Device) -> Self {
        let projection = |from| LinearConfig::new(from, channels).with_bias(false).init(device);
        Self {
            to_q: projection(channels),
            to_k: projection(context_channels),
            to_v: projection(context_channels),
            to_out: (LinearConfig::new(channels, channels).init(device), DropoutConfig::new(0.0).init()),
            heads,
        }
    }

    /// `x`: `[batch, length, channels]`, attending to `context`: `[batch, context, context_channels]`.
    /// Returns the shape of `x`.
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let query = self.to_q.forward(x);
        let key = self.to_k.forward(context.clone());
        let value = self.to_v.forward(context);
        let (projection, dropout) = &self.to_out;
        dropout.forward(projection.forward(multi_head_attention(query, key, value, self.heads, None)))
    }
}

/// A linear layer gated by the GELU of another (`diffusers.models.activations.GEGLU`;
/// "GLU Variants Improve Transformer").
#[derive(Module, Debug)]
pub struct Geglu {
    proj: Linear,
}

adaptable!(Geglu { proj });

impl Geglu {
    /// From `in_channels` to `out_channels`.
    pub fn new(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self { proj: LinearConfig::new(in_channels, 2 * out_channels).init(device) }
    }

    /// `[batch, length, in_channels]` to `[batch, length, out_channels]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        geglu(self.proj.forward(x))
    }
}

/// A linear layer, and the approximated GELU of it (`diffusers.models.activations.GELU` with `approximate="tanh"`).
#[derive(Module, Debug)]
struct GeluTanh {
    proj: Linear,
}

adaptable!(GeluTanh { proj });

/// How a [`FeedForward`] begins.
#[derive(Module, Debug)]
enum Widening {
    Geglu(Geglu),
    GeluTanh(GeluTanh),
}

impl Adaptable for Widening {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Geglu(layer) => layer.visit_layers(name, visitor),
            Self::GeluTanh(layer) => layer.visit_layers(name, visitor),
        }
    }
}

/// The position-wise part of a transformer block (`diffusers.models.attention.FeedForward`).
#[derive(Module, Debug)]
pub struct FeedForward {
    net: (Widening, Dropout, Linear),
}

adaptable!(FeedForward { net });

impl FeedForward {
    /// Widens to four times `channels` and back, gated (`activation_fn="geglu"`).
    pub fn new(channels: usize, device: &Device) -> Self {
        Self::with(Widening::Geglu(Geglu::new(channels, WIDENING * channels, device)), channels, device)
    }

    /// As [`Self::new`], with the approximated GELU instead of the gate (`activation_fn="gelu-approximate"`).
    pub fn gelu_tanh(channels: usize, device: &Device) -> Self {
        let proj = LinearConfig::new(channels, WIDENING * channels).init(device);
        Self::with(Widening::GeluTanh(GeluTanh { proj }), channels, device)
    }

    fn with(widening: Widening, channels: usize, device: &Device) -> Self {
        let projection = LinearConfig::new(WIDENING * channels, channels).init(device);
        Self { net: (widening, DropoutConfig::new(0.0).init(), projection) }
    }

    /// `[batch, length, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (widening, dropout, projection) = &self.net;
        let wide = match widening {
            Widening::Geglu(geglu) => geglu.forward(x),
            Widening::GeluTanh(GeluTanh { proj }) => activation::gelu_approximate(proj.forward(x)),
        };
        projection.forward(dropout.forward(wide))
    }
}

/// Self-attention, cross-attention and a feed-forward part, each with a layer norm before it and a shortcut
/// around it (`diffusers.models.attention.BasicTransformerBlock`).
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

adaptable!(BasicTransformerBlock { attn1, attn2, ff });

impl BasicTransformerBlock {
    /// `channels` must be divisible by `heads`; the cross-attention reads `context_channels` channels.
    pub fn new(channels: usize, context_channels: usize, heads: usize, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(channels).with_epsilon(EPSILON).init(device);
        Self {
            norm1: norm(),
            attn1: Attention::new(channels, channels, heads, device),
            norm2: norm(),
            attn2: Attention::new(channels, context_channels, heads, device),
            norm3: norm(),
            ff: FeedForward::new(channels, device),
        }
    }

    /// `x`: `[batch, length, channels]`; `context`: `[batch, context, context_channels]`.
    /// Returns the shape of `x`.
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let normed = layer_norm(&self.norm1, EPSILON, x.clone());
        let x = self.attn1.forward(normed.clone(), normed) + x;
        let x = self.attn2.forward(layer_norm(&self.norm2, EPSILON, x.clone()), context) + x;
        self.ff.forward(layer_norm(&self.norm3, EPSILON, x.clone())) + x
    }
}
