//! The denoiser of Stable Diffusion 3 and 3.5 (`diffusers.models.transformers.transformer_sd3`).

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ada_layer_norm::{AdaLayerNorm, modulated_norm};
use super::attention::FeedForward;
use super::config::diffusers_identity;
use super::config_checks::{LONGEST, MOST_LAYERS, check_count, check_divisible, check_other_keys};
use super::embeddings::CombinedTimestepGuidanceTextProjEmbeddings;
use super::joint_attention::{JointAttention, JointAttentionOptions, SelfAttention};
use super::layers::{Conv2d, Conv2dConfig, Linear, LinearConfig, adaptable};
use super::prompt_embeddings::PromptEmbeddings;
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "SD3Transformer2DModel";

/// The norm of queries and keys that SD3.5 has.
const RMS_NORM: &str = "rms_norm";

/// The configuration of [`SD3Transformer2DModel`]: the keys of diffusers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SD3Transformer2DModelConfig {
    /// Height and width of the latents that the model was made for.
    pub sample_size: usize,
    /// Latent pixels on each side of a token.
    pub patch_size: usize,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Channels of an attention head.
    pub attention_head_dim: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Channels of the text states.
    pub joint_attention_dim: usize,
    /// Channels of the text within the model: as many as the heads have together.
    pub caption_projection_dim: usize,
    /// Channels of the prompt's vector.
    pub pooled_projection_dim: usize,
    /// Channels of the prediction; those of the latents where it is absent.
    pub out_channels: Option<usize>,
    /// The most tokens on each side of a picture.
    pub pos_embed_max_size: usize,
    /// Blocks in which the picture also attends to itself alone (SD3.5 medium).
    pub dual_attention_layers: Vec<usize>,
    /// How queries and keys are normalised, if at all: `rms_norm` (SD3.5).
    pub qk_norm: Option<String>,
    /// Keys that have no effect here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SD3Transformer2DModelConfig {
    fn default() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            num_layers: 18,
            attention_head_dim: 64,
            num_attention_heads: 18,
            joint_attention_dim: 4096,
            caption_projection_dim: 1152,
            pooled_projection_dim: 2048,
            out_channels: Some(16),
            pos_embed_max_size: 96,
            dual_attention_layers: Vec::new(),
            qk_norm: None,
            other: Map::new(),
        }
    }
}

impl ModelConfig for SD3Transformer2DModelConfig {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        diffusers_identity(CLASS)
    }
}

impl SD3Transformer2DModelConfig {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<SD3Transformer2DModel, ModelError> {
        self.check()?;
        let channels = self.channels();
        let attention = JointAttentionOptions {
            channels,
            heads: self.num_attention_heads,
            qk_norm: self.qk_norm.is_some(),
        };
        let block = |index: usize| {
            let is_last = index + 1 == self.num_layers;
            let is_dual = self.dual_attention_layers.contains(&index);
            JointTransformerBlock::new(&attention, is_last, is_dual, device)
        };
        let patch = self.patch_size;
        Ok(SD3Transformer2DModel {
            pos_embed: PatchEmbed::new(self, device),
            time_text_embed: CombinedTimestepGuidanceTextProjEmbeddings::new(
                channels,
                self.pooled_projection_dim,
                false,
                device,
            ),
            context_embedder: LinearConfig::new(self.joint_attention_dim, channels).init(device),
            transformer_blocks: (0..self.num_layers).map(block).collect(),
            norm_out: AdaLayerNorm::new(channels, 2, device),
            proj_out: LinearConfig::new(channels, patch * patch * self.in_channels).init(device),
        })
    }

    /// Channels of a token.
    fn channels(&self) -> usize {
        self.num_attention_heads.saturating_mul(self.attention_head_dim)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_other_keys::<Self>(&self.other, &[], &[])?;
        check_count(CLASS, "num_layers", self.num_layers, MOST_LAYERS)?;
        check_count(CLASS, "sample_size", self.sample_size, LONGEST)?;
        check_count(CLASS, "pos_embed_max_size", self.pos_embed_max_size, LONGEST)?;
        let unsupported = |key: &str, value: String, supported: String| ConfigError::Unsupported {
            class: CLASS,
            key: key.to_owned(),
            value,
            supported,
        };
        if let Some(norm) = self.qk_norm.as_ref().filter(|norm| *norm != RMS_NORM) {
            return Err(unsupported("qk_norm", format!("{norm:?}"), format!("null, {RMS_NORM:?}")));
        }
        if let Some(out) = self.out_channels.filter(|out| *out != self.in_channels) {
            let supported = format!("null, {} (as many as `in_channels`)", self.in_channels);
            return Err(unsupported("out_channels", out.to_string(), supported));
        }
        for (key, value, divisor, reason) in [
            ("sample_size", self.sample_size, 1, "at least 1"),
            ("patch_size", self.patch_size, 1, "at least 1"),
            ("in_channels", self.in_channels, 1, "at least 1"),
            ("num_layers", self.num_layers, 1, "at least 1"),
            ("num_attention_heads", self.num_attention_heads, 1, "at least 1"),
            ("attention_head_dim", self.channels(), 4, "sines and cosines of rows and columns, in all heads"),
            ("joint_attention_dim", self.joint_attention_dim, 1, "at least 1"),
            ("pooled_projection_dim", self.pooled_projection_dim, 1, "at least 1"),
            ("pos_embed_max_size", self.pos_embed_max_size, 1, "at least 1"),
        ] {
            check_divisible(CLASS, key, value, divisor, reason)?;
        }
        if self.caption_projection_dim != self.channels() {
            let problem = format!(
                "is {}, but all heads have {} channels",
                self.caption_projection_dim,
                self.channels()
            );
            return Err(ConfigError::Inconsistent { class: CLASS, key: "caption_projection_dim", problem });
        }
        Ok(())
    }
}

