//! The denoiser of Stable Diffusion (`diffusers.models.unets.unet_2d_condition`).

use burn::module::Module;
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::activation::Activation;
use super::config::{OneOrMany, diffusers_identity};
use super::config_checks::{
    LONGEST, MOST_LAYERS_OF_A_STAGE, MOST_STAGES, check_count, check_divides, check_divisible, check_epsilon,
    check_other_keys,
};
use super::embeddings::{TimestepEmbedding, Timesteps};
#[cfg(feature = "autodiff")]
use super::layers::is_adapted;
use super::layers::{Adaptable, Conv2d, LayerMut, adaptable};
use super::prompt_embeddings::PromptEmbeddings;
use super::resampling::conv_3x3;
use super::resnet::ResnetOptions;
use super::text_time_embedding::TextTimeEmbedding;
use super::transformer_2d::Transformer2DOptions;
use super::unet_2d_blocks::{
    DownBlock2D, DownBlock2DOptions, UNetMidBlock2DCrossAttn, UpBlock2D, UpBlock2DOptions,
};
use super::unet_2d_segments::Segment;
use super::{ConfigError, ModelConfig, ModelError};

const CLASS: &str = "UNet2DConditionModel";

/// A stage on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks and transformers.
    CrossAttnDownBlock2D,
    /// Residual blocks.
    DownBlock2D,
}

/// The stage at the lowest resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MidBlockType {
    /// A transformer between two residual blocks.
    UNetMidBlock2DCrossAttn,
}

/// A stage on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    UpBlock2D,
    /// Residual blocks and transformers.
    CrossAttnUpBlock2D,
}

/// What is added to the timestep embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdditionEmbedType {
    /// One vector made of all text states.
    Text,
    /// The prompt's vector and the sizes of the picture (SDXL).
    TextTime,
}

/// The configuration of [`UNet2DConditionModel`]: the keys of diffusers' `config.json`, with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UNet2DConditionModelConfig {
    /// Height and width of the latents that the model was made for; any other size works too.
    pub sample_size: Option<OneOrMany<usize>>,
    /// Channels of the noisy latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Whether latents in [0, 1] are to be moved to [-1, 1] first.
    pub center_input_sample: bool,
    /// Whether the cosines of the timestep features come first.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the number of frequencies of the timestep features.
    pub freq_shift: f64,
    /// Stages on the way down, highest resolution first.
    pub down_block_types: Vec<DownBlockType>,
    /// The stage between.
    pub mid_block_type: MidBlockType,
    /// Stages on the way up, lowest resolution first.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of each stage, highest resolution first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each stage on the way down; one more on the way up.
    pub layers_per_block: OneOrMany<usize>,
    /// Padding of the downsampling convolutions: 0 or 1.
    pub downsample_padding: usize,
    /// Divides the outputs of the middle stage's residual blocks.
    pub mid_block_scale_factor: f64,
    /// Activation function.
    pub act_fn: Activation,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Added to the variance in the group normalisations.
    pub norm_eps: f64,
    /// Channels of the text states.
    pub cross_attention_dim: OneOrMany<usize>,
    /// Transformer blocks per transformer.
    pub transformer_layers_per_block: OneOrMany<usize>,
    /// The NUMBER of attention heads of each stage: diffusers keeps the misnomer for the sake of old files.
    pub attention_head_dim: OneOrMany<usize>,
    /// Whether the transformers' projections are linear layers or 1x1 convolutions.
    pub use_linear_projection: bool,
    /// What is added to the timestep embedding, if anything.
    pub addition_embed_type: Option<AdditionEmbedType>,
    /// Attention heads of that addition, where it is made of text states.
    pub addition_embed_type_num_heads: usize,
    /// Features of each of the six sizes, where they are added.
    pub addition_time_embed_dim: Option<usize>,
    /// Features of the prompt's vector and of all sizes together.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Keys that have no effect here; those that would have one are refused by [`Self::init`].
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for UNet2DConditionModelConfig {
    fn default() -> Self {
        use DownBlockType::{CrossAttnDownBlock2D, DownBlock2D};
        use UpBlockType::{CrossAttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            center_input_sample: false,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: vec![
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                DownBlock2D,
            ],
            mid_block_type: MidBlockType::UNetMidBlock2DCrossAttn,
            up_block_types: vec![UpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D],
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: OneOrMany::One(2),
            downsample_padding: 1,
            mid_block_scale_factor: 1.0,
            act_fn: Activation::Silu,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: OneOrMany::One(1280),
            transformer_layers_per_block: OneOrMany::One(1),
            attention_head_dim: OneOrMany::One(8),
            use_linear_projection: false,
            addition_embed_type: None,
            addition_embed_type_num_heads: 64,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            other: Map::new(),
        }
    }
}

