//! Adapters in files.

use crate::{atomic, base_precision::BasePrecision, error::TrainError};
use atelier_core::{
    lora::{Component, LoraAdapter, LoraError, LoraFile},
    models::{denoiser::Denoiser, layers::Adaptable},
    pipeline::Pipeline,
    weights::{self, Precision, WeightsFile},
};
use burn::tensor::Device;
use std::path::{Path, PathBuf};

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
    let weights = WeightsFile::open(file).map_err(|error| failed(error.to_string()))?;
    let (tensors, metadata) = weights::read_tensors(&weights).map_err(|error| failed(error.to_string()))?;
    let lora = LoraFile::new(tensors, &metadata).map_err(|error| failed(error.to_string()))?;
    let mut pipeline = pipeline.clone();
    for component in lora.components() {
        let attached = if component == pipeline.denoiser_component() {
            attach_to(&mut pipeline.denoiser, &lora, component, scale, device)
        } else {
            match (component, &mut pipeline.second_text_encoder) {
                (Component::TextEncoder, _) => {
                    attach_to(&mut pipeline.text_encoder, &lora, component, scale, device)
                }
                (Component::TextEncoder2, Some(second)) => attach_to(second, &lora, component, scale, device),
                _ => {
                    let part = component.key();
                    let reason = format!(
                        "is for another model: it has an adapter for the {part}, which this model lacks"
                    );
                    return Err(failed(reason));
                }
            }
        };
        attached.map_err(|error| failed(error.to_string()))?;
    }
    Ok(pipeline)
}

/// The denoiser that belongs to `pipeline` but is at `path`, which `flag` names: that of `pipeline` with a LoRA on it, whose
/// other weights are shared, or that of a model folder, whose weights are kept in `precision`.
///
/// # Errors
/// As [`attach`] and [`Pipeline::load`]; [`TrainError::Option`] for a folder whose text encoder is not `pipeline`'s.
pub fn denoiser_at(
    path: &Path,
    flag: &str,
    pipeline: &Pipeline,
    precision: BasePrecision,
    device: &Device,
) -> Result<Denoiser, TrainError> {
    if let Some(file) = find(path) {
        return Ok(attach(pipeline, &file, 1.0, device)?.denoiser);
    }
    let other = Pipeline::load_stored_as(precision.dtype_on(device)?, path, device)?;
    if other.tokenizer.bytes() != pipeline.tokenizer.bytes()
        || other.text_config != pipeline.text_config
        || other.denoiser_config.class() != pipeline.denoiser_config.class()
    {
        return Err(TrainError::Option(format!(
            "{flag} has another text encoder or denoiser than --model; it must have been trained from the same model"
        )));
    }
    Ok(other.denoiser)
}

fn attach_to<M: Adaptable + Clone>(
    model: &mut M,
    lora: &LoraFile,
    component: Component,
    scale: f64,
    device: &Device,
) -> Result<(), LoraError> {
    if let Some(adapter) = lora.adapter(component, model, device)? {
        *model = adapter.attach(model, scale)?;
    }
    Ok(())
}

/// Writes `adapter` of `pipeline`'s denoiser as diffusers' `load_lora_weights` reads it.
///
/// # Errors
/// [`TrainError::Weights`] for weights that are not finite, [`TrainError::Atomic`] for a disk that is full.
pub fn save(
    adapter: &LoraAdapter,
    pipeline: &Pipeline,
    file: &Path,
    precision: Precision,
) -> Result<(), TrainError> {
    let component = pipeline.denoiser_component();
    let (tensors, metadata) = futures_lite::future::block_on(adapter.to_tensors(component))?;
    let bytes = weights::write_tensors(&tensors, precision, &metadata)?;
    Ok(atomic::write_file(file, |writer| writer.write_all(&bytes))?)
}