/// Predicts the velocity of noisy latents, given a timestep, text states and a prompt's vector
/// (`diffusers.models.transformers.transformer_sd3.SD3Transformer2DModel`; Esser et al., arXiv 2403.03206).
#[derive(Module, Debug)]
pub struct SD3Transformer2DModel {
    pos_embed: PatchEmbed,
    time_text_embed: CombinedTimestepGuidanceTextProjEmbeddings,
    context_embedder: Linear,
    transformer_blocks: Vec<JointTransformerBlock>,
    norm_out: AdaLayerNorm,
    proj_out: Linear,
}

adaptable!(SD3Transformer2DModel {
    pos_embed,
    time_text_embed,
    context_embedder,
    transformer_blocks,
    norm_out,
    proj_out,
});

impl SD3Transformer2DModel {
    /// `sample`: noisy latents `[batch, in_channels, height, width]`, whose sides are multiples of `patch_size` and at most
    /// `pos_embed_max_size` of them; `timesteps`: `[batch]`, in training steps; `prompt`: text states `[batch, length,
    /// joint_attention_dim]` with a vector `[batch, pooled_projection_dim]`.
    ///
    /// Returns the shape of `sample`.
    ///
    /// # Panics
    /// If a side is none of these, or `prompt` has no vector.
    pub fn forward(&self, sample: Tensor<4>, timesteps: Tensor<1>, prompt: PromptEmbeddings) -> Tensor<4> {
        let [batch, channels, height, width] = sample.dims();
        let PromptEmbeddings { prompt_embeds, pooled_prompt_embeds: Some(pooled), .. } = prompt else {
            panic!("this denoiser needs `pooled_prompt_embeds`, as a pipeline gives them");
        };
        // Models of this class take no guidance: it is not looked at.
        let conditions = self.time_text_embed.forward(timesteps.clone(), timesteps, pooled);
        let mut text = self.context_embedder.forward(prompt_embeds);
        let mut picture = self.pos_embed.forward(sample);
        for block in &self.transformer_blocks {
            (text, picture) = block.forward(text, picture, &conditions);
        }
        let [scale, shift] = self.norm_out.forward(conditions);
        let tokens = self.proj_out.forward(modulated_norm(picture, scale, shift));
        let patch = self.pos_embed.patch_size;
        let patches: Tensor<6> =
            tokens.reshape([batch, height / patch, width / patch, patch, patch, channels]);
        patches.permute([0, 5, 1, 3, 2, 4]).reshape([batch, channels, height, width])
    }
}

/// Latents to tokens that know where they stand (`diffusers.models.embeddings.PatchEmbed`).
#[derive(Module, Debug)]
struct PatchEmbed {
    proj: Conv2d,
    /// Sines and cosines of all places, `[1, pos_embed_max_size², channels]`: a constant that files have as well.
    pos_embed: Param<Tensor<3>>,
    patch_size: usize,
    max_size: usize,
}

adaptable!(PatchEmbed { proj });

impl PatchEmbed {
    fn new(config: &SD3Transformer2DModelConfig, device: &Device) -> Self {
        let (patch, channels) = (config.patch_size, config.channels());
        let (size, base_size) = (config.pos_embed_max_size, config.sample_size / patch);
        // Lazy, for files have them as well; without gradients, for they are not trained.
        let pos_embed = Param::uninitialized(
            ParamId::new(),
            move |device, _| positions(channels, size, base_size, device),
            device.clone(),
            false,
            [1, size * size, channels].into(),
        );
        Self {
            proj: Conv2dConfig::new([config.in_channels, channels], [patch; 2])
                .with_stride([patch; 2])
                .init(device),
            pos_embed,
            patch_size: patch,
            max_size: size,
        }
    }

    /// `[batch, in_channels, height, width]` to `[batch, tokens, channels]`. Pictures stand in the middle of the largest.
    fn forward(&self, latents: Tensor<4>) -> Tensor<3> {
        let tokens = self.proj.forward(latents);
        let [batch, channels, rows, columns] = tokens.dims();
        let all = self.pos_embed.val().reshape([self.max_size, self.max_size, channels]);
        let middle = all
            .narrow(0, (self.max_size - rows) / 2, rows)
            .narrow(1, (self.max_size - columns) / 2, columns)
            .reshape([1, rows * columns, channels]);
        tokens.reshape([batch, channels, rows * columns]).swap_dims(1, 2) + middle
    }
}

