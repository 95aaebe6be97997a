//! The encoder of T5 (`transformers.models.t5.modeling_t5`; Raffel et al., arXiv 1910.10683), version 1.1.
#![expect(non_snake_case, reason = "the names of weights in files")]

use atelier_kernels::attention;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::activation::Activation;
use super::attention::{join_heads, split_heads};
use super::config_checks::{MOST_LAYERS, check_count, check_divisible, check_epsilon, check_quantization};
use super::layers::{Linear, LinearConfig, adaptable};
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "T5EncoderModel";

/// The feed-forward part of version 1.1, the only one that is supported.
const GATED_GELU: &str = "gated-gelu";

/// The configuration of [`T5EncoderModel`]: the keys of transformers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct T5Config {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Channels of the text states.
    pub d_model: usize,
    /// Channels of an attention head.
    pub d_kv: usize,
    /// Channels inside the feed-forward layers.
    pub d_ff: usize,
    /// Transformer layers.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Kinds of distances between tokens.
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all are of one kind.
    pub relative_attention_max_distance: usize,
    /// Added to the mean square in the normalisations.
    pub layer_norm_epsilon: f64,
    /// The kind of the feed-forward layers: `gated-gelu`.
    pub feed_forward_proj: String,
    /// Keys that have no effect here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for T5Config {
    fn default() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "relu".to_owned(),
            other: Map::new(),
        }
    }
}

impl ModelConfig for T5Config {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        [("architectures", json!([CLASS])), ("model_type", json!("t5"))]
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }
}

impl T5Config {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for values that are not supported or contradict each other.
    pub fn init(&self, device: &Device) -> Result<T5EncoderModel, ModelError> {
        self.check()?;
        Ok(T5EncoderModel {
            shared: EmbeddingConfig::new(self.vocab_size, self.d_model).init(device),
            encoder: T5Stack {
                block: (0..self.num_layers).map(|index| T5Block::new(self, index == 0, device)).collect(),
                final_layer_norm: self.norm(device),
            },
        })
    }

    /// Whether a model can be built of these numbers.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_quantization::<Self>(&self.other)?;
        check_count(CLASS, "num_layers", self.num_layers, MOST_LAYERS)?;
        check_epsilon(CLASS, "layer_norm_epsilon", self.layer_norm_epsilon)?;
        if self.feed_forward_proj != GATED_GELU {
            return Err(ConfigError::Unsupported {
                class: CLASS,
                key: "feed_forward_proj".to_owned(),
                value: format!("{:?}", self.feed_forward_proj),
                supported: format!("{GATED_GELU:?} (version 1.1)"),
            });
        }
        for (key, value, divisor, reason) in [
            ("vocab_size", self.vocab_size, 1, "tokens"),
            ("d_model", self.d_model, 1, "channels"),
            ("d_kv", self.d_kv, 1, "channels"),
            ("d_ff", self.d_ff, 1, "channels"),
            ("num_layers", self.num_layers, 1, "the first has the distances"),
            ("num_heads", self.num_heads, 1, "heads"),
            (
                "relative_attention_num_buckets",
                self.relative_attention_num_buckets,
                4,
                "both directions, near and far",
            ),
        ] {
            check_divisible(CLASS, key, value, divisor, reason)?;
        }
        check_divisible(CLASS, "num_heads", self.num_heads * self.d_kv, 1, "channels of all heads")?;
        let near = self.relative_attention_num_buckets / 4;
        if self.relative_attention_max_distance <= near {
            let problem = format!("is {}, but must be above {near}", self.relative_attention_max_distance);
            return Err(ConfigError::Inconsistent {
                class: CLASS,
                key: "relative_attention_max_distance",
                problem,
            });
        }
        Ok(())
    }

    fn norm(&self, device: &Device) -> RmsNorm {
        RmsNormConfig::new(self.d_model).with_epsilon(self.layer_norm_epsilon).init(device)
    }
}

/// Token ids to text states (`transformers.T5EncoderModel`).
#[derive(Module, Debug)]
pub struct T5EncoderModel {
    shared: Embedding,
    encoder: T5Stack,
}

adaptable!(T5EncoderModel { encoder });

impl T5EncoderModel {
    /// Token ids `[batch, length]`, below `vocab_size`, to text states `[batch, length, d_model]`. Padding is attended to
    /// as well, as in diffusers' pipelines.
    pub fn forward(&self, input_ids: Tensor<2, Int>) -> Tensor<3> {
        self.encoder.forward(self.shared.forward(input_ids))
    }
}

/// All layers (`T5Stack`).
#[derive(Module, Debug)]
struct T5Stack {
    block: Vec<T5Block>,
    final_layer_norm: RmsNorm,
}

adaptable!(T5Stack { block });

impl T5Stack {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, length, _] = x.dims();
        // The first layer's distances serve all layers.
        let bias = self.block.first().and_then(|block| block.layer.0.SelfAttention.position_bias(length));
        let x = self.block.iter().fold(x, |x, block| block.forward(x, bias.clone()));
        self.final_layer_norm.forward(x)
    }
}

/// Self-attention and a feed-forward part (`T5Block`).
#[derive(Module, Debug)]
struct T5Block {
    layer: (T5LayerSelfAttention, T5LayerFF),
}

adaptable!(T5Block { layer });

