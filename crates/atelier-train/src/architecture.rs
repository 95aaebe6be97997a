//! The small painter: an architecture that two processor cores train in an evening and a browser loads in seconds.

mod colour_passing;
mod word_passing;

use crate::{error::TrainError, pictures, tokenizer};
use atelier_core::{
    models::{
        ModelError,
        activation::Activation,
        autoencoder::{Autoencoder, AutoencoderConfig},
        autoencoder_tiny::AutoencoderTinyConfig,
        clip_text::CLIPTextConfig,
        config::OneOrMany,
        denoiser::{Denoiser, DenoiserConfig},
        unet_2d_condition::{AdditionEmbedType, DownBlockType, UNet2DConditionModelConfig, UpBlockType},
    },
    pipeline::Pipeline,
    schedulers::{BetaSchedule, DiffusionConfig, PredictionType, SchedulerConfig, TimestepSpacing},
    text::PromptTokenizer,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use colour_passing::ColourPassing;
use word_passing::WordPassing;

/// Tokens of a prompt: a caption and a dozen attributes.
const PROMPT_TOKENS: usize = 77;
/// Features of the text states.
const TEXT_FEATURES: usize = 128;
/// Latent pixels are blocks of 4 x 4 pixels: two halvings.
const LEVELS: usize = 3;
/// Channels of the denoiser's stages.
const STAGES: [usize; 3] = [32, 64, 128];
/// Sides of pictures that are multiples of this go through autoencoder and denoiser without rounding.
pub const PICTURE_MULTIPLE: u32 = 1 << (LEVELS - 1 + STAGES.len() - 1);

/// A small painter with random weights drawn from `seed`, on `device`, whose tokenizer knows the words of `texts`.
///
/// Latents have 4 channels at a quarter of the resolution. The denoiser attends to the prompt at an eighth of that
/// resolution's area only, where attention is cheap; at full resolution it is convolutions alone. What the prompt says about
/// the whole picture, its brushwork above all, reaches every resolution with the time: the text states are pooled into the
/// time embedding. It predicts the velocity on a cosine schedule, which ends in pure noise: dark and bright pictures then
/// come as easily as middling ones.
///
/// # Errors
/// [`TrainError::Tokenizer`] or [`TrainError::Model`], neither of which fits these constants.
pub fn small_painter<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    size: u32,
    seed: u64,
    device: &Device,
) -> Result<Pipeline, TrainError> {
    let built = tokenizer::build_tokenizer(texts, PROMPT_TOKENS)?;
    let bytes = built.to_string(true).map_err(tokenizer::TokenizerError::from)?.into_bytes();
    let tokenizer = PromptTokenizer::from_bytes(bytes, PROMPT_TOKENS)?;
    let vae_config = AutoencoderTinyConfig {
        encoder_block_out_channels: vec![32; LEVELS],
        decoder_block_out_channels: vec![32; LEVELS],
        num_encoder_blocks: vec![1, 1, 2],
        num_decoder_blocks: vec![2, 1, 1],
        ..AutoencoderTinyConfig::default()
    };
    let unet_config = UNet2DConditionModelConfig {
        sample_size: Some(OneOrMany::One(size as usize / vae_config.downsampling_factor())),
        block_out_channels: STAGES.to_vec(),
        down_block_types: vec![
            DownBlockType::DownBlock2D,
            DownBlockType::DownBlock2D,
            DownBlockType::CrossAttnDownBlock2D,
        ],
        up_block_types: vec![UpBlockType::CrossAttnUpBlock2D, UpBlockType::UpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: OneOrMany::One(1),
        norm_num_groups: 16,
        cross_attention_dim: OneOrMany::One(TEXT_FEATURES),
        attention_head_dim: OneOrMany::One(2),
        use_linear_projection: true,
        addition_embed_type: Some(AdditionEmbedType::Text),
        addition_embed_type_num_heads: 8,
        ..UNet2DConditionModelConfig::default()
    };
    let text_config = CLIPTextConfig {
        vocab_size: built.get_vocab_size(true),
        hidden_size: TEXT_FEATURES,
        intermediate_size: 4 * TEXT_FEATURES,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: PROMPT_TOKENS,
        hidden_act: Activation::Gelu,
        ..CLIPTextConfig::default()
    };
    let scheduler_config = DiffusionConfig {
        beta_schedule: BetaSchedule::SquaredCosine,
        prediction_type: PredictionType::VPrediction,
        timestep_spacing: TimestepSpacing::Trailing,
        clip_sample: false,
        ..DiffusionConfig::default()
    };
    device.seed(seed);
    let failed = |error: ModelError| TrainError::Model(error);
    let text_encoder =
        text_config.init(device).map_err(failed)?.materialize().map(&mut WordPassing::default());
    let padding = Tensor::from_data(TensorData::new(vec![tokenizer::PAD_ID; 1], [1, 1]), device);
    let padding = pictures::read(text_encoder.forward(padding))?;
    let mut unet_words = WordPassing::ignoring(padding, unet_config.addition_embed_type_num_heads);
    Ok(Pipeline {
        vae: Autoencoder::Tiny(
            vae_config.init(device).map_err(failed)?.materialize().map(&mut ColourPassing::default()),
        ),
        denoiser: Denoiser::Unet(
            unet_config.init(device).map_err(failed)?.materialize().map(&mut unet_words),
        ),
        text_encoder,
        denoiser_config: DenoiserConfig::Unet(unet_config),
        vae_config: AutoencoderConfig::Tiny(vae_config),
        text_config,
        tokenizer,
        second_text_encoder: None,
        third_text_encoder: None,
        negative_denoiser: None,
        clip_skip: 0,
        force_zeros_for_empty_prompt: false,
        scheduler_config: SchedulerConfig::Diffusion(scheduler_config),
    })
}
