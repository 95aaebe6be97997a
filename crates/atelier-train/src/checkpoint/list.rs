//! The checkpoints in a folder, and whose they are.

use super::{FILES, STATE, State};
use crate::error::TrainError;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// All folders in `folder` whose names are those of checkpoints, with their steps, oldest first.
pub fn numbered(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let step = |path: PathBuf| {
        let step = path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok()?;
        Some((step, path))
    };
    let mut found: Vec<(u64, PathBuf)> = entries.filter_map(|entry| step(entry.path())).collect();
    found.retain(|(_, path)| path.is_dir());
    found.sort();
    found
}

/// Whether there is any file of a checkpoint in the folder: else somebody else made it.
fn has_files(path: &Path) -> bool {
    FILES.iter().any(|file| path.join(file).is_file())
}

/// The newest checkpoint in `folder` of `run`, if there is one; of the only run that wrote any, if `run` is not known.
/// Checkpoints that do not say whose they are, as earlier versions wrote them, count as the run's.
///
/// # Errors
/// [`TrainError::Checkpoint`] for one that is broken, and for checkpoints of several runs.
pub fn latest(folder: &Path, run: Option<&str>) -> Result<Option<PathBuf>, TrainError> {
    let checkpoints = numbered(folder).into_iter().map(|(_, path)| path).filter(|path| has_files(path));
    let mut newest = None;
    let mut runs = BTreeSet::new();
    for path in checkpoints.rev() {
        let found = State::read(&path).map_err(|error| match error {
            TrainError::Checkpoint { path, reason } => TrainError::Checkpoint {
                path,
                reason: format!("{reason}; it is not whole: move it away to go on from an earlier one"),
            },
            error => error,
        })?;
        match (run, found.run) {
            (Some(run), Some(other)) if other != run => {
                tracing::warn!(checkpoint = %path.display(), "is of another run, and is left alone");
                continue;
            }
            (_, found) => runs.extend(found),
        }
        newest.get_or_insert(path);
        if run.is_some() {
            break;
        }
    }
    if runs.len() > 1 {
        let reason = "holds checkpoints of several runs: name the one to go on from by its path, and another --output-dir";
        return Err(TrainError::Checkpoint { path: folder.to_owned(), reason: reason.to_owned() });
    }
    Ok(newest)
}

/// The checkpoint that `name` names: a folder, or one in `folder`.
///
/// # Errors
/// [`TrainError::Checkpoint`] if there is none.
pub fn find(folder: &Path, name: &str) -> Result<PathBuf, TrainError> {
    let candidates = [PathBuf::from(name), folder.join(name)];
    let found = candidates.iter().find(|path| path.join(STATE).is_file());
    found.cloned().ok_or_else(|| {
        let broken = candidates.iter().find(|path| has_files(path));
        TrainError::Checkpoint {
            path: broken.unwrap_or(&candidates[0]).clone(),
            reason: format!("is not a checkpoint: no {STATE} in it"),
        }
    })
}

/// Deletes the oldest checkpoints of `run` in `folder` beyond `limit`, never one that holds more than Atelier writes.
pub(super) fn prune(folder: &Path, run: &str, limit: usize) -> Result<(), TrainError> {
    let is_own = |path: &PathBuf| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let plain = entries.map(|entry| entry.file_name()).all(|name| FILES.iter().any(|file| name == *file));
        plain && State::read(path).is_ok_and(|state| state.run.as_deref() == Some(run))
    };
    let own: Vec<PathBuf> = numbered(folder).into_iter().map(|(_, path)| path).filter(is_own).collect();
    for path in own.iter().rev().skip(limit.max(1)) {
        fs::remove_dir_all(path).map_err(|error| TrainError::Checkpoint {
            path: path.clone(),
            reason: format!("an old checkpoint cannot be deleted: {error}"),
        })?;
    }
    Ok(())
}