impl T5Block {
    fn new(config: &T5Config, has_relative_attention_bias: bool, device: &Device) -> Self {
        let attention = T5LayerSelfAttention {
            SelfAttention: T5Attention::new(config, has_relative_attention_bias, device),
            layer_norm: config.norm(device),
        };
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        let feed_forward = T5LayerFF {
            DenseReluDense: T5DenseGatedActDense {
                wi_0: linear(config.d_model, config.d_ff),
                wi_1: linear(config.d_model, config.d_ff),
                wo: linear(config.d_ff, config.d_model),
            },
            layer_norm: config.norm(device),
        };
        Self { layer: (attention, feed_forward) }
    }

    fn forward(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let (attention, feed_forward) = &self.layer;
        let x = x.clone() + attention.SelfAttention.forward(attention.layer_norm.forward(x), bias);
        x.clone() + feed_forward.DenseReluDense.forward(feed_forward.layer_norm.forward(x))
    }
}

/// `T5LayerSelfAttention`.
#[derive(Module, Debug)]
struct T5LayerSelfAttention {
    SelfAttention: T5Attention,
    layer_norm: RmsNorm,
}

adaptable!(T5LayerSelfAttention { SelfAttention });

/// Attention of all tokens to all, whose scores are not scaled, but know the distance (`T5Attention`).
#[derive(Module, Debug)]
struct T5Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    relative_attention_bias: Option<Embedding>,
    heads: usize,
    max_distance: usize,
}

adaptable!(T5Attention { q, k, v, o });

impl T5Attention {
    fn new(config: &T5Config, has_relative_attention_bias: bool, device: &Device) -> Self {
        let inner = config.num_heads * config.d_kv;
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        let buckets = config.relative_attention_num_buckets;
        Self {
            q: linear(config.d_model, inner),
            k: linear(config.d_model, inner),
            v: linear(config.d_model, inner),
            o: linear(inner, config.d_model),
            relative_attention_bias: has_relative_attention_bias
                .then(|| EmbeddingConfig::new(buckets, config.num_heads).init(device)),
            heads: config.num_heads,
            max_distance: config.relative_attention_max_distance,
        }
    }

    fn forward(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let heads = |x| split_heads(x, self.heads);
        let query = heads(self.q.forward(x.clone()));
        let key = heads(self.k.forward(x.clone()));
        let value = heads(self.v.forward(x));
        self.o.forward(join_heads(attention(query, key, value, 1.0, bias)))
    }

    /// What is added to the scores, `[1, heads, length, length]`, by the layer that has it.
    fn position_bias(&self, length: usize) -> Option<Tensor<4>> {
        let weight = self.relative_attention_bias.as_ref()?.weight.val();
        let [buckets, heads] = weight.dims();
        let ids: Vec<i32> = (0..length * length)
            .map(|index| {
                let (query, key) = (index / length, index % length);
                relative_position_bucket(key as i64 - query as i64, buckets, self.max_distance) as i32
            })
            .collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [length * length]), &weight.device());
        Some(weight.select(0, ids).reshape([1, length, length, heads]).permute([0, 3, 1, 2]))
    }
}

/// The kind of the distance from a token to another one, `position` tokens later (`_relative_position_bucket`): small
/// distances have kinds of their own, larger ones share them, more and more.
fn relative_position_bucket(position: i64, buckets: usize, max_distance: usize) -> usize {
    // Half of the kinds are for each direction.
    let buckets = buckets / 2;
    let start = if position > 0 { buckets } else { 0 };
    let distance = position.unsigned_abs() as usize;
    let exact = buckets / 2;
    if distance < exact {
        return start + distance;
    }
    // In f32, as in PyTorch: the borders between kinds are then the same.
    let growth = libm::logf(distance as f32 / exact as f32)
        / libm::log(max_distance as f64 / exact as f64) as f32
        * (buckets - exact) as f32;
    start + (exact + growth as usize).min(buckets - 1)
}

/// `T5LayerFF`.
#[derive(Module, Debug)]
struct T5LayerFF {
    DenseReluDense: T5DenseGatedActDense,
    layer_norm: RmsNorm,
}

adaptable!(T5LayerFF { DenseReluDense });

/// A linear layer gated by the approximated GELU of another, and one back (`T5DenseGatedActDense`).
#[derive(Module, Debug)]
struct T5DenseGatedActDense {
    wi_0: Linear,
    wi_1: Linear,
    wo: Linear,
}

adaptable!(T5DenseGatedActDense { wi_0, wi_1, wo });

impl T5DenseGatedActDense {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = Activation::GeluTanh.forward(self.wi_0.forward(x.clone()));
        self.wo.forward(gate * self.wi_1.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_apart_the_less_the_larger_they_are() {
        // T5's own values: 32 kinds, up to 128 tokens.
        let bucket = |position| relative_position_bucket(position, 32, 128);
        for (position, expected) in
            [(0, 0), (-7, 7), (-8, 8), (-11, 8), (-12, 9), (-128, 15), (-500, 15), (1, 17), (7, 23), (64, 30)]
        {
            assert_eq!(bucket(position), expected, "{position}");
        }
        assert!((1..600).map(bucket).is_sorted());
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |json: &str| {
            let config = T5Config::from_json(json.as_bytes()).unwrap();
            config.init(&Device::flex()).unwrap_err().to_string()
        };
        assert!(error("{}").contains(r#"`feed_forward_proj` = "relu"; supported: "gated-gelu""#));
        let gated = |more: &str| error(&format!(r#"{{"feed_forward_proj": "gated-gelu", {more}}}"#));
        assert!(gated(r#""num_layers": 0"#).contains("`num_layers`"));
        assert!(gated(r#""relative_attention_max_distance": 8"#).contains("must be above 8"));
    }
}
