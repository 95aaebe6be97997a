//! Attention and the transformer block around it (`diffusers.models.attention`).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor, activation};

use super::layers::{Linear, LinearConfig, adaptable};

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
    let [batch, length, channels] = query.dims();
    let split = |x: Tensor<3>| {
        let [batch, length, channels] = x.dims();
        x.reshape([batch, length, heads, channels / heads]).swap_dims(1, 2)
    };
    // The scale belongs to the scores, but the query is the smaller tensor.
    let scale = ((channels / heads) as f64).sqrt().recip();
    let scores = split(query * scale).matmul(split(key).transpose());
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    let attended = activation::softmax(scores, 3).matmul(split(value));
    attended.swap_dims(1, 2).reshape([batch, length, channels])
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
        let projected = self.proj.forward(x);
        let channels = projected.dims()[2] / 2;
        let hidden = projected.clone().narrow(2, 0, channels);
        let gate = projected.narrow(2, channels, channels);
        hidden * activation::gelu(gate)
    }
}

/// The position-wise part of a transformer block (`diffusers.models.attention.FeedForward`).
#[derive(Module, Debug)]
pub struct FeedForward {
    net: (Geglu, Dropout, Linear),
}

adaptable!(FeedForward { net });

impl FeedForward {
    /// Widens to four times `channels` and back.
    pub fn new(channels: usize, device: &Device) -> Self {
        let inner = 4 * channels;
        let projection = LinearConfig::new(inner, channels).init(device);
        Self { net: (Geglu::new(channels, inner, device), DropoutConfig::new(0.0).init(), projection) }
    }

    /// `[batch, length, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (geglu, dropout, projection) = &self.net;
        projection.forward(dropout.forward(geglu.forward(x)))
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
        let norm = || LayerNormConfig::new(channels).init(device);
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
        let normed = self.norm1.forward(x.clone());
        let x = self.attn1.forward(normed.clone(), normed) + x;
        let x = self.attn2.forward(self.norm2.forward(x.clone()), context) + x;
        self.ff.forward(self.norm3.forward(x.clone())) + x
    }
}
