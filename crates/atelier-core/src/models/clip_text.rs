//! CLIP's text encoder (`transformers.models.clip.modeling_clip`).

use burn::module::{Initializer, Module};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::activation::Activation;
use super::attention::multi_head_attention;
use super::config::from_keys;
use super::config_checks::{
    LONGEST, MOST_LAYERS, check_count, check_divisible, check_epsilon, check_quantization,
};
use super::layers::{Linear, LinearConfig, adaptable};
use super::{ConfigError, ModelConfig, ModelError};
use crate::json;

const CLASS: &str = "CLIPTextModel";

/// The configuration of [`CLIPTextModel`]: the keys of transformers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CLIPTextConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Channels of the text states.
    pub hidden_size: usize,
    /// Channels inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// The longest sequence of tokens.
    pub max_position_embeddings: usize,
    /// Activation function of the feed-forward layers.
    pub hidden_act: Activation,
    /// Channels of the prompt's projected vector, for models that have one.
    pub projection_dim: usize,
    /// The token that ends a text, whose state stands for the whole prompt. Folders written before transformers 4.31 say
    /// 2, whatever the token is: it is then the one with the highest id.
    pub eos_token_id: usize,
    /// Added to the variance in the layer normalisations.
    pub layer_norm_eps: f64,
    /// Standard deviation of the embeddings at random initialisation.
    pub initializer_range: f64,
    /// Multiplies all standard deviations at random initialisation.
    pub initializer_factor: f64,
    /// Keys that have no effect here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for CLIPTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            projection_dim: 512,
            eos_token_id: 49407,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            initializer_range: 0.02,
            initializer_factor: 1.0,
            other: Map::new(),
        }
    }
}

impl ModelConfig for CLIPTextConfig {
    const CLASS: &'static str = CLASS;

    /// The configuration of a whole CLIP has that of its text encoder within, under `text_config`.
    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let mut keys: Map<String, Value> =
            json::from_slice(json).map_err(|source| ConfigError::Json { class: CLASS, source })?;
        match keys.remove("text_config") {
            Some(Value::Object(own)) => from_keys(own),
            _ => from_keys(keys),
        }
    }

    fn identity() -> Map<String, Value> {
        [("architectures", json!([CLASS])), ("model_type", json!("clip_text_model"))]
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }
}

impl CLIPTextConfig {
    /// A randomly initialised model (`CLIPPreTrainedModel._init_weights`), without the projection of the prompt's vector.
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<CLIPTextModel, ModelError> {
        self.check()?;
        Ok(CLIPTextModel { text_model: self.transformer(device), text_projection: None })
    }

    /// As [`Self::init`], with the projection of the prompt's vector.
    ///
    /// # Errors
    ///
    /// As [`Self::init`].
    pub fn init_with_projection(&self, device: &Device) -> Result<CLIPTextModel, ModelError> {
        self.check()?;
        check_divisible(CLASS, "projection_dim", self.projection_dim, 1, "channels")?;
        let initializer = normal((self.hidden_size as f64).powf(-0.5) * self.initializer_factor);
        let projection = LinearConfig::new(self.hidden_size, self.projection_dim)
            .with_bias(false)
            .with_initializer(initializer)
            .init(device);
        Ok(CLIPTextModel { text_model: self.transformer(device), text_projection: Some(projection) })
    }

    fn transformer(&self, device: &Device) -> CLIPTextTransformer {
        let embedding = |count| {
            let initializer = normal(self.initializer_factor * self.initializer_range);
            EmbeddingConfig::new(count, self.hidden_size).with_initializer(initializer).init(device)
        };
        CLIPTextTransformer {
            embeddings: CLIPTextEmbeddings {
                token_embedding: embedding(self.vocab_size),
                position_embedding: embedding(self.max_position_embeddings),
            },
            encoder: CLIPEncoder {
                layers: (0..self.num_hidden_layers).map(|_| CLIPEncoderLayer::new(self, device)).collect(),
            },
            final_layer_norm: self.layer_norm(device),
        }
    }

