//! The files of a model folder.

use super::PipelineError;
use crate::{
    json,
    weights::{WeightsError, WeightsFile},
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where the files of a model come from: a folder, or what a browser has downloaded.
pub trait ModelFiles {
    /// The bytes of the file at `path`, relative to the model folder with `/` between its parts.
    ///
    /// # Errors
    /// [`PipelineError::File`] names it.
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError>;

    /// Whether there is a file at `path`.
    fn contains(&self, path: &str) -> bool;

    /// The bytes of the JSON file at `path`, without the byte order mark that some editors put before them.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn json(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        let bytes = self.read(path)?;
        Ok(match json::without_byte_order_mark(&bytes) {
            rest if rest.len() < bytes.len() => rest.to_vec(),
            _ => bytes,
        })
    }

    /// The safetensors file at `path`.
    ///
    /// # Errors
    /// [`PipelineError`] names it.
    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        let invalid =
            |error: WeightsError| PipelineError::Weights { path: path.to_owned(), source: inner(error) };
        WeightsFile::from_bytes(path, self.read(path)?).map_err(invalid)
    }
}

impl<F: ModelFiles + ?Sized> ModelFiles for &F {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        (**self).read(path)
    }

    fn contains(&self, path: &str) -> bool {
        (**self).contains(path)
    }

    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        (**self).weights(path)
    }
}

/// Files in memory, by relative path.
impl ModelFiles for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        self.get(path)
            .cloned()
            .ok_or_else(|| PipelineError::File { path: path.to_owned(), reason: "is missing".to_owned() })
    }

    fn contains(&self, path: &str) -> bool {
        self.contains_key(path)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ModelFiles for std::path::Path {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        let full = self.join(path);
        std::fs::read(&full).map_err(|error| PipelineError::File {
            path: full.display().to_string(),
            reason: format!(
                "{error}; a diffusers model folder is expected (model_index.json, unet/, vae/, …)"
            ),
        })
    }

    fn contains(&self, path: &str) -> bool {
        self.join(path).is_file()
    }

    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        WeightsFile::open(&self.join(path))
            .map_err(|error| PipelineError::Weights { path: path.to_owned(), source: inner(error) })
    }
}

/// The error without the file's name, which the caller adds.
fn inner(error: WeightsError) -> WeightsError {
    match error {
        WeightsError::InFile { source, .. } => *source,
        other => other,
    }
}

/// `*.safetensors.index.json`: which file holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The weights of a part of the model: `FOLDER/STEM.safetensors`, in half precision if there is no other, and in one
/// file or several.
///
/// # Errors
/// [`PipelineError`] names the file that is missing or cannot be used.
pub(super) fn weights_of<F: ModelFiles + ?Sized>(
    files: &F,
    folder: &str,
    stem: &str,
) -> Result<Vec<WeightsFile>, PipelineError> {
    let whole = format!("{folder}/{stem}.safetensors");
    let whole_f16 = format!("{folder}/{stem}.fp16.safetensors");
    let index = format!("{folder}/{stem}.safetensors.index.json");
    let index_f16 = format!("{folder}/{stem}.safetensors.index.fp16.json");
    for (whole, index) in [(&whole, &index), (&whole_f16, &index_f16)] {
        if files.contains(whole) {
            return Ok(vec![files.weights(whole)?]);
        }
        if files.contains(index) {
            let shards: ShardIndex = serde_json::from_slice(&files.json(index)?)
                .map_err(|error| PipelineError::File { path: index.clone(), reason: error.to_string() })?;
            let names: BTreeSet<&String> = shards.weight_map.values().collect();
            return names.into_iter().map(|name| files.weights(&format!("{folder}/{name}"))).collect();
        }
    }
    let pickles = ["diffusion_pytorch_model.bin", "pytorch_model.bin"];
    if let Some(pickle) =
        pickles.map(|name| format!("{folder}/{name}")).into_iter().find(|path| files.contains(path))
    {
        return Err(PipelineError::Weights { path: pickle, source: WeightsError::Pickle });
    }
    let reason =
        "is missing; a diffusers model folder is expected (model_index.json, unet/, vae/, …)".to_owned();
    Err(PipelineError::File { path: whole, reason })
}
