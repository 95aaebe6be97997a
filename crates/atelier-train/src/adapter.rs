//! Adapters in files.

use crate::{atomic, base_precision::BasePrecision, error::TrainError, model_folder};
use atelier_core::{
    lora::{Component, LoraAdapter, LoraError, LoraFile},
    models::{denoiser::Denoiser, layers::Adaptable},
    pipeline::{Pipeline, SecondTextEncoder},
    weights::{self, Precision, WeightsError, WeightsFile},
};
use burn::tensor::Device;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The name that diffusers gives to LoRA files.
pub const FILE: &str = "pytorch_lora_weights.safetensors";
/// The name that peft gives to them, and to the configuration beside them.
const PEFT_FILE: &str = "adapter_model.safetensors";
const PEFT_CONFIG: &str = "adapter_config.json";

/// The file that tells a run's checkpoint from other folders.
const CHECKPOINT_STATE: &str = "state.json";

/// The LoRA file that `path` is, or that lies in the folder `path`: that of a run, of diffusers or of peft.
pub fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    [FILE, PEFT_FILE].map(|name| path.join(name)).into_iter().find(|file| file.is_file())
}

/// As [`find`], where nothing but a LoRA can be meant: in a folder, any safetensors file is taken if it is the only one.
///
/// # Errors
/// [`TrainError::LoraFile`] says what is there instead.
pub fn find_or_explain(path: &Path) -> Result<PathBuf, TrainError> {
    let failed = |reason: String| TrainError::LoraFile { path: path.to_owned(), reason };
    if is_in_checkpoint(path) || path.join(CHECKPOINT_STATE).is_file() {
        let reason = format!(
            "this is a checkpoint of a training run; the LoRA is written when the run ends, as {FILE} in the run's folder"
        );
        return Err(failed(reason));
    }
    if let Some(file) = find(path) {
        return Ok(file);
    }
    if !path.is_dir() {
        return Err(failed("there is no such file or folder".to_owned()));
    }
    let entries = fs::read_dir(path).map_err(|error| failed(error.to_string()))?;
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    let names = |chosen: &dyn Fn(&Path) -> bool| -> Vec<String> {
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        entries.iter().filter(|path| chosen(path)).filter_map(name).collect()
    };
    let has_extension = |path: &Path, wanted: &[&str]| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        path.is_file() && extension.is_some_and(|extension| wanted.contains(&extension.as_str()))
    };
    if path.join("model_index.json").is_file() {
        return Err(failed("this is a model, not a LoRA: --model takes it".to_owned()));
    }
    let checkpoints = names(&|path| path.join(CHECKPOINT_STATE).is_file());
    if let Some(checkpoint) = checkpoints.last() {
        let reason = format!(
            "this training run has no {FILE} yet, which is written when it ends; go on from its {checkpoint} with \
             `atelier train … --resume`"
        );
        return Err(failed(reason));
    }
    let files = names(&|path| has_extension(path, &["safetensors"]));
    if let [file] = &files[..] {
        return Ok(path.join(file));
    }
    let folders = names(&|path| path.is_dir() && find(path).is_some());
    let pickles = names(&|path| has_extension(path, &["bin", "pt", "pth", "ckpt"]));
    let found = if !files.is_empty() {
        format!("; it has several safetensors files, name one of them: {}", files.join(", "))
    } else if !folders.is_empty() {
        format!("; there are LoRAs in the folders {} in it, name one of them", folders.join(", "))
    } else if !pickles.is_empty() {
        format!(", only {}, which may run code when it is opened; get it in safetensors", pickles.join(", "))
    } else {
        ", nor any other safetensors file".to_owned()
    };
    Err(failed(format!("there is no LoRA in this folder, neither {FILE} nor {PEFT_FILE}{found}")))
}

/// Whether `file` is one of the weights of a run's checkpoint.
fn is_in_checkpoint(file: &Path) -> bool {
    let names = ["model.safetensors", "ema.safetensors", "optimizer.safetensors"];
    file.is_file()
        && names.iter().any(|name| file.ends_with(name))
        && file.with_file_name(CHECKPOINT_STATE).is_file()
}

/// `pipeline` with the adapters of `file` attached, multiplied by `scale`; all other weights are shared. The configuration of
/// peft counts that lies beside the file.
///
/// # Errors
/// [`TrainError::LoraFile`] names the file and what in it does not fit the model.
pub fn attach(pipeline: &Pipeline, file: &Path, scale: f64, device: &Device) -> Result<Pipeline, TrainError> {
    let failed = |reason: String| TrainError::LoraFile { path: file.to_owned(), reason };
    let lora = read(file).map_err(failed)?;
    let mut pipeline = pipeline.clone();
    let denoiser = pipeline.denoiser_component();
    for component in lora.components() {
        let attached = match (component, &mut pipeline.second_text_encoder, &mut pipeline.third_text_encoder)
        {
            (Component::Unet | Component::Transformer, ..) => {
                attach_to(&mut pipeline.denoiser, &lora, component, scale, device)
            }
            (Component::TextEncoder, ..) => {
                attach_to(&mut pipeline.text_encoder, &lora, component, scale, device)
            }
            (Component::TextEncoder2, Some(second), _)
            | (Component::TextEncoder3, Some(second @ SecondTextEncoder::T5(_)), _) => {
                attach_to(second, &lora, component, scale, device)
            }
            (Component::TextEncoder3, _, Some(third)) => {
                attach_to(&mut third.model, &lora, component, scale, device)
            }
            (Component::TextEncoder2 | Component::TextEncoder3, ..) => {
                let reason = format!(
                    "is for another model: it has an adapter for a {component}, which this model lacks"
                );
                return Err(failed(reason));
            }
        };
        attached.map_err(|error| {
            let part = match component {
                Component::Unet | Component::Transformer => denoiser,
                other => other,
            };
            failed(format!("for the {part}: {error}"))
        })?;
    }
    Ok(pipeline)
}

fn read(file: &Path) -> Result<LoraFile, String> {
    let weights = WeightsFile::open(file).map_err(without_path)?;
    let lora = LoraFile::read(&weights).map_err(|error| match error {
        LoraError::Weights(error) => without_path(error),
        error => error.to_string(),
    })?;
    let config = file.with_file_name(PEFT_CONFIG);
    match fs::read(&config) {
        Ok(json) => lora.with_adapter_config(&json).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(lora),
        Err(error) => Err(format!("{} beside it cannot be read: {error}", config.display())),
    }
}

/// What is wrong with a file that is named already.
fn without_path(error: WeightsError) -> String {
    match error {
        WeightsError::InFile { source, .. } => source.to_string(),
        WeightsError::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    }
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
    let folder = model_folder::find(path)?;
    let other = Pipeline::load_stored_as(precision.dtype_on(device)?, folder.as_path(), device)?;
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
