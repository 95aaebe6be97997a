//! The denoiser of FLUX (`diffusers.models.transformers.transformer_flux`).

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ada_layer_norm::{AdaLayerNorm, modulated_norm};
use super::attention::FeedForward;
use super::config::diffusers_identity;
use super::config_checks::{MOST_LAYERS, check_count, check_divisible, check_other_keys};
use super::embeddings::CombinedTimestepGuidanceTextProjEmbeddings;
use super::joint_attention::{JointAttention, JointAttentionOptions, SelfAttention};
use super::layers::{Linear, LinearConfig, adaptable};
use super::prompt_embeddings::PromptEmbeddings;
use super::rotary_embedding::RotaryEmbedding;
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "FluxTransformer2DModel";

/// Latent pixels on each side of a token.
pub const PATCH: usize = 2;

/// The guidance scale where a prompt names none: the one that diffusers samples and trains with.
pub const DEFAULT_GUIDANCE: f64 = 3.5;

/// The configuration of [`FluxTransformer2DModel`]: the keys of diffusers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FluxTransformer2DModelConfig {
    /// Tokens on each side of what a token stands for: 1, for the pipeline packs latents.
    pub patch_size: usize,
    /// Channels of a token: four times those of the latents.
    pub in_channels: usize,
    /// Channels of the prediction of a token; those of the token where it is absent.
    pub out_channels: Option<usize>,
    /// Blocks in which picture and text have weights of their own.
    pub num_layers: usize,
    /// Blocks in which they share weights.
    pub num_single_layers: usize,
    /// Channels of an attention head.
    pub attention_head_dim: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Channels of the text states.
    pub joint_attention_dim: usize,
    /// Channels of the prompt's vector.
    pub pooled_projection_dim: usize,
    /// Whether the model was distilled with guidance, and takes its scale (FLUX.1 dev).
    pub guidance_embeds: bool,
    /// How many channels of a head turn with each axis: one that is not used, rows, and columns.
    pub axes_dims_rope: [usize; 3],
    /// Keys that have no effect here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for FluxTransformer2DModelConfig {
    fn default() -> Self {
        Self {
            patch_size: 1,
            in_channels: 64,
            out_channels: None,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
            other: Map::new(),
        }
    }
}

impl ModelConfig for FluxTransformer2DModelConfig {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        diffusers_identity(CLASS)
    }
}

impl FluxTransformer2DModelConfig {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<FluxTransformer2DModel, ModelError> {
        self.check()?;
        let channels = self.num_attention_heads * self.attention_head_dim;
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Ok(FluxTransformer2DModel {
            time_text_embed: CombinedTimestepGuidanceTextProjEmbeddings::new(
                channels,
                self.pooled_projection_dim,
                self.guidance_embeds,
                device,
            ),
            context_embedder: linear(self.joint_attention_dim, channels),
            x_embedder: linear(self.in_channels, channels),
            transformer_blocks: (0..self.num_layers)
                .map(|_| FluxTransformerBlock::new(channels, self.num_attention_heads, device))
                .collect(),
            single_transformer_blocks: (0..self.num_single_layers)
                .map(|_| FluxSingleTransformerBlock::new(channels, self.num_attention_heads, device))
                .collect(),
            norm_out: AdaLayerNorm::new(channels, 2, device),
            proj_out: linear(channels, self.in_channels),
            axes_dims_rope: self.axes_dims_rope,
        })
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        self.in_channels / (PATCH * PATCH)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_other_keys::<Self>(&self.other, &[], &[])?;
        check_count(CLASS, "num_layers", self.num_layers, MOST_LAYERS)?;
        check_count(CLASS, "num_single_layers", self.num_single_layers, MOST_LAYERS)?;
        let unsupported = |key: &str, value: String, supported: String| ConfigError::Unsupported {
            class: CLASS,
            key: key.to_owned(),
            value,
            supported,
        };
        if self.patch_size != 1 {
            return Err(unsupported("patch_size", self.patch_size.to_string(), "1".to_owned()));
        }
        if let Some(out) = self.out_channels.filter(|out| *out != self.in_channels) {
            let supported = format!(
                "null, {} (as many as `in_channels`; FLUX.1 Fill, Canny and Depth, which read a picture beside the \
                 latents, are not supported)",
                self.in_channels
            );
            return Err(unsupported("out_channels", out.to_string(), supported));
        }
        check_divisible(CLASS, "in_channels", self.in_channels, PATCH * PATCH, "pixels of a token")?;
        for (key, value) in [
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("joint_attention_dim", self.joint_attention_dim),
            ("pooled_projection_dim", self.pooled_projection_dim),
        ] {
            check_divisible(CLASS, key, value, 1, "at least 1")?;
        }
        let channels = self.num_attention_heads.saturating_mul(self.attention_head_dim);
        check_divisible(CLASS, "num_attention_heads", channels, 1, "channels of all heads")?;
        for channels in self.axes_dims_rope {
            check_divisible(CLASS, "axes_dims_rope", channels, 2, "sines and cosines")?;
        }
        let turned: usize = self.axes_dims_rope.iter().sum();
        if turned != self.attention_head_dim {
            let problem =
                format!("adds up to {turned}, but `attention_head_dim` is {}", self.attention_head_dim);
            return Err(ConfigError::Inconsistent { class: CLASS, key: "axes_dims_rope", problem });
        }
        Ok(())
    }
}

