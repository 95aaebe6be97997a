//! Checkpoints: everything that a run needs to go on as if it had not stopped.
//!
//! ```text
//! checkpoint-000500/
//!   model.safetensors       weights by parameter path
//!   optimizer.safetensors   AdamW's moments: first.PATH, second.PATH
//!   ema.safetensors         averages, if the run has them
//!   state.json              step, position in the data, position in the noise
//! ```

use crate::{
    atomic::replace_directory,
    batches,
    error::TrainError,
    optimizer::{NamedTensors, to_device, to_host},
};
use atelier_core::noise::NoisePosition;
use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Which stage of the run wrote it, such as `cpo`: another stage's checkpoint is refused.
    pub stage: String,
    /// The order of examples.
    pub order: batches::Position,
    /// The noise of timesteps, latents and prompts.
    pub noise: NoisePosition,
}

/// What a checkpoint holds, on the device.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the run stands.
    pub progress: Progress,
    /// Weights.
    pub model: NamedTensors,
    /// First and second moments.
    pub moments: (NamedTensors, NamedTensors),
    /// Averages of the weights.
    pub ema: Option<NamedTensors>,
}

impl Checkpoint {
    /// Writes `checkpoint-STEP` into `folder` in one move and deletes the oldest beyond `limit`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] or [`TrainError::Atomic`]; earlier checkpoints stay as they were.
    pub fn save(&self, folder: &Path, limit: usize) -> Result<PathBuf, TrainError> {
        let path = folder.join(format!("checkpoint-{:06}", self.progress.step));
        let failed = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };
        fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let temporary = tempfile::Builder::new()
            .prefix(".checkpoint-")
            .tempdir_in(folder)
            .map_err(|error| failed(error.to_string()))?;
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(temporary.path().join(name), bytes).map_err(|error| failed(format!("{name}: {error}")))
        };
        let (first, second) = &self.moments;
        let prefixed = |prefix: &str, tensors: &NamedTensors| -> Vec<(String, Vec<f32>)> {
            to_host(tensors).into_iter().map(|(name, value)| (format!("{prefix}.{name}"), value)).collect()
        };
        let moments = prefixed("first", first).into_iter().chain(prefixed("second", second)).collect();
        write("model.safetensors", encode(&to_host(&self.model)).map_err(failed)?)?;
        write("optimizer.safetensors", encode(&moments).map_err(failed)?)?;
        if let Some(ema) = &self.ema {
            write("ema.safetensors", encode(&to_host(ema)).map_err(failed)?)?;
        }
        let state = serde_json::to_vec_pretty(&self.progress).map_err(|error| failed(error.to_string()))?;
        write("state.json", state)?;
        replace_directory(&temporary.keep(), &path)?;
        for old in list(folder).into_iter().rev().skip(limit.max(1)) {
            fs::remove_dir_all(&old).map_err(|error| failed(format!("{}: {error}", old.display())))?;
        }
        Ok(path)
    }

    /// Reads the checkpoint at `path` onto `device`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] names the file that is missing or broken, or the stage that wrote it.
    pub fn load(path: &Path, stage: &str, device: &Device) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let read = |name: &str| fs::read(path.join(name)).map_err(|error| failed(format!("{name}: {error}")));
        let state = read("state.json")?;
        let progress: Progress =
            serde_json::from_slice(&state).map_err(|error| failed(format!("state.json: {error}")))?;
        if progress.stage != stage {
            return Err(failed(format!("was written by {}, this run is {stage}", progress.stage)));
        }
        let tensors = |name: &str| {
            let values = decode(&read(name)?).map_err(|error| failed(format!("{name}: {error}")))?;
            Ok::<_, TrainError>(values)
        };
        let mut moments = tensors("optimizer.safetensors")?;
        let mut take = |prefix: &str| -> BTreeMap<String, Vec<f32>> {
            let names: Vec<String> =
                moments.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            names
                .into_iter()
                .filter_map(|name| Some((name[prefix.len()..].to_owned(), moments.remove(&name)?)))
                .collect()
        };
        let (first, second) = (take("first."), take("second."));
        let ema =
            if path.join("ema.safetensors").is_file() { Some(tensors("ema.safetensors")?) } else { None };
        Ok(Self {
            progress,
            model: to_device(&tensors("model.safetensors")?, device),
            moments: (to_device(&first, device), to_device(&second, device)),
            ema: ema.map(|values| to_device(&values, device)),
        })
    }
}

/// The checkpoint that `resume` names: `latest` in `folder`, or a folder of its own.
///
/// # Errors
/// [`TrainError::Checkpoint`] if there is none.
pub fn find(folder: &Path, resume: &str) -> Result<PathBuf, TrainError> {
    if resume == "latest" {
        return list(folder).pop().ok_or_else(|| TrainError::Checkpoint {
            path: folder.to_owned(),
            reason: "no checkpoint-… folder to resume from; start without --resume-from-checkpoint"
                .to_owned(),
        });
    }
    let candidates = [PathBuf::from(resume), folder.join(resume)];
    candidates.into_iter().find(|path| path.join("state.json").is_file()).ok_or_else(|| {
        TrainError::Checkpoint {
            path: PathBuf::from(resume),
            reason: "is not a checkpoint: no state.json in it".to_owned(),
        }
    })
}

/// All checkpoints in `folder`, oldest first.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_checkpoint = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("checkpoint-").is_some_and(|step| step.parse::<u64>().is_ok())
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_checkpoint).collect();
    found.sort();
    found
}

fn encode(tensors: &BTreeMap<String, Vec<f32>>) -> Result<Vec<u8>, String> {
    let bytes: Vec<(&String, Vec<u8>)> = tensors
        .iter()
        .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)
                .map_err(|error| error.to_string())?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, String>>()?;
    safetensors::serialize(views, None).map_err(|error| error.to_string())
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!("{name} is {:?}, not F32", view.dtype()));
            }
            let words = view.data().chunks_exact(4);
            Ok((name, words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
        })
        .collect()
}