    /// Whether a model can be built of these numbers.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_quantization::<Self>(&self.other)?;
        check_count(CLASS, "max_position_embeddings", self.max_position_embeddings, LONGEST)?;
        check_count(CLASS, "num_hidden_layers", self.num_hidden_layers, MOST_LAYERS)?;
        check_epsilon(CLASS, "layer_norm_eps", self.layer_norm_eps)?;
        check_divisible(CLASS, "vocab_size", self.vocab_size, 1, "tokens")?;
        check_divisible(CLASS, "max_position_embeddings", self.max_position_embeddings, 1, "tokens")?;
        check_divisible(CLASS, "intermediate_size", self.intermediate_size, 1, "channels")?;
        check_divisible(
            CLASS,
            "hidden_size",
            self.hidden_size,
            self.num_attention_heads,
            "`num_attention_heads`",
        )
    }

    fn layer_norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.hidden_size).with_epsilon(self.layer_norm_eps).init(device)
    }

    /// A linear layer with normally distributed weights and no bias at first; `std` is before
    /// `initializer_factor`.
    fn linear(&self, from: usize, to: usize, std: f64, device: &Device) -> Linear {
        let weight = normal(std * self.initializer_factor).init([from, to], device);
        Linear::new(weight, Some(Initializer::Zeros.init([to], device)))
    }
}

fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}

/// Token ids to text states (`transformers.CLIPTextModel`), and with a projection to a vector for each prompt
/// (`transformers.CLIPTextModelWithProjection`).
#[derive(Module, Debug)]
pub struct CLIPTextModel {
    text_model: CLIPTextTransformer,
    text_projection: Option<Linear>,
}

adaptable!(CLIPTextModel { text_model, text_projection });

#[derive(Module, Debug)]
struct CLIPTextTransformer {
    embeddings: CLIPTextEmbeddings,
    encoder: CLIPEncoder,
    final_layer_norm: LayerNorm,
}

adaptable!(CLIPTextTransformer { encoder });

#[derive(Module, Debug)]
struct CLIPTextEmbeddings {
    token_embedding: Embedding,
    position_embedding: Embedding,
}

#[derive(Module, Debug)]
struct CLIPEncoder {
    layers: Vec<CLIPEncoderLayer>,
}

adaptable!(CLIPEncoder { layers });

/// What an encoder makes of token ids.
#[derive(Debug, Clone)]
pub struct CLIPTextStates {
    /// Every layer's output `[batch, length, hidden_size]`, after the embeddings, before the final layer norm
    /// (`hidden_states` in transformers).
    pub hidden_states: Vec<Tensor<3>>,
    /// The last of them after the final layer norm.
    pub last_hidden_state: Tensor<3>,
    /// The last state of every text's end, `[batch, hidden_size]` (`pooler_output`).
    pub pooler_output: Tensor<2>,
    /// Its projection, `[batch, projection_dim]` (`text_embeds`), of models that have one.
    pub text_embeds: Option<Tensor<2>>,
}

impl CLIPTextStates {
    /// The output of the layer that is `layers` before the last one, without the final layer norm; 0 is the last.
    ///
    /// As far as there are layers; the embeddings come before the first.
    pub fn hidden_state(&self, layers: usize) -> Tensor<3> {
        let last = self.hidden_states.len() - 1;
        self.hidden_states[last.saturating_sub(layers)].clone()
    }
}

impl CLIPTextTransformer {
    fn forward(&self, input_ids: Tensor<2, Int>, eos_token_id: usize) -> CLIPTextStates {
        let [_, length] = input_ids.dims();
        let positions = self.embeddings.position_embedding.weight.val().narrow(0, 0, length).unsqueeze::<3>();
        let mut hidden = self.embeddings.token_embedding.forward(input_ids.clone()) + positions;
        let mask = causal_mask(length, &hidden.device());
        let mut hidden_states = vec![hidden.clone()];
        for layer in &self.encoder.layers {
            hidden = layer.forward(hidden, mask.clone());
            hidden_states.push(hidden.clone());
        }
        let last_hidden_state = self.final_layer_norm.forward(hidden);
        let pooler_output = at_end(last_hidden_state.clone(), input_ids, eos_token_id);
        CLIPTextStates { hidden_states, last_hidden_state, pooler_output, text_embeds: None }
    }
}

/// The states at the first end of text in every row.
fn at_end(states: Tensor<3>, input_ids: Tensor<2, Int>, eos_token_id: usize) -> Tensor<2> {
    const BEFORE_TRANSFORMERS_4_31: usize = 2;
    let [rows, length] = input_ids.dims();
    let is_end = match eos_token_id {
        BEFORE_TRANSFORMERS_4_31 => {
            let highest = input_ids.clone().max_dim(1).expand([rows, length]);
            input_ids.equal(highest)
        }
        id => input_ids.equal_elem(id as i64),
    };
    // Earlier places count more, so that the largest is the first; without an end, it is the first place.
    let earlier: Vec<f32> = (1..=length).rev().map(|place| place as f32).collect();
    let earlier = Tensor::from_data(TensorData::new(earlier, [1, length]), &states.device());
    let score = (is_end.float() * length as f32 + 1.0) * earlier;
    let is_first = score.clone().equal(score.max_dim(1).expand([rows, length])).float();
    (states * is_first.unsqueeze_dim(2)).sum_dim(1).squeeze_dim(1)
}

