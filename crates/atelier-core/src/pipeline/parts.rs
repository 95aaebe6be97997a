//! Whether the parts of a model folder belong together, by their configurations and tokenizers.

use super::{
    PipelineError, component, configurations::Configurations, text_encoders::SecondTextEncoderConfig,
};
use crate::models::{
    autoencoder::AutoencoderConfig, clip_text::CLIPTextConfig, denoiser::DenoiserConfig,
    t5_encoder::T5Config, transformer_flux::FluxTransformer2DModelConfig,
    transformer_sd3::SD3Transformer2DModelConfig, unet_2d_condition::UNet2DConditionModelConfig,
};

/// What to do about parts of different models.
pub(super) const ONE_MODEL: &str = "; take both from one model";

/// Channels of a picture.
const COLOURS: usize = 3;

/// Refuses parts of different models: what one gives, another must take.
///
/// # Errors
/// [`PipelineError::Parts`] names both, and [`PipelineError::File`] a text encoder that the denoiser cannot do without.
pub(super) fn check(configurations: &Configurations) -> Result<(), PipelineError> {
    let Configurations { denoiser, vae, text, second, third, .. } = configurations;
    check_colours(vae)?;
    match (denoiser, second) {
        (DenoiserConfig::Unet(unet), None) => check_stable_diffusion(unet, vae, text),
        (DenoiserConfig::Unet(unet), Some(SecondTextEncoderConfig::Clip(second))) => {
            check_sdxl(unet, vae, text, second)
        }
        (DenoiserConfig::Unet(_), Some(SecondTextEncoderConfig::T5(_))) => {
            Err(second_text_encoder("is of a T5 encoder, which models with a UNet do not read"))
        }
        (DenoiserConfig::Flux(flux), Some(SecondTextEncoderConfig::T5(t5))) => {
            check_flux(flux, vae, text, t5)
        }
        (DenoiserConfig::Flux(_), Some(SecondTextEncoderConfig::Clip(_))) => {
            Err(second_text_encoder("is not of a T5 encoder, which FLUX needs"))
        }
        (DenoiserConfig::Flux(_), None) => {
            Err(second_text_encoder("is missing; FLUX needs a T5 encoder there"))
        }
        (DenoiserConfig::Sd3(sd3), Some(SecondTextEncoderConfig::Clip(second))) => {
            check_sd3(sd3, vae, [text, second], third.as_ref())
        }
        (DenoiserConfig::Sd3(_), Some(SecondTextEncoderConfig::T5(_))) => {
            Err(second_text_encoder("is of a T5 encoder; SD3 needs a CLIP encoder there"))
        }
        (DenoiserConfig::Sd3(_), None) => {
            Err(second_text_encoder("is missing; SD3 needs a CLIP encoder there"))
        }
    }?;
    let is_sdxl = matches!((denoiser, second), (DenoiserConfig::Unet(_), Some(_)));
    if vae.has_latent_statistics() && !is_sdxl {
        let problem = format!(
            "`latents_mean` and `latents_std` are those of a model with the UNet of SDXL, such as Playground v2.5; {} does not \
             use them{ONE_MODEL}",
            component(denoiser).key()
        );
        return Err(PipelineError::Parts { path: "vae/config.json".to_owned(), problem });
    }
    Ok(())
}

fn second_text_encoder(reason: &str) -> PipelineError {
    PipelineError::File { path: "text_encoder_2/config.json".to_owned(), reason: reason.to_owned() }
}

/// What the configuration at `path` says under `key` is compared with that of another part.
struct Comparison<'a> {
    path: &'a str,
    key: &'a str,
    found: usize,
    what: &'a str,
}

impl Comparison<'_> {
    /// Whether it is what `part` has, under a key of its own.
    fn equals(&self, part: &str, key: &str, needed: usize) -> Result<(), PipelineError> {
        if self.found == needed { Ok(()) } else { Err(self.error(part, key, needed, ONE_MODEL)) }
    }

    fn error(&self, part: &str, key: &str, needed: usize, advice: &str) -> PipelineError {
        let Self { path, key: own, found, what } = self;
        let problem =
            format!("`{own}` does not fit: {found} {what}, but {part} has {needed} (`{key}`){advice}");
        PipelineError::Parts { path: (*path).to_owned(), problem }
    }
}