/// Sines and cosines of columns and rows, `[1, size², channels]`, in units in which a picture of `base_size` tokens has as
/// many (`get_2d_sincos_pos_embed`).
fn positions(channels: usize, size: usize, base_size: usize, device: &Device) -> Tensor<3> {
    const THETA: f64 = 10_000.0;
    let (half, quarter) = (channels / 2, channels / 4);
    let mut values = Vec::with_capacity(size * half);
    for place in 0..size {
        let position = (place * base_size) as f64 / size as f64;
        let angle = |index: usize| position / libm::pow(THETA, index as f64 / quarter as f64);
        values.extend((0..quarter).map(|index| libm::sin(angle(index)) as f32));
        values.extend((0..quarter).map(|index| libm::cos(angle(index)) as f32));
    }
    let axis = Tensor::<2>::from_data(TensorData::new(values, [size, half]), device);
    let columns = axis.clone().unsqueeze_dim::<3>(0).expand([size, size, half]);
    let rows = axis.unsqueeze_dim::<3>(1).expand([size, size, half]);
    Tensor::cat(vec![columns, rows], 2).reshape([1, size * size, channels])
}

/// Attention and a feed-forward part with weights of their own for picture and text
/// (`diffusers.models.attention.JointTransformerBlock`).
#[derive(Module, Debug)]
struct JointTransformerBlock {
    norm1: AdaLayerNorm,
    norm1_context: AdaLayerNorm,
    attn: JointAttention,
    attn2: Option<SelfAttention>,
    ff: FeedForward,
    ff_context: Option<FeedForward>,
}

adaptable!(JointTransformerBlock { norm1, norm1_context, attn, attn2, ff, ff_context });

impl JointTransformerBlock {
    /// The last block leaves the text as it is; in a dual one the picture also attends to itself alone.
    fn new(options: &JointAttentionOptions, is_last: bool, is_dual: bool, device: &Device) -> Self {
        let channels = options.channels;
        let attn = if is_last { JointAttention::for_picture } else { JointAttention::new };
        Self {
            norm1: AdaLayerNorm::new(channels, if is_dual { 9 } else { 6 }, device),
            norm1_context: AdaLayerNorm::new(channels, if is_last { 2 } else { 6 }, device),
            attn: attn(options, device),
            attn2: is_dual.then(|| SelfAttention::new(options, device)),
            ff: FeedForward::gelu_tanh(channels, device),
            ff_context: (!is_last).then(|| FeedForward::gelu_tanh(channels, device)),
        }
    }

    /// Returns the shapes of `text` and `picture`.
    fn forward(&self, text: Tensor<3>, picture: Tensor<3>, conditions: &Tensor<2>) -> (Tensor<3>, Tensor<3>) {
        let (vectors, dual) = match &self.attn2 {
            Some(attn2) => {
                let all: [Tensor<3>; 9] = self.norm1.forward(conditions.clone());
                let [a, b, c, d, e, f, shift, scale, gate] = all;
                let normed = modulated_norm(picture.clone(), scale, shift);
                ([a, b, c, d, e, f], Some(gate * attn2.forward(normed, None)))
            }
            None => (self.norm1.forward(conditions.clone()), None),
        };
        let [shift, scale, gate, shift_ff, scale_ff, gate_ff]: [Tensor<3>; 6] = vectors;
        let normed = modulated_norm(picture.clone(), scale, shift);
        let (text, attended) = match &self.ff_context {
            Some(ff_context) => {
                let of_text: [Tensor<3>; 6] = self.norm1_context.forward(conditions.clone());
                let [shift, scale, gate, shift_ff, scale_ff, gate_ff] = of_text;
                let text_normed = modulated_norm(text.clone(), scale, shift);
                let (text_attended, attended) = self.attn.forward(text_normed, normed, None);
                let text = text + gate * text_attended;
                let widened = ff_context.forward(modulated_norm(text.clone(), scale_ff, shift_ff));
                (text + gate_ff * widened, attended)
            }
            None => {
                let [scale, shift] = self.norm1_context.forward(conditions.clone());
                let text_normed = modulated_norm(text.clone(), scale, shift);
                let (_, attended) = self.attn.forward(text_normed, normed, None);
                (text, attended)
            }
        };
        let picture = picture + gate * attended;
        let picture = match dual {
            Some(dual) => picture + dual,
            None => picture,
        };
        let widened = self.ff.forward(modulated_norm(picture.clone(), scale_ff, shift_ff));
        (text, picture + gate_ff * widened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |json: &str| {
            let config = SD3Transformer2DModelConfig::from_json(json.as_bytes()).unwrap();
            config.init(&Device::flex()).unwrap_err().to_string()
        };
        assert!(error(r#"{"qk_norm": "layer_norm"}"#).contains(r#"`qk_norm` = "layer_norm""#));
        assert!(error(r#"{"out_channels": 32}"#).contains("`out_channels` = 32"));
        assert!(error(r#"{"num_layers": 0}"#).contains("`num_layers`"));
        let message = error(r#"{"caption_projection_dim": 1536}"#);
        assert!(message.contains("is 1536, but all heads have 1152 channels"), "{message}");
    }
}
