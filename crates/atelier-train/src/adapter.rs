//! Adapters in files.

use crate::{atomic, error::TrainError};
use atelier_core::{
    lora::{Component, LoraAdapter, LoraFile},
    pipeline::Pipeline,
    weights::{self, Precision},
};
use burn::tensor::Device;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The name that diffusers gives to LoRA files.
pub const FILE: &str = "pytorch_lora_weights.safetensors";

/// The LoRA file that `path` is, or that lies in the folder `path`.
pub fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    Some(path.join(FILE)).filter(|file| file.is_file())
}

/// `pipeline` with the adapters of `file` attached, multiplied by `scale`; all other weights are shared.
///
/// # Errors
/// [`TrainError::LoraFile`] names the file and what in it does not fit the model.
pub fn attach(pipeline: &Pipeline, file: &Path, scale: f64, device: &Device) -> Result<Pipeline, TrainError> {
    let failed = |reason: String| TrainError::LoraFile { path: file.to_owned(), reason };
    let bytes = fs::read(file).map_err(|error| failed(error.to_string()))?;
    let (tensors, metadata) = weights::read_tensors(&bytes).map_err(|error| failed(error.to_string()))?;
    let lora = LoraFile::new(tensors, &metadata).map_err(|error| failed(error.to_string()))?;
    let mut pipeline = pipeline.clone();
    for component in lora.components() {
        let attached = match component {
            Component::Unet => lora
                .adapter(component, &pipeline.unet, device)
                .and_then(|adapter| adapter.map(|it| it.attach(&pipeline.unet, scale)).transpose())
                .map(|unet| pipeline.unet = unet.unwrap_or(pipeline.unet.clone())),
            Component::TextEncoder => lora
                .adapter(component, &pipeline.text_encoder, device)
                .and_then(|adapter| adapter.map(|it| it.attach(&pipeline.text_encoder, scale)).transpose())
                .map(|encoder| pipeline.text_encoder = encoder.unwrap_or(pipeline.text_encoder.clone())),
            Component::Transformer | Component::TextEncoder2 => {
                return Err(failed(format!(
                    "is for another model: it has an adapter for the {}, which this model lacks",
                    component.key()
                )));
            }
        };
        attached.map_err(|error| failed(error.to_string()))?;
    }
    Ok(pipeline)
}

/// Writes `adapter` of a UNet as diffusers' `load_lora_weights` reads it.
///
/// # Errors
/// [`TrainError::Weights`] for weights that are not finite, [`TrainError::Atomic`] for a disk that is full.
pub fn save(adapter: &LoraAdapter, file: &Path, precision: Precision) -> Result<(), TrainError> {
    let (tensors, metadata) = futures_lite::future::block_on(adapter.to_tensors(Component::Unet))?;
    let bytes = weights::write_tensors(&tensors, precision, &metadata)?;
    Ok(atomic::write_file(file, |writer| writer.write_all(&bytes))?)
}