impl ModelConfig for UNet2DConditionModelConfig {
    const CLASS: &'static str = CLASS;

    fn identity() -> Map<String, Value> {
        diffusers_identity(CLASS)
    }
}

/// Keys of diffusers that would change the model, with the values under which they do not.
const NEUTRAL: &[(&str, &[&str])] = &[
    ("attention_type", &["\"default\""]),
    ("class_embed_type", &["null"]),
    ("class_embeddings_concat", &["false"]),
    ("conv_in_kernel", &["3"]),
    ("conv_out_kernel", &["3"]),
    ("cross_attention_norm", &["null"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim", &["null"]),
    ("encoder_hid_dim_type", &["null"]),
    ("mid_block_only_cross_attention", &["null", "false"]),
    ("num_attention_heads", &["null"]),
    ("num_class_embeds", &["null"]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1.0", "1"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("reverse_transformer_layers_per_block", &["null"]),
    ("time_cond_proj_dim", &["null"]),
    ("time_embedding_act_fn", &["null"]),
    ("time_embedding_dim", &["null"]),
    ("time_embedding_type", &["\"positional\""]),
    ("timestep_post_act", &["null"]),
];

/// One stage, all lists resolved.
struct Stage {
    channels: usize,
    layers: usize,
    attention: Transformer2DOptions,
}

impl UNet2DConditionModelConfig {
    /// A randomly initialised model (PyTorch's default initialisation).
    ///
    /// # Errors
    ///
    /// [`ModelError::Config`] for keys that are not supported and for values that contradict each other.
    pub fn init(&self, device: &Device) -> Result<UNet2DConditionModel, ModelError> {
        let stages = self.stages()?;
        let first = self.block_out_channels[0];
        let temb_channels = 4 * first;
        let resnet = ResnetOptions {
            temb_channels: Some(temb_channels),
            groups: self.norm_num_groups,
            eps: self.norm_eps,
            act: self.act_fn,
            output_scale_factor: 1.0,
        };
        let last = stages.len() - 1;

        // The channels of every skip connection, in the order in which the way down makes them.
        let mut skips = vec![first];
        let mut channels = first;
        let mut down_blocks = Vec::new();
        for (i, (stage, kind)) in stages.iter().zip(&self.down_block_types).enumerate() {
            let options = DownBlock2DOptions {
                in_channels: channels,
                out_channels: stage.channels,
                layers: stage.layers,
                resnet,
                attention: (*kind == DownBlockType::CrossAttnDownBlock2D).then_some(stage.attention),
                downsample_padding: (i < last).then_some(self.downsample_padding),
            };
            down_blocks.push(DownBlock2D::new(&options, device));
            channels = stage.channels;
            skips.extend(vec![channels; stage.layers + usize::from(i < last)]);
        }

        let mid_resnet = ResnetOptions { output_scale_factor: self.mid_block_scale_factor, ..resnet };
        let mid_block = UNetMidBlock2DCrossAttn::new(&mid_resnet, &stages[last].attention, device);

        let mut up_blocks = Vec::new();
        for (i, (stage, kind)) in stages.iter().rev().zip(&self.up_block_types).enumerate() {
            let skip_channels = skips.split_off(skips.len() - (stage.layers + 1)).into_iter().rev().collect();
            let options = UpBlock2DOptions {
                in_channels: channels,
                skip_channels,
                out_channels: stage.channels,
                resnet,
                attention: (*kind == UpBlockType::CrossAttnUpBlock2D).then_some(stage.attention),
                upsample: i < last,
            };
            up_blocks.push(UpBlock2D::new(&options, device));
            channels = stage.channels;
        }

        Ok(UNet2DConditionModel {
            conv_in: conv_3x3(self.in_channels, first).init(device),
            time_proj: Timesteps::new(first, self.flip_sin_to_cos, self.freq_shift),
            time_embedding: TimestepEmbedding::new(first, temb_channels, self.act_fn, device),
            add_embedding: self.add_embedding(
                stages[0].attention.cross_attention_dim,
                temb_channels,
                device,
            )?,
            add_time_proj: self
                .addition_time_embed_dim
                .map(|features| Timesteps::new(features, self.flip_sin_to_cos, self.freq_shift)),
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNormConfig::new(self.norm_num_groups, first)
                .with_epsilon(self.norm_eps)
                .init(device),
            act: self.act_fn,
            conv_out: conv_3x3(first, self.out_channels).init(device),
            center_input_sample: self.center_input_sample,
        })
    }

    fn add_embedding(
        &self,
        cross_attention_dim: usize,
        temb_channels: usize,
        device: &Device,
    ) -> Result<Option<AddEmbedding>, ConfigError> {
        Ok(match self.addition_embed_type {
            None => None,
            Some(AdditionEmbedType::Text) => {
                let heads = self.addition_embed_type_num_heads;
                let reason = "`addition_embed_type_num_heads`";
                check_divisible(CLASS, "cross_attention_dim", cross_attention_dim, heads, reason)?;
                let embedding = TextTimeEmbedding::new(cross_attention_dim, temb_channels, heads, device);
                Some(AddEmbedding::Text(embedding))
            }
            Some(AdditionEmbedType::TextTime) => {
                let features = self.addition_time_embed_dim.unwrap_or(0);
                check_divisible(CLASS, "addition_time_embed_dim", features, 2, "sines and cosines")?;
                self.check_frequencies("addition_time_embed_dim", features)?;
                let input = self.projection_class_embeddings_input_dim.unwrap_or(0);
                let pooled = input.saturating_sub(SIZES * features);
                let key = "projection_class_embeddings_input_dim";
                check_divisible(CLASS, key, pooled, 1, "what the six sizes leave to the prompt's vector")?;
                Some(AddEmbedding::TextTime(TimestepEmbedding::new(
                    input,
                    temb_channels,
                    self.act_fn,
                    device,
                )))
            }
        })
    }

    /// Whether `freq_shift` leaves frequencies to `features` of a number.
    fn check_frequencies(&self, key: &'static str, features: usize) -> Result<(), ConfigError> {
        let half = features as f64 / 2.0;
        if self.freq_shift < half {
            return Ok(());
        }
        let problem = format!("has {features}, whose half must be above `freq_shift` = {}", self.freq_shift);
        Err(ConfigError::Inconsistent { class: CLASS, key, problem })
    }

    /// Channels of the text states, one number for each stage or one for all.
    pub fn cross_attention_dims(&self) -> Vec<usize> {
        match &self.cross_attention_dim {
            OneOrMany::One(channels) => vec![*channels],
            OneOrMany::Many(channels) => channels.clone(),
        }
    }

    /// Features of the prompt's vector that the model takes beside the sizes of a picture (SDXL), if it does.
    pub fn pooled_features(&self) -> Option<usize> {
        let (features, input) = (self.addition_time_embed_dim?, self.projection_class_embeddings_input_dim?);
        (self.addition_embed_type? == AdditionEmbedType::TextTime)
            .then(|| input.saturating_sub(features.saturating_mul(SIZES)))
    }

    /// Checks the configuration and resolves its lists.
    fn stages(&self) -> Result<Vec<Stage>, ConfigError> {
        check_other_keys::<Self>(&self.other, NEUTRAL, &["dropout", "upcast_attention"])?;
        let count = self.block_out_channels.len();
        check_count(CLASS, "block_out_channels", count, MOST_STAGES)?;
        for (key, found) in [
            ("block_out_channels", count),
            ("down_block_types", self.down_block_types.len()),
            ("up_block_types", self.up_block_types.len()),
        ] {
            if found != count || count == 0 {
                let problem = format!(
                    "has {found} values, but `block_out_channels` has {count} (at least 1 is needed)"
                );
                return Err(ConfigError::Inconsistent { class: CLASS, key, problem });
            }
        }
        if self.downsample_padding > 1 {
            return Err(ConfigError::Unsupported {
                class: CLASS,
                key: "downsample_padding".to_owned(),
                value: self.downsample_padding.to_string(),
                supported: "0, 1".to_owned(),
            });
        }
        check_divisible(CLASS, "block_out_channels", self.block_out_channels[0], 2, "sines and cosines")?;
        self.check_frequencies("block_out_channels", self.block_out_channels[0])?;
        check_epsilon(CLASS, "norm_eps", self.norm_eps)?;
        check_divides(CLASS, "mid_block_scale_factor", self.mid_block_scale_factor)?;
        check_divisible(CLASS, "in_channels", self.in_channels, 1, "channels of the latents")?;
        let sides: &[usize] = match &self.sample_size {
            None => &[],
            Some(OneOrMany::One(side)) => std::slice::from_ref(side),
            Some(OneOrMany::Many(sides)) => sides.as_slice(),
        };
        for side in sides {
            check_count(CLASS, "sample_size", *side, LONGEST)?;
        }
        check_divisible(CLASS, "out_channels", self.out_channels, 1, "channels of the prediction")?;

        let layers = self.layers_per_block.expand(count, CLASS, "layers_per_block")?;
        let heads = self.attention_head_dim.expand(count, CLASS, "attention_head_dim")?;
        let cross_attention_dim = self.cross_attention_dim.expand(count, CLASS, "cross_attention_dim")?;
        let transformer_layers =
            self.transformer_layers_per_block.expand(count, CLASS, "transformer_layers_per_block")?;
        (0..count)
            .map(|i| {
                let channels = self.block_out_channels[i];
                check_divisible(
                    CLASS,
                    "block_out_channels",
                    channels,
                    self.norm_num_groups,
                    "`norm_num_groups`",
                )?;
                check_divisible(
                    CLASS,
                    "block_out_channels",
                    channels,
                    heads[i],
                    "heads, `attention_head_dim`",
                )?;
                check_divisible(CLASS, "layers_per_block", layers[i], 1, "residual blocks")?;
                check_count(CLASS, "layers_per_block", layers[i], MOST_LAYERS_OF_A_STAGE)?;
                let depth = transformer_layers[i];
                check_count(CLASS, "transformer_layers_per_block", depth, MOST_LAYERS_OF_A_STAGE)?;
                check_divisible(
                    CLASS,
                    "cross_attention_dim",
                    cross_attention_dim[i],
                    1,
                    "channels of the text",
                )?;
                let attention = Transformer2DOptions {
                    channels,
                    cross_attention_dim: cross_attention_dim[i],
                    heads: heads[i],
                    layers: transformer_layers[i],
                    groups: self.norm_num_groups,
                    use_linear_projection: self.use_linear_projection,
                };
                Ok(Stage { channels, layers: layers[i], attention })
            })
            .collect()
    }
}

/// The size conditions of SDXL: original height and width, top and left of the crop, target height and width.
const SIZES: usize = 6;

/// What is added to the timestep embedding.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one, and a module cannot be boxed")]
enum AddEmbedding {
    Text(TextTimeEmbedding),
    TextTime(TimestepEmbedding),
}

impl Adaptable for AddEmbedding {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        match self {
            Self::Text(embedding) => embedding.visit_layers(name, visitor),
            Self::TextTime(embedding) => embedding.visit_layers(name, visitor),
        }
    }
}

/// What the layers and segments at the beginning of a UNet computed from an input.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    /// The embedding, as [`UNet2DConditionModel::activated_temb`] gives it.
    pub temb: Tensor<2>,
    /// The result of the last segment.
    pub x: Tensor<4>,
    /// Skip connections that have not been taken.
    pub skips: Vec<Tensor<4>>,
    /// How many segments.
    pub segments: usize,
}

impl Beginning {
    /// Goes through one more segment.
    pub fn step(mut self, segment: Segment<'_>, context: &Tensor<3>) -> Self {
        let input = segment.input(self.x, &mut self.skips);
        self.x = segment.forward(input, &self.temb, context);
        self.segments += 1;
        if segment.gives_skip() {
            self.skips.push(self.x.clone());
        }
        self
    }

    /// The same values for a model in training.
    #[cfg(feature = "autodiff")]
    pub fn autodiff(self) -> Self {
        Self {
            temb: self.temb.autodiff(),
            x: self.x.autodiff(),
            skips: self.skips.into_iter().map(Tensor::autodiff).collect(),
            segments: self.segments,
        }
    }
}

/// Predicts the noise (or the velocity) in noisy latents, given a timestep and text states
/// (`diffusers.models.unets.unet_2d_condition.UNet2DConditionModel`).
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_proj: Timesteps,
    time_embedding: TimestepEmbedding,
    add_embedding: Option<AddEmbedding>,
    add_time_proj: Option<Timesteps>,
    down_blocks: Vec<DownBlock2D>,
    mid_block: UNetMidBlock2DCrossAttn,
    up_blocks: Vec<UpBlock2D>,
    conv_norm_out: GroupNorm,
    act: Activation,
    conv_out: Conv2d,
    center_input_sample: bool,
}