fn unet(key: &'static str, found: usize) -> Comparison<'static> {
    Comparison { path: "unet/config.json", key, found, what: "channels" }
}

fn transformer(key: &'static str, found: usize) -> Comparison<'static> {
    Comparison { path: "transformer/config.json", key, found, what: "channels" }
}

fn check_colours(vae: &AutoencoderConfig) -> Result<(), PipelineError> {
    for (key, found) in [("in_channels", vae.in_channels()), ("out_channels", vae.out_channels())] {
        if found != COLOURS {
            let problem = format!("`{key}` does not fit: {found} channels, but pictures have {COLOURS}");
            return Err(PipelineError::Parts { path: "vae/config.json".to_owned(), problem });
        }
    }
    Ok(())
}

/// Whether a UNet takes and gives the latents of `vae`.
fn check_latents(config: &UNet2DConditionModelConfig, vae: &AutoencoderConfig) -> Result<(), PipelineError> {
    const OF_VAE: &str = "latent_channels";
    let latents = vae.latent_channels();
    let found = config.in_channels;
    if found != latents {
        let of = |model: &str| {
            format!(": it is made for {model}, which is not supported; take the model that it was made from")
        };
        let advice = match found.checked_sub(latents) {
            Some(1) => of("depth maps beside the latents"),
            Some(COLOURS) => of("upscaling a picture"),
            Some(more) if more == latents => of("editing a picture (InstructPix2Pix)"),
            Some(more) if more - 1 == latents => of("inpainting, with a mask and a masked picture"),
            _ => ONE_MODEL.to_owned(),
        };
        return Err(unet("in_channels", found).error("vae", OF_VAE, latents, &advice));
    }
    unet("out_channels", config.out_channels).equals("vae", OF_VAE, latents)
}

/// Whether all stages of a UNet read text states of `width` channels, which `part` gives.
fn check_text_width(
    config: &UNet2DConditionModelConfig,
    part: &str,
    width: usize,
) -> Result<(), PipelineError> {
    let widths = config.cross_attention_dims();
    widths
        .into_iter()
        .try_for_each(|found| unet("cross_attention_dim", found).equals(part, "hidden_size", width))
}

fn check_stable_diffusion(
    config: &UNet2DConditionModelConfig,
    vae: &AutoencoderConfig,
    text: &CLIPTextConfig,
) -> Result<(), PipelineError> {
    check_latents(config, vae)?;
    if config.pooled_features().is_some() {
        let problem = "`addition_embed_type` is \"text_time\": the UNet is of SDXL, which needs text_encoder_2 and tokenizer_2 \
                       beside text_encoder, and they are missing";
        return Err(PipelineError::Parts {
            path: "unet/config.json".to_owned(),
            problem: problem.to_owned(),
        });
    }
    check_text_width(config, "text_encoder", text.hidden_size)
}

fn check_sdxl(
    config: &UNet2DConditionModelConfig,
    vae: &AutoencoderConfig,
    text: &CLIPTextConfig,
    second: &CLIPTextConfig,
) -> Result<(), PipelineError> {
    check_latents(config, vae)?;
    check_text_width(
        config,
        "text_encoder with text_encoder_2",
        text.hidden_size.saturating_add(second.hidden_size),
    )?;
    if let Some(pooled) = config.pooled_features() {
        let key = "projection_class_embeddings_input_dim";
        let what = "channels for the prompt's vector";
        let comparison = Comparison { path: "unet/config.json", key, found: pooled, what };
        comparison.equals("text_encoder_2", "projection_dim", second.projection_dim)?;
    }
    Ok(())
}

fn check_flux(
    config: &FluxTransformer2DModelConfig,
    vae: &AutoencoderConfig,
    text: &CLIPTextConfig,
    t5: &T5Config,
) -> Result<(), PipelineError> {
    transformer("joint_attention_dim", config.joint_attention_dim).equals(
        "text_encoder_2",
        "d_model",
        t5.d_model,
    )?;
    transformer("pooled_projection_dim", config.pooled_projection_dim).equals(
        "text_encoder",
        "hidden_size",
        text.hidden_size,
    )?;
    let what = "channels of latents, a quarter of what a token has";
    let comparison = Comparison {
        path: "transformer/config.json",
        key: "in_channels",
        found: config.latent_channels(),
        what,
    };
    comparison.equals("vae", "latent_channels", vae.latent_channels())
}

fn check_sd3(
    config: &SD3Transformer2DModelConfig,
    vae: &AutoencoderConfig,
    clip: [&CLIPTextConfig; 2],
    t5: Option<&T5Config>,
) -> Result<(), PipelineError> {
    const BOTH: &str = "text_encoder with text_encoder_2";
    let sum = |of: fn(&CLIPTextConfig) -> usize| clip.into_iter().map(of).fold(0, usize::saturating_add);
    let states = sum(|text| text.hidden_size);
    let joint = transformer("joint_attention_dim", config.joint_attention_dim);
    // Narrower states are widened to those of T5.
    if joint.found < states {
        return Err(joint.error(BOTH, "hidden_size", states, ONE_MODEL));
    }
    if let Some(t5) = t5 {
        joint.equals("text_encoder_3", "d_model", t5.d_model)?;
    }
    let vector = sum(|text| text.projection_dim);
    transformer("pooled_projection_dim", config.pooled_projection_dim).equals(
        BOTH,
        "projection_dim",
        vector,
    )?;
    transformer("in_channels", config.in_channels).equals("vae", "latent_channels", vae.latent_channels())
}
