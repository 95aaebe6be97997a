//! Attention of picture and text to both, as in SD3 and FLUX (the MMDiT of Esser et al., arXiv 2403.03206).

use atelier_kernels::attention;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Tensor};

use super::attention::{join_heads, split_heads};
use super::layers::{Linear, LinearConfig, adaptable};
use super::rotary_embedding::RotaryEmbedding;

/// Added to the mean square in the norms of queries and keys.
const NORM_EPSILON: f64 = 1e-6;

/// Queries, keys and values of a sequence, `[batch, heads, length, channels]` each.
struct Projected {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
}

impl Projected {
    fn cat(first: Self, second: Self) -> Self {
        let cat = |first, second| Tensor::cat(vec![first, second], 2);
        Self {
            query: cat(first.query, second.query),
            key: cat(first.key, second.key),
            value: cat(first.value, second.value),
        }
    }

    /// Attention of all places to all, `[batch, length, heads * channels]`.
    fn attend(self, rotary: Option<&RotaryEmbedding>) -> Tensor<3> {
        let [_, _, _, channels] = self.query.dims();
        let scale = (channels as f64).sqrt().recip();
        let turned = |x| match rotary {
            Some(rotary) => rotary.rotate(x),
            None => x,
        };
        join_heads(attention(turned(self.query), turned(self.key), self.value, scale, None))
    }
}

/// The shape of an attention.
#[derive(Clone, Copy, Debug)]
pub struct JointAttentionOptions {
    /// Channels of both sequences, divisible by `heads`.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
}

impl JointAttentionOptions {
    fn linear(&self, device: &Device) -> Linear {
        LinearConfig::new(self.channels, self.channels).init(device)
    }

    fn norm(&self, device: &Device) -> Option<RmsNorm> {
        let config = RmsNormConfig::new(self.channels / self.heads).with_epsilon(NORM_EPSILON);
        self.qk_norm.then(|| config.init(device))
    }

    fn output(&self, device: &Device) -> (Linear, Dropout) {
        (self.linear(device), DropoutConfig::new(0.0).init())
    }
}

/// Attention of a sequence to itself (`FluxAttention` with `pre_only`, or `Attention` without context).
#[derive(Module, Debug)]
pub struct SelfAttention {
    norm_q: Option<RmsNorm>,
    norm_k: Option<RmsNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Option<(Linear, Dropout)>,
    heads: usize,
}

adaptable!(SelfAttention { to_q, to_k, to_v, to_out });

impl SelfAttention {
    /// With a projection of the result.
    pub fn new(options: &JointAttentionOptions, device: &Device) -> Self {
        Self { to_out: Some(options.output(device)), ..Self::pre_only(options, device) }
    }

    /// Without it.
    pub fn pre_only(options: &JointAttentionOptions, device: &Device) -> Self {
        Self {
            norm_q: options.norm(device),
            norm_k: options.norm(device),
            to_q: options.linear(device),
            to_k: options.linear(device),
            to_v: options.linear(device),
            to_out: None,
            heads: options.heads,
        }
    }

    /// `[batch, length, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>, rotary: Option<&RotaryEmbedding>) -> Tensor<3> {
        let heads = |x| split_heads(x, self.heads);
        let projected = Projected {
            query: normed(self.norm_q.as_ref(), heads(self.to_q.forward(x.clone()))),
            key: normed(self.norm_k.as_ref(), heads(self.to_k.forward(x.clone()))),
            value: heads(self.to_v.forward(x)),
        };
        let attended = projected.attend(rotary);
        match &self.to_out {
            Some((linear, dropout)) => dropout.forward(linear.forward(attended)),
            None => attended,
        }
    }
}

/// Attention of picture and text to both, with projections of their own (`FluxAttention`, or `Attention` with
/// `JointAttnProcessor2_0`).
#[derive(Module, Debug)]
pub struct JointAttention {
    norm_q: Option<RmsNorm>,
    norm_k: Option<RmsNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: (Linear, Dropout),
    norm_added_q: Option<RmsNorm>,
    norm_added_k: Option<RmsNorm>,
    add_q_proj: Linear,
    add_k_proj: Linear,
    add_v_proj: Linear,
    to_add_out: Option<Linear>,
    heads: usize,
}

adaptable!(JointAttention { to_q, to_k, to_v, to_out, add_q_proj, add_k_proj, add_v_proj, to_add_out });

impl JointAttention {
    /// For both results.
    pub fn new(options: &JointAttentionOptions, device: &Device) -> Self {
        Self { to_add_out: Some(options.linear(device)), ..Self::for_picture(options, device) }
    }

    /// For the picture's result alone, in the last block of a model (`context_pre_only`).
    pub fn for_picture(options: &JointAttentionOptions, device: &Device) -> Self {
        Self {
            norm_q: options.norm(device),
            norm_k: options.norm(device),
            to_q: options.linear(device),
            to_k: options.linear(device),
            to_v: options.linear(device),
            to_out: options.output(device),
            norm_added_q: options.norm(device),
            norm_added_k: options.norm(device),
            add_q_proj: options.linear(device),
            add_k_proj: options.linear(device),
            add_v_proj: options.linear(device),
            to_add_out: None,
            heads: options.heads,
        }
    }

    /// `text` and `picture`: `[batch, length, channels]`, of any lengths. Returns both shapes; of the text, what it attended
    /// to if its result is not wanted.
    pub fn forward(
        &self,
        text: Tensor<3>,
        picture: Tensor<3>,
        rotary: Option<&RotaryEmbedding>,
    ) -> (Tensor<3>, Tensor<3>) {
        let heads = |x| split_heads(x, self.heads);
        let ([_, text_length, _], [_, picture_length, _]) = (text.dims(), picture.dims());
        let text = Projected {
            query: normed(self.norm_added_q.as_ref(), heads(self.add_q_proj.forward(text.clone()))),
            key: normed(self.norm_added_k.as_ref(), heads(self.add_k_proj.forward(text.clone()))),
            value: heads(self.add_v_proj.forward(text)),
        };
        let picture = Projected {
            query: normed(self.norm_q.as_ref(), heads(self.to_q.forward(picture.clone()))),
            key: normed(self.norm_k.as_ref(), heads(self.to_k.forward(picture.clone()))),
            value: heads(self.to_v.forward(picture)),
        };
        let both = Projected::cat(text, picture).attend(rotary);
        let text = both.clone().narrow(1, 0, text_length);
        let text = match &self.to_add_out {
            Some(linear) => linear.forward(text),
            None => text,
        };
        let (to_out, dropout) = &self.to_out;
        (text, dropout.forward(to_out.forward(both.narrow(1, text_length, picture_length))))
    }
}

fn normed(norm: Option<&RmsNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