impl CLIPTextModel {
    /// Token ids `[batch, length]`, below `vocab_size` and at most `max_position_embeddings` of them, to the
    /// last hidden state `[batch, length, hidden_size]`, after the final layer norm.
    pub fn forward(&self, input_ids: Tensor<2, Int>) -> Tensor<3> {
        // Whichever state stands for the prompt, it is not used.
        self.text_model.forward(input_ids, 0).last_hidden_state
    }

    /// As [`Self::forward`], with everything else that pipelines take from the encoder.
    pub fn states(&self, input_ids: Tensor<2, Int>, config: &CLIPTextConfig) -> CLIPTextStates {
        let states = self.text_model.forward(input_ids, config.eos_token_id);
        let text_embeds =
            self.text_projection.as_ref().map(|projection| projection.forward(states.pooler_output.clone()));
        CLIPTextStates { text_embeds, ..states }
    }

    /// The class in transformers.
    pub fn class(&self) -> &'static str {
        if self.text_projection.is_some() { "CLIPTextModelWithProjection" } else { CLASS }
    }

    /// Applies the final layer norm to the output of any layer, as `clip_skip` of diffusers' Stable Diffusion does.
    pub fn final_layer_norm(&self, hidden_state: Tensor<3>) -> Tensor<3> {
        self.text_model.final_layer_norm.forward(hidden_state)
    }
}

/// What is added to attention scores so that no token sees a later one: `[1, 1, length, length]`.
fn causal_mask(length: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        (0..length * length).map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, length, length]), device)
}

/// One transformer layer (`CLIPEncoderLayer`), with the norms before attention and feed-forward part.
#[derive(Module, Debug)]
struct CLIPEncoderLayer {
    self_attn: CLIPAttention,
    layer_norm1: LayerNorm,
    mlp: CLIPMlp,
    layer_norm2: LayerNorm,
}

adaptable!(CLIPEncoderLayer { self_attn, mlp });

impl CLIPEncoderLayer {
    fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        Self {
            self_attn: CLIPAttention::new(config, device),
            layer_norm1: config.layer_norm(device),
            mlp: CLIPMlp::new(config, device),
            layer_norm2: config.layer_norm(device),
        }
    }

    fn forward(&self, x: Tensor<3>, mask: Tensor<4>) -> Tensor<3> {
        let x = self.self_attn.forward(self.layer_norm1.forward(x.clone()), mask) + x;
        self.mlp.forward(self.layer_norm2.forward(x.clone())) + x
    }
}

/// Self-attention (`CLIPAttention`).
#[derive(Module, Debug)]
struct CLIPAttention {
    k_proj: Linear,
    v_proj: Linear,
    q_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

adaptable!(CLIPAttention { q_proj, k_proj, v_proj, out_proj });

impl CLIPAttention {
    fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let channels = config.hidden_size;
        let out_std = (channels as f64).powf(-0.5);
        let in_std = out_std * depth_factor(config);
        let linear = |std| config.linear(channels, channels, std, device);
        Self {
            k_proj: linear(in_std),
            v_proj: linear(in_std),
            q_proj: linear(in_std),
            out_proj: linear(out_std),
            heads: config.num_attention_heads,
        }
    }

    fn forward(&self, x: Tensor<3>, mask: Tensor<4>) -> Tensor<3> {
        let query = self.q_proj.forward(x.clone());
        let key = self.k_proj.forward(x.clone());
        let value = self.v_proj.forward(x);
        self.out_proj.forward(multi_head_attention(query, key, value, self.heads, Some(mask)))
    }
}

/// The feed-forward part (`CLIPMLP`).
#[derive(Module, Debug)]
struct CLIPMlp {
    activation_fn: Activation,
    fc1: Linear,
    fc2: Linear,
}

adaptable!(CLIPMlp { fc1, fc2 });

impl CLIPMlp {
    fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let (channels, inner) = (config.hidden_size, config.intermediate_size);
        let fc1_std = (2.0 * channels as f64).powf(-0.5);
        let fc2_std = (channels as f64).powf(-0.5) * depth_factor(config);
        Self {
            activation_fn: config.hidden_act,
            fc1: config.linear(channels, inner, fc1_std, device),
            fc2: config.linear(inner, channels, fc2_std, device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.activation_fn.forward(self.fc1.forward(x)))
    }
}

/// Keeps the variance of the sum of all layers' outputs independent of their number.
fn depth_factor(config: &CLIPTextConfig) -> f64 {
    (2.0 * config.num_hidden_layers as f64).powf(-0.5)
}