/// Predicts the velocity of noisy latents, given a timestep, text states and a prompt's vector
/// (`diffusers.models.transformers.transformer_flux.FluxTransformer2DModel`, with the packing of `FluxPipeline`).
#[derive(Module, Debug)]
pub struct FluxTransformer2DModel {
    time_text_embed: CombinedTimestepGuidanceTextProjEmbeddings,
    context_embedder: Linear,
    x_embedder: Linear,
    transformer_blocks: Vec<FluxTransformerBlock>,
    single_transformer_blocks: Vec<FluxSingleTransformerBlock>,
    norm_out: AdaLayerNorm,
    proj_out: Linear,
    #[module(skip)]
    axes_dims_rope: [usize; 3],
}

adaptable!(FluxTransformer2DModel {
    time_text_embed,
    context_embedder,
    x_embedder,
    transformer_blocks,
    single_transformer_blocks,
    norm_out,
    proj_out,
});

impl FluxTransformer2DModel {
    /// `sample`: noisy latents `[batch, in_channels / 4, height, width]` with even sides; `timesteps`: `[batch]`, in
    /// training steps; `prompt`: text states `[batch, length, joint_attention_dim]` with a vector `[batch,
    /// pooled_projection_dim]`, and a guidance scale for models that take it, or else [`DEFAULT_GUIDANCE`].
    ///
    /// Returns the shape of `sample`.
    ///
    /// # Panics
    /// If a side is odd, or `prompt` has no vector.
    pub fn forward(&self, sample: Tensor<4>, timesteps: Tensor<1>, prompt: PromptEmbeddings) -> Tensor<4> {
        let [_, _, height, width] = sample.dims();
        let PromptEmbeddings { prompt_embeds, pooled_prompt_embeds: Some(pooled), guidance, .. } = prompt
        else {
            panic!("this denoiser needs `pooled_prompt_embeds`, as a pipeline gives them");
        };
        let guidance = guidance.unwrap_or_else(|| timesteps.full_like(DEFAULT_GUIDANCE));
        let conditions = self.time_text_embed.forward(timesteps, guidance, pooled);
        let mut text = self.context_embedder.forward(prompt_embeds);
        let mut picture = self.x_embedder.forward(pack(sample));
        let [_, text_length, _] = text.dims();
        let [_, picture_length, _] = picture.dims();
        let rotary = self.rotary(text_length, height / PATCH, width / PATCH, &picture.device());
        for block in &self.transformer_blocks {
            (text, picture) = block.forward(text, picture, &conditions, &rotary);
        }
        let mut both = Tensor::cat(vec![text, picture], 1);
        for block in &self.single_transformer_blocks {
            both = block.forward(both, &conditions, &rotary);
        }
        let picture = both.narrow(1, text_length, picture_length);
        let [scale, shift] = self.norm_out.forward(conditions);
        unpack(self.proj_out.forward(modulated_norm(picture, scale, shift)), height, width)
    }

    /// Text stands at the origin, a token of the picture at its row and column.
    fn rotary(&self, text_length: usize, rows: usize, columns: usize, device: &Device) -> RotaryEmbedding {
        let picture = (0..rows).flat_map(|row| (0..columns).map(move |column| [0, row, column]));
        let positions: Vec<[usize; 3]> = core::iter::repeat_n([0; 3], text_length).chain(picture).collect();
        RotaryEmbedding::new(&positions, self.axes_dims_rope, device)
    }
}

/// Latents `[batch, channels, height, width]` to tokens of two by two pixels, `[batch, height / 2 * width / 2, 4 * channels]`
/// (`FluxPipeline._pack_latents`).
fn pack(latents: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = latents.dims();
    let (rows, columns) = (height / PATCH, width / PATCH);
    let patches: Tensor<6> = latents.reshape([batch, channels, rows, PATCH, columns, PATCH]);
    patches.permute([0, 2, 4, 1, 3, 5]).reshape([batch, rows * columns, channels * PATCH * PATCH])
}

/// The inverse of [`pack`].
fn unpack(tokens: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = tokens.dims();
    let channels = channels / (PATCH * PATCH);
    let patches: Tensor<6> = tokens.reshape([batch, height / PATCH, width / PATCH, channels, PATCH, PATCH]);
    patches.permute([0, 3, 1, 4, 2, 5]).reshape([batch, channels, height, width])
}

fn attention(channels: usize, heads: usize) -> JointAttentionOptions {
    JointAttentionOptions { channels, heads, qk_norm: true }
}

/// Attention and a feed-forward part with weights of their own for picture and text (`FluxTransformerBlock`; the MMDiT block
/// of Esser et al., arXiv 2403.03206).
#[derive(Module, Debug)]
struct FluxTransformerBlock {
    norm1: AdaLayerNorm,
    norm1_context: AdaLayerNorm,
    attn: JointAttention,
    ff: FeedForward,
    ff_context: FeedForward,
}

