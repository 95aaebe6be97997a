//! Whether the parts of a model folder belong together.

use super::{PipelineError, SecondTextEncoder};
use crate::models::{
    ConfigError, ModelConfig, autoencoder::AutoencoderConfig, clip_text::CLIPTextConfig,
    denoiser::DenoiserConfig, transformer_flux::FluxTransformer2DModelConfig,
};

/// Refuses a denoiser of FLUX that does not fit the other parts, and parts of FLUX with another denoiser.
pub(super) fn check(
    denoiser: &DenoiserConfig,
    vae: &AutoencoderConfig,
    text: &CLIPTextConfig,
    second: Option<&SecondTextEncoder>,
) -> Result<(), PipelineError> {
    let second_is = |reason: &str| PipelineError::File {
        path: "text_encoder_2/config.json".to_owned(),
        reason: reason.to_owned(),
    };
    match (denoiser, second) {
        (DenoiserConfig::Flux(flux), Some(SecondTextEncoder::T5 { config, .. })) => {
            let channels = |key, found: usize, part: &str, needed: usize| {
                let problem = format!("does not fit: {found} channels, but {part} has {needed}");
                let class = FluxTransformer2DModelConfig::CLASS;
                if found == needed { Ok(()) } else { Err(ConfigError::Inconsistent { class, key, problem }) }
            };
            channels("joint_attention_dim", flux.joint_attention_dim, "text_encoder_2", config.d_model)
                .and(channels(
                    "pooled_projection_dim",
                    flux.pooled_projection_dim,
                    "text_encoder",
                    text.hidden_size,
                ))
                .and(channels("in_channels", flux.latent_channels(), "vae", vae.latent_channels()))
                .map_err(PipelineError::config("transformer/config.json"))
        }
        (DenoiserConfig::Flux(_), Some(SecondTextEncoder::Clip { .. })) => {
            Err(second_is("is not of a T5 encoder, which FLUX needs"))
        }
        (DenoiserConfig::Flux(_), None) => Err(second_is("is missing; FLUX needs a T5 encoder there")),
        (DenoiserConfig::Unet(_), Some(SecondTextEncoder::T5 { .. })) => {
            Err(second_is("is of a T5 encoder, which models with a UNet do not read"))
        }
        (DenoiserConfig::Unet(_), _) => Ok(()),
    }
}
