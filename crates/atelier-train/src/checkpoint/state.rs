//! `state.json` of a checkpoint.

use super::{FILES, STATE, Subject};
use crate::{batches, error::TrainError, output::Entry};
use atelier_core::noise::NoisePosition;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path};

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

/// All of the file. Earlier versions wrote the progress alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where the run stands.
    #[serde(flatten)]
    pub progress: Progress,
    /// The run that wrote it.
    #[serde(default)]
    pub run: Option<String>,
    /// What is trained.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The other files of the checkpoint.
    #[serde(default)]
    pub files: BTreeMap<String, Entry>,
}

impl State {
    /// Of the checkpoint at `path`.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] if it is missing or broken.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let failed = |reason| TrainError::Checkpoint { path: path.to_owned(), reason };
        let state = fs::read(path.join(STATE)).map_err(|error| failed(format!("{STATE}: {error}")))?;
        serde_json::from_slice(&state).map_err(|error| failed(format!("{STATE}: {error}")))
    }

    /// What keeps a run with this stage, number of steps and subject from going on here.
    pub(crate) fn check(&self, stage: &str, steps: u64, subject: &Subject) -> Result<(), String> {
        let Progress { step, stage: found, .. } = &self.progress;
        if found != stage {
            return Err(format!("was written by {found}, this run is {stage}"));
        }
        if let Some(own) = &self.subject {
            let differences = own.differences(subject);
            if !differences.is_empty() {
                return Err(format!(
                    "is of another run: {}; give the same options, or start anew in another --output-dir",
                    differences.join("; ")
                ));
            }
        }
        if *step > steps {
            return Err(format!(
                "is of step {step}, but the run would end at step {steps}: ask for more steps"
            ));
        }
        Ok(())
    }

    /// Whether all files of the checkpoint at `path` are as they were written.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] names one that is not.
    pub(crate) fn check_files(&self, path: &Path) -> Result<(), TrainError> {
        let failed = |reason| TrainError::Checkpoint { path: path.to_owned(), reason };
        for (name, written) in &self.files {
            if !FILES.contains(&name.as_str()) {
                return Err(failed(format!("{STATE} names {name}, which is no file of a checkpoint")));
            }
            let found = Entry::read(&path.join(name)).map_err(|error| failed(format!("{name}: {error}")))?;
            compare(name, &found, written).map_err(failed)?;
        }
        Ok(())
    }

    /// Whether the file `name` is as it was written.
    pub(super) fn check_file(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let Some(written) = self.files.get(name) else {
            return if self.files.is_empty() {
                Ok(())
            } else {
                Err(format!("{name} is of another checkpoint"))
            };
        };
        compare(name, &Entry::of(bytes), written)
    }
}

fn compare(name: &str, found: &Entry, written: &Entry) -> Result<(), String> {
    let (size, expected) = (found.size(), written.size());
    if size != expected {
        return Err(format!(
            "{name} is cut off or was changed: it has {size} bytes, {expected} were written"
        ));
    }
    if found != written {
        return Err(format!("{name} is broken: its content is not what was written"));
    }
    Ok(())
}
