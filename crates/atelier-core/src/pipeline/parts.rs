//! Whether the parts of a model folder belong together.

use super::{PipelineError, SecondTextEncoder, T5TextEncoder};
use crate::models::{
    ConfigError, autoencoder::AutoencoderConfig, clip_text::CLIPTextConfig, denoiser::DenoiserConfig,
};

/// What is compared.
pub(super) struct Parts<'a> {
    pub denoiser: &'a DenoiserConfig,
    pub vae: &'a AutoencoderConfig,
    pub text: &'a CLIPTextConfig,
    pub second: Option<&'a SecondTextEncoder>,
    pub third: Option<&'a T5TextEncoder>,
}

/// Refuses a denoiser of FLUX or SD3 that does not fit the other parts, and other parts of FLUX with a UNet.
pub(super) fn check(parts: &Parts<'_>) -> Result<(), PipelineError> {
    let Parts { denoiser, vae, text, second, third } = *parts;
    let second_is = |reason: &str| {
        let path = "text_encoder_2/config.json".to_owned();
        Err(PipelineError::File { path, reason: reason.to_owned() })
    };
    let channels = |key, found: usize, part: &str, needed: usize| {
        let problem = format!("does not fit: {found} channels, but {part} has {needed}");
        let class = denoiser.class();
        if found == needed { Ok(()) } else { Err(ConfigError::Inconsistent { class, key, problem }) }
    };
    let fits = match (denoiser, second) {
        (DenoiserConfig::Flux(flux), Some(SecondTextEncoder::T5(t5))) => {
            channels("joint_attention_dim", flux.joint_attention_dim, "text_encoder_2", t5.config.d_model)
                .and(channels(
                    "pooled_projection_dim",
                    flux.pooled_projection_dim,
                    "text_encoder",
                    text.hidden_size,
                ))
                .and(channels("in_channels", flux.latent_channels(), "vae", vae.latent_channels()))
        }
        (DenoiserConfig::Sd3(sd3), Some(SecondTextEncoder::Clip { config, .. })) => {
            const BOTH: &str = "text_encoder with text_encoder_2";
            let states = text.hidden_size + config.hidden_size;
            let vector = text.projection_dim + config.projection_dim;
            // Narrower states are widened to those of T5.
            let of_clip = if sd3.joint_attention_dim < states {
                channels("joint_attention_dim", sd3.joint_attention_dim, BOTH, states)
            } else {
                Ok(())
            };
            let of_t5 = third.map_or(Ok(()), |t5| {
                channels("joint_attention_dim", sd3.joint_attention_dim, "text_encoder_3", t5.config.d_model)
            });
            of_clip
                .and(of_t5)
                .and(channels("pooled_projection_dim", sd3.pooled_projection_dim, BOTH, vector))
                .and(channels("in_channels", sd3.in_channels, "vae", vae.latent_channels()))
        }
        (DenoiserConfig::Flux(_), Some(SecondTextEncoder::Clip { .. })) => {
            return second_is("is not of a T5 encoder, which FLUX needs");
        }
        (DenoiserConfig::Flux(_), None) => return second_is("is missing; FLUX needs a T5 encoder there"),
        (DenoiserConfig::Sd3(_), Some(SecondTextEncoder::T5(_))) => {
            return second_is("is of a T5 encoder; SD3 needs a CLIP encoder there");
        }
        (DenoiserConfig::Sd3(_), None) => return second_is("is missing; SD3 needs a CLIP encoder there"),
        (DenoiserConfig::Unet(_), Some(SecondTextEncoder::T5(_))) => {
            return second_is("is of a T5 encoder, which models with a UNet do not read");
        }
        (DenoiserConfig::Unet(_), _) => Ok(()),
    };
    fits.map_err(PipelineError::config("transformer/config.json"))
}
