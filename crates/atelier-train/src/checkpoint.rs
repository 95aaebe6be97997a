//! Checkpoints: everything that a run needs to go on as if it had not stopped.
//!
//! ```text
//! checkpoint-000500/
//!   model.safetensors       weights by parameter path
//!   optimizer.safetensors   AdamW's moments: first.PATH, second.PATH
//!   ema.safetensors         averages, if the run has them
//!   state.json              step, positions in data and noise, the run, what is trained, sizes and hashes of the files
//! ```

mod list;
mod state;
mod subject;
mod tensors;

pub use list::{find, latest, numbered};
pub use state::{Progress, State};
pub use subject::{Subject, base_fingerprint};

use crate::{
    atomic,
    error::TrainError,
    optimizer::{NamedTensors, to_device, to_host},
    output::{Entry, temporary_folder},
};
use burn::tensor::Device;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tensors::{check, decode, encode};

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const EMA: &str = "ema.safetensors";
const STATE: &str = "state.json";

/// All that Atelier writes into a checkpoint's folder.
const FILES: [&str; 4] = [MODEL, OPTIMIZER, EMA, STATE];

/// What a checkpoint holds, on the device.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the run stands.
    pub progress: Progress,
    /// The run that wrote it; none in those of earlier versions.
    pub run: Option<String>,
    /// What is trained; none in those of earlier versions.
    pub subject: Option<Subject>,
    /// Weights.
    pub model: NamedTensors,
    /// First and second moments.
    pub moments: (NamedTensors, NamedTensors),
    /// Averages of the weights.
    pub ema: Option<NamedTensors>,
}

/// What a checkpoint must be of, for a run to go on from it.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The stage of the run.
    pub stage: &'a str,
    /// Its `--max-train-steps`.
    pub steps: u64,
    /// What it trains.
    pub subject: &'a Subject,
    /// The number of elements of each of its parameters.
    pub sizes: &'a BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Writes `checkpoint-STEP` into `folder` in one move and deletes the oldest of this run beyond `limit`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] names the file; earlier checkpoints stay as they were, and so does whatever else has the
    /// name.
    pub fn save(&self, folder: &Path, limit: usize) -> Result<PathBuf, TrainError> {
        let path = folder.join(format!("checkpoint-{:06}", self.progress.step));
        let failed = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };
        fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let temporary = temporary_folder(folder).map_err(|error| failed(error.to_string()))?;
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(temporary.path().join(name), &bytes).map_err(|error| {
                failed(format!("cannot write {name}: {error}; earlier checkpoints are untouched"))
            })?;
            Ok::<_, TrainError>((name.to_owned(), Entry::of(&bytes)))
        };
        let (first, second) = &self.moments;
        let prefixed = |prefix: &str, tensors: &NamedTensors| -> Vec<(String, Vec<f32>)> {
            to_host(tensors).into_iter().map(|(name, value)| (format!("{prefix}.{name}"), value)).collect()
        };
        let moments = prefixed("first", first).into_iter().chain(prefixed("second", second)).collect();
        let mut files = BTreeMap::from([
            write(MODEL, encode(&to_host(&self.model)).map_err(failed)?)?,
            write(OPTIMIZER, encode(&moments).map_err(failed)?)?,
        ]);
        if let Some(ema) = &self.ema {
            files.extend([write(EMA, encode(&to_host(ema)).map_err(failed)?)?]);
        }
        let state = State {
            progress: self.progress.clone(),
            run: self.run.clone(),
            subject: self.subject.clone(),
            files,
        };
        let state = serde_json::to_vec_pretty(&state).map_err(|error| failed(error.to_string()))?;
        write(STATE, state)?;
        if path.symlink_metadata().is_ok() {
            return Err(failed("something else has this name; move it away".to_owned()));
        }
        let moved = atomic::sync_tree(temporary.path())
            .and_then(|()| fs::rename(temporary.path(), &path))
            .and_then(|()| atomic::sync_directory(folder));
        moved.map_err(|error| failed(format!("{error}; earlier checkpoints are untouched")))?;
        if let Some(run) = &self.run {
            list::prune(folder, run, limit)?;
        }
        Ok(path)
    }

    /// Reads the checkpoint at `path` onto `device`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] names the file that is missing or broken, or what in it is not of the run that would go on.
    pub fn load(path: &Path, expected: Expected<'_>, device: &Device) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let Expected { stage, steps, subject, sizes } = expected;
        let state = State::read(path)?;
        state.check(stage, steps, subject).map_err(failed)?;
        let tensors = |name: &str| {
            let bytes = fs::read(path.join(name)).map_err(|error| failed(format!("{name}: {error}")))?;
            state.check_file(name, &bytes).map_err(failed)?;
            decode(&bytes).map_err(|error| failed(format!("{name}: {error}")))
        };
        let model = tensors(MODEL)?;
        check(&model, sizes, true).map_err(|problem| failed(format!("{MODEL} {problem}")))?;
        let mut moments = tensors(OPTIMIZER)?;
        let mut take = |prefix: &str| -> BTreeMap<String, Vec<f32>> {
            let names: Vec<String> =
                moments.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            names
                .into_iter()
                .filter_map(|name| Some((name[prefix.len()..].to_owned(), moments.remove(&name)?)))
                .collect()
        };
        let (first, second) = (take("first."), take("second."));
        let problem = if let Some(name) = moments.keys().next() {
            Some(format!("has {name}, which is no moment of AdamW"))
        } else if state.progress.step > 0 && first.is_empty() {
            Some("has no moments of AdamW, so the run cannot go on from where it was".to_owned())
        } else {
            // Parameters that are not trained have none, but a moment never comes alone.
            let sizes_of_first = first.iter().map(|(name, values)| (name.clone(), values.len())).collect();
            check(&first, sizes, false).and_then(|()| check(&second, &sizes_of_first, true)).err()
        };
        if let Some(problem) = problem {
            return Err(failed(format!("{OPTIMIZER} {problem}")));
        }
        let ema = if path.join(EMA).is_file() || state.files.contains_key(EMA) {
            let ema = tensors(EMA)?;
            check(&ema, sizes, true).map_err(|problem| failed(format!("{EMA} {problem}")))?;
            Some(to_device(&ema, device))
        } else {
            None
        };
        Ok(Self {
            model: to_device(&model, device),
            moments: (to_device(&first, device), to_device(&second, device)),
            ema,
            progress: state.progress,
            run: state.run,
            subject: state.subject,
        })
    }
}

#[cfg(test)]
mod tests;