adaptable!(UNet2DConditionModel {
    conv_in,
    time_embedding,
    add_embedding,
    down_blocks,
    mid_block,
    up_blocks,
    conv_out,
});

impl UNet2DConditionModel {
    /// `sample`: noisy latents `[batch, in_channels, height, width]` of any size; `timesteps`: `[batch]`, as
    /// floats; `prompt`: text states `[batch, length, cross_attention_dim]`, with a vector and sizes where the model takes
    /// them.
    ///
    /// Returns `[batch, out_channels, height, width]`.
    ///
    /// # Panics
    /// If the model takes a vector and sizes, and `prompt` has none.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: Tensor<1>,
        prompt: impl Into<PromptEmbeddings>,
    ) -> Tensor<4> {
        let prompt = prompt.into();
        self.finish(self.begin(sample, timesteps, &prompt, 0), &prompt.prompt_embeds)
    }

    /// The state of a pass after the first `segments` of [`Self::segments`].
    pub(super) fn begin(
        &self,
        sample: Tensor<4>,
        timesteps: Tensor<1>,
        prompt: &PromptEmbeddings,
        segments: usize,
    ) -> Beginning {
        let temb = self.activated_temb(timesteps, prompt);
        let x = self.head(sample);
        let beginning = Beginning { temb, skips: vec![x.clone()], x, segments: 0 };
        let context = &prompt.prompt_embeds;
        self.segments().take(segments).fold(beginning, |pass, segment| pass.step(segment, context))
    }

    /// The prediction that goes on from `beginning`, with text states `context`.
    pub(super) fn finish(&self, beginning: Beginning, context: &Tensor<3>) -> Tensor<4> {
        let rest = self.segments().skip(beginning.segments);
        self.tail(rest.fold(beginning, |pass, segment| pass.step(segment, context)).x)
    }

    /// In how many of the first segments this model computes what it would compute without its adapter; `None` if the first
    /// convolution or the embeddings are adapted.
    #[cfg(feature = "autodiff")]
    pub(super) fn unadapted_segments(&self) -> Option<usize> {
        let adapted = is_adapted(&self.conv_in)
            || is_adapted(&self.time_embedding)
            || self.add_embedding.as_ref().is_some_and(is_adapted);
        (!adapted).then(|| self.segments().take_while(|segment| !segment.is_adapted()).count())
    }

    /// The embedding of timesteps, and of the prompt where the model takes that, after the activation:
    /// `[batch, temb_channels]`.
    pub(super) fn activated_temb(&self, timesteps: Tensor<1>, prompt: &PromptEmbeddings) -> Tensor<2> {
        let temb = self.time_embedding.forward(self.time_proj.forward(timesteps));
        let temb = match &self.add_embedding {
            Some(AddEmbedding::Text(addition)) => temb + addition.forward(prompt.prompt_embeds.clone()),
            Some(AddEmbedding::TextTime(addition)) => temb + addition.forward(self.vector_and_sizes(prompt)),
            None => temb,
        };
        self.act.forward(temb)
    }

    /// From latents to what the first segment reads, which is the first skip connection, too.
    pub(super) fn head(&self, sample: Tensor<4>) -> Tensor<4> {
        self.conv_in.forward(if self.center_input_sample { sample * 2.0 - 1.0 } else { sample })
    }

    /// Everything between [`Self::head`] and [`Self::tail`], in order.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let down = self.down_blocks.iter().flat_map(DownBlock2D::segments);
        down.chain(self.mid_block.segments()).chain(self.up_blocks.iter().flat_map(UpBlock2D::segments))
    }

    /// From the last segment's result to the prediction.
    pub(super) fn tail(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv_out.forward(self.act.after(&self.conv_norm_out, x))
    }

    /// The prompt's vector and the features of all sizes, `[batch, projection_class_embeddings_input_dim]`.
    fn vector_and_sizes(&self, prompt: &PromptEmbeddings) -> Tensor<2> {
        let parts = (&self.add_time_proj, &prompt.pooled_prompt_embeds, &prompt.time_ids);
        let (Some(features), Some(pooled), Some(sizes)) = parts else {
            panic!("this denoiser needs `pooled_prompt_embeds` and `time_ids`, as a pipeline gives them");
        };
        let [rows, count] = sizes.dims();
        let sizes = features.forward(sizes.clone().reshape([rows * count])).reshape([rows as i32, -1]);
        Tensor::cat(vec![pooled.clone(), sizes], 1)
    }
}