adaptable!(FluxTransformerBlock { norm1, norm1_context, attn, ff, ff_context });

impl FluxTransformerBlock {
    fn new(channels: usize, heads: usize, device: &Device) -> Self {
        Self {
            norm1: AdaLayerNorm::new(channels, 6, device),
            norm1_context: AdaLayerNorm::new(channels, 6, device),
            attn: JointAttention::new(&attention(channels, heads), device),
            ff: FeedForward::gelu_tanh(channels, device),
            ff_context: FeedForward::gelu_tanh(channels, device),
        }
    }

    /// Returns the shapes of `text` and `picture`.
    fn forward(
        &self,
        text: Tensor<3>,
        picture: Tensor<3>,
        conditions: &Tensor<2>,
        rotary: &RotaryEmbedding,
    ) -> (Tensor<3>, Tensor<3>) {
        let of_text: [Tensor<3>; 6] = self.norm1_context.forward(conditions.clone());
        let of_picture: [Tensor<3>; 6] = self.norm1.forward(conditions.clone());
        let normed = |x: &Tensor<3>, [shift, scale, ..]: &[Tensor<3>; 6]| {
            modulated_norm(x.clone(), scale.clone(), shift.clone())
        };
        let (text_attended, picture_attended) =
            self.attn.forward(normed(&text, &of_text), normed(&picture, &of_picture), Some(rotary));
        let rest = |x: Tensor<3>, attended: Tensor<3>, vectors: [Tensor<3>; 6], ff: &FeedForward| {
            let [_, _, gate, shift, scale, gate_ff] = vectors;
            let x = x + gate * attended;
            x.clone() + gate_ff * ff.forward(modulated_norm(x, scale, shift))
        };
        (
            rest(text, text_attended, of_text, &self.ff_context),
            rest(picture, picture_attended, of_picture, &self.ff),
        )
    }
}

/// Attention and a feed-forward part side by side, with the same weights for text and picture
/// (`FluxSingleTransformerBlock`).
#[derive(Module, Debug)]
struct FluxSingleTransformerBlock {
    norm: AdaLayerNorm,
    proj_mlp: Linear,
    proj_out: Linear,
    attn: SelfAttention,
}

adaptable!(FluxSingleTransformerBlock { norm, proj_mlp, proj_out, attn });

impl FluxSingleTransformerBlock {
    fn new(channels: usize, heads: usize, device: &Device) -> Self {
        let inner = 4 * channels;
        Self {
            norm: AdaLayerNorm::new(channels, 3, device),
            proj_mlp: LinearConfig::new(channels, inner).init(device),
            proj_out: LinearConfig::new(channels + inner, channels).init(device),
            attn: SelfAttention::pre_only(&attention(channels, heads), device),
        }
    }

    /// `x`: text and picture, one after the other, `[batch, length, channels]`. Returns its shape.
    fn forward(&self, x: Tensor<3>, conditions: &Tensor<2>, rotary: &RotaryEmbedding) -> Tensor<3> {
        let [shift, scale, gate] = self.norm.forward(conditions.clone());
        let normed = modulated_norm(x.clone(), scale, shift);
        let wide = activation::gelu_approximate(self.proj_mlp.forward(normed.clone()));
        let attended = self.attn.forward(normed, Some(rotary));
        x + gate * self.proj_out.forward(Tensor::cat(vec![attended, wide], 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::NoiseSource;

    fn error(json: &str) -> String {
        let config = FluxTransformer2DModelConfig::from_json(json.as_bytes()).unwrap();
        config.init(&Device::flex()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(error(r#"{"patch_size": 2}"#).contains("`patch_size` = 2"));
        // FLUX.1 Fill, whose latents come with a masked picture.
        let message = error(r#"{"in_channels": 384, "out_channels": 64}"#);
        assert!(message.contains("`out_channels` = 64"), "{message}");
        assert!(error(r#"{"in_channels": 30}"#).contains("multiple of 4"));
        assert!(error(r#"{"axes_dims_rope": [15, 57, 56]}"#).contains("multiple of 2"));
        assert!(error(r#"{"attention_head_dim": 64}"#).contains("adds up to 128"));
    }

    #[test]
    fn tokens_are_patches_and_come_back() {
        let latents = NoiseSource::new(1).normal([2, 3, 4, 6], &Device::flex());
        let tokens = pack(latents.clone());
        assert_eq!(tokens.dims(), [2, 6, 12]);
        // Token 4 is the patch of row 1 and column 1; its values 4 to 7 are those of the second channel.
        let token = tokens.clone().slice([1..2, 4..5, 4..8]).reshape([2, 2]);
        let patch = latents.clone().slice([1..2, 1..2, 2..4, 2..4]).reshape([2, 2]);
        assert_eq!(token.into_data(), patch.into_data());
        assert_eq!(unpack(tokens, 4, 6).into_data(), latents.into_data());
    }
}
