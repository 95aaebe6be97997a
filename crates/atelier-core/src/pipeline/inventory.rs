//! What a model folder holds, without loading it.

use super::{
    DIFFUSERS_WEIGHTS, ModelFiles, PipelineError, TEXT_ENCODER, TRANSFORMERS_WEIGHTS, VAE, check_weights,
    component,
    configurations::{Configurations, denoiser_config},
    parts, scheduling,
    t5_text_encoder::{T5_OF_FLUX, T5_OF_SD3},
    text_encoder,
    text_encoders::{self, SecondTextEncoderConfig},
    weight_files::weights_of,
};
use crate::models::{
    ModelError,
    autoencoder::AutoencoderConfig,
    denoiser::{Denoiser, DenoiserConfig},
    layers::{Adaptable, LayerMut},
};
use burn::{module::Module, tensor::Device};

/// The parts of a model folder and their sizes, from its configurations and from the headers of its weights: no value is
/// read or computed.
#[derive(Debug)]
pub struct Inventory {
    /// Configuration of the denoiser.
    pub denoiser_config: DenoiserConfig,
    /// The denoiser, of which no value has been computed.
    pub denoiser: Denoiser,
    /// Configuration of the autoencoder.
    pub vae_config: AutoencoderConfig,
    /// Tokens of a prompt.
    pub tokens: usize,
    /// The denoiser's size, then those of text encoders and autoencoder.
    pub parts: Vec<PartSize>,
}

/// How many parameters a part of a model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSize {
    /// Its folder in the model's.
    pub folder: &'static str,
    /// Elements of the layers' weights, which [`store_weights_as`](crate::models::layers::store_weights_as) can keep in
    /// half precision; none where it does not.
    pub layer_weights: usize,
    /// Elements of all other parameters.
    pub others: usize,
}

impl PartSize {
    /// Bytes on a device that keeps layers' weights in `bytes` each, and all others in four.
    pub fn bytes(&self, bytes: usize) -> usize {
        bytes * self.layer_weights + 4 * self.others
    }

    /// Of a part whose weights are always kept in f32.
    fn in_f32<M: Module>(folder: &'static str, module: &M) -> Self {
        Self { folder, layer_weights: 0, others: module.num_params() }
    }

    fn of<M: Module + Adaptable>(folder: &'static str, module: &M) -> Self {
        let mut layer_weights = 0;
        module.clone().visit_layers("", &mut |_, layer| {
            layer_weights += match layer {
                LayerMut::Linear(linear) => linear.weight.lazy_shape().num_elements(),
                LayerMut::Conv2d(conv) => conv.weight.lazy_shape().num_elements(),
            };
        });
        Self { folder, layer_weights, others: module.num_params() - layer_weights }
    }
}

impl Inventory {
    /// Reads configurations and headers, and checks that the weights are those that the configurations need, that the parts
    /// belong together, and that the scheduler is one of the denoiser's.
    ///
    /// # Errors
    /// [`PipelineError`] names the file, and what in it cannot be used.
    pub fn read<F: ModelFiles + ?Sized>(files: &F, device: &Device) -> Result<Self, PipelineError> {
        let (path, denoiser_config) = denoiser_config(files)?;
        let denoiser = denoiser_config.init(device).map_err(PipelineError::model(&path))?;
        let folder = component(&denoiser_config).key();
        check(&denoiser, files, folder, DIFFUSERS_WEIGHTS)?;
        let configurations = Configurations::read(files)?;
        parts::check(&configurations)?;
        configurations.tokenizers(files)?;
        let Configurations { text, second, third, vae: vae_config, .. } = configurations;
        let path = format!("{TEXT_ENCODER}/config.json");
        let text_encoder =
            text_encoder(&denoiser_config, &text, device).map_err(PipelineError::model(&path))?;
        check(&text_encoder, files, TEXT_ENCODER, TRANSFORMERS_WEIGHTS)?;
        let mut parts = vec![PartSize::of(folder, &denoiser), PartSize::of(TEXT_ENCODER, &text_encoder)];
        let mut tokens = text.max_position_embeddings;
        match second {
            None => {}
            Some(SecondTextEncoderConfig::Clip(config)) => {
                parts.push(checked(config.init_with_projection(device), text_encoders::FOLDER, files)?);
            }
            Some(SecondTextEncoderConfig::T5(config)) => {
                tokens = T5_OF_FLUX.tokens;
                parts.push(checked(config.init(device), T5_OF_FLUX.folder, files)?);
            }
        }
        if let DenoiserConfig::Sd3(_) = &denoiser_config {
            tokens += T5_OF_SD3.tokens;
        }
        if let Some(config) = third {
            parts.push(checked(config.init(device), T5_OF_SD3.folder, files)?);
        }
        let path = format!("{VAE}/config.json");
        let vae = vae_config.init(device).map_err(PipelineError::model(&path))?;
        check(&vae, files, VAE, DIFFUSERS_WEIGHTS)?;
        scheduling::read(files, &denoiser_config)?;
        parts.push(PartSize::in_f32(VAE, &vae));
        Ok(Self { denoiser_config, denoiser, vae_config, tokens, parts })
    }
}

/// The size of the text encoder in `folder`, if its weights are there.
fn checked<M: Module + Adaptable, F: ModelFiles + ?Sized>(
    module: Result<M, ModelError>,
    folder: &'static str,
    files: &F,
) -> Result<PartSize, PipelineError> {
    let module = module.map_err(PipelineError::model(&format!("{folder}/config.json")))?;
    check(&module, files, folder, TRANSFORMERS_WEIGHTS)?;
    Ok(PartSize::of(folder, &module))
}

/// Whether the weights in `folder` are those of `module`.
fn check<M: Module, F: ModelFiles + ?Sized>(
    module: &M,
    files: &F,
    folder: &str,
    stem: &str,
) -> Result<(), PipelineError> {
    let parts = weights_of(files, folder, stem)?;
    check_weights(module, folder, &parts)
}
