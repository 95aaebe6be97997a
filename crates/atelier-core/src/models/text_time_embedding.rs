//! The text's share in the timestep embedding (`diffusers.models.embeddings.TextTimeEmbedding`).

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};

use super::attention::multi_head_attention;
use super::layers::{Linear, LinearConfig, adaptable};

/// One vector for a whole prompt, which every residual block adds to its features as it adds the timestep: what an
/// attribute does to the whole picture need not pass through the cross-attention of every place.
#[derive(Module, Debug)]
pub struct TextTimeEmbedding {
    norm1: LayerNorm,
    pool: AttentionPooling,
    proj: Linear,
    norm2: LayerNorm,
}

adaptable!(TextTimeEmbedding { pool, proj });

impl TextTimeEmbedding {
    /// From text states of `encoder_dim` channels, divisible by `heads`, to `time_embed_dim` channels.
    pub fn new(encoder_dim: usize, time_embed_dim: usize, heads: usize, device: &Device) -> Self {
        Self {
            norm1: LayerNormConfig::new(encoder_dim).init(device),
            pool: AttentionPooling::new(encoder_dim, heads, device),
            proj: LinearConfig::new(encoder_dim, time_embed_dim).init(device),
            norm2: LayerNormConfig::new(time_embed_dim).init(device),
        }
    }

    /// Text states `[batch, length, encoder_dim]` to embeddings `[batch, time_embed_dim]`.
    pub fn forward(&self, encoder_hidden_states: Tensor<3>) -> Tensor<2> {
        self.norm2.forward(self.proj.forward(self.pool.forward(self.norm1.forward(encoder_hidden_states))))
    }
}

/// Attention of the mean token, with a learned offset, to all tokens
/// (`diffusers.models.embeddings.AttentionPooling`).
#[derive(Module, Debug)]
pub struct AttentionPooling {
    positional_embedding: Param<Tensor<2>>,
    k_proj: Linear,
    q_proj: Linear,
    v_proj: Linear,
    heads: usize,
}

adaptable!(AttentionPooling { k_proj, q_proj, v_proj });

impl AttentionPooling {
    /// For tokens of `channels` channels, divisible by `heads`.
    pub fn new(channels: usize, heads: usize, device: &Device) -> Self {
        let projection = || LinearConfig::new(channels, channels).init(device);
        let deviation = (channels as f64).sqrt().recip();
        Self {
            positional_embedding: Initializer::Normal { mean: 0.0, std: deviation }
                .init([1, channels], device),
            k_proj: projection(),
            q_proj: projection(),
            v_proj: projection(),
            heads,
        }
    }

    /// `[batch, length, channels]` to `[batch, channels]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let mean = x.clone().mean_dim(1) + self.positional_embedding.val().unsqueeze_dim(0);
        let tokens = Tensor::cat(vec![mean.clone(), x], 1);
        let query = self.q_proj.forward(mean);
        let (key, value) = (self.k_proj.forward(tokens.clone()), self.v_proj.forward(tokens));
        multi_head_attention(query, key, value, self.heads, None).squeeze_dim(1)
    }
}
