//! How large the pictures of a model can be.

use super::{
    ModelFiles, PipelineError,
    configurations::{autoencoder_config, denoiser_config},
};
use crate::models::{autoencoder::AutoencoderConfig, denoiser::DenoiserConfig};

/// The sides of pictures that a model takes, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSides {
    /// By what both must be divisible, for latents that the denoiser can take.
    pub divisor: usize,
    /// The longest, if there is one.
    pub longest: Option<usize>,
}

impl PictureSides {
    /// Of a model with these parts.
    pub fn new(denoiser: &DenoiserConfig, vae: &AutoencoderConfig) -> Self {
        let factor = vae.downsampling_factor();
        Self {
            divisor: factor.saturating_mul(denoiser.patch()),
            longest: denoiser.longest_side().map(|latents| latents.saturating_mul(factor)),
        }
    }

    /// Of the model in `files`, of which no weights are read.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn read<F: ModelFiles + ?Sized>(files: &F) -> Result<Self, PipelineError> {
        let (_, denoiser) = denoiser_config(files)?;
        Ok(Self::new(&denoiser, &autoencoder_config(files)?))
    }
}
