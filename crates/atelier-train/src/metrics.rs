//! What a run logs: `metrics.jsonl` for scripts, TensorBoard events for eyes.

mod tensorboard;

use crate::atomic::{self, AtomicError};
use atelier_core::picture::encode_png;
use image::RgbImage;
use serde_json::{Map, Value};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tensorboard::EventFile;
use thiserror::Error;

/// The file with one JSON object per step.
pub const METRICS: &str = "metrics.jsonl";

/// A metric could not be logged.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// A log file could not be read or written.
    #[error("cannot log to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log of an earlier run could not be cut back to the step that is resumed.
    #[error(transparent)]
    Cut(#[from] AtomicError),
    /// A picture could not be encoded.
    #[error("cannot log the picture {tag}: {source}")]
    Picture {
        /// Its name in TensorBoard.
        tag: String,
        /// What the encoder said.
        source: png::EncodingError,
    },
}

/// Appends to the logs of one run.
#[derive(Debug)]
pub struct MetricsLogger {
    path: PathBuf,
    lines: File,
    events: EventFile,
}

impl MetricsLogger {
    /// Opens the logs in `output`. Lines of steps after `done_step` are dropped: an interrupted run may have logged
    /// more than its last checkpoint knows, and a run that starts at 0 begins a new log.
    ///
    /// # Errors
    /// [`MetricsError`] names the file.
    pub fn open(output: &Path, done_step: u64) -> Result<Self, MetricsError> {
        let path = output.join(METRICS);
        let failed = |source| MetricsError::Write { path: path.clone(), source };
        fs::create_dir_all(output).map_err(failed)?;
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(failed)?;
            let kept: Vec<&str> =
                text.lines().filter(|line| step_of(line).is_some_and(|s| s <= done_step)).collect();
            atomic::write_file(&path, |writer| kept.iter().try_for_each(|line| writeln!(writer, "{line}")))?;
        }
        let lines = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let events = EventFile::create(&output.join("logs"), done_step)?;
        Ok(Self { path, lines, events })
    }

    /// Logs the values of one step.
    ///
    /// # Errors
    /// [`MetricsError`] names the file.
    pub fn log(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), MetricsError> {
        let mut record = Map::new();
        record.insert("step".to_owned(), step.into());
        record.extend(values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        let line = format!("{}\n", Value::Object(record));
        let failed = |source| MetricsError::Write { path: self.path.clone(), source };
        let whole = self.lines.metadata().map_err(failed)?.len();
        if let Err(error) = self.lines.write_all(line.as_bytes()) {
            // On a full disk, half of the line may have been written.
            let _ = self.lines.set_len(whole);
            return Err(failed(error));
        }
        self.events.scalars(step, values)
    }

    /// Logs a picture, for TensorBoard alone.
    ///
    /// # Errors
    /// [`MetricsError`] names the file.
    pub fn log_image(&mut self, step: u64, tag: &str, picture: &RgbImage) -> Result<(), MetricsError> {
        let png = encode_png(picture, &[])
            .map_err(|source| MetricsError::Picture { tag: tag.to_owned(), source })?;
        self.events.image(step, tag, picture.dimensions(), &png)
    }
}

fn step_of(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64()
}

/// The logged records of the run in `output`, in order; a cut-off last line is left out.
///
/// # Errors
/// [`MetricsError`] if there is no log.
pub fn read(output: &Path) -> Result<Vec<Map<String, Value>>, MetricsError> {
    let path = output.join(METRICS);
    let text = fs::read_to_string(&path).map_err(|source| MetricsError::Write { path, source })?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_goes_on_where_the_checkpoint_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logger = MetricsLogger::open(folder.path(), 0).expect("opened");
        for step in 1..=5 {
            logger.log(step, &[("loss", 1.0 / step as f64)]).expect("logged");
        }
        drop(logger);
        let path = folder.path().join(METRICS);
        let mut text = fs::read_to_string(&path).expect("readable");
        text.push_str("{\"step\":6,\"lo");
        fs::write(&path, text).expect("written");
        let mut logger = MetricsLogger::open(folder.path(), 3).expect("opened");
        logger.log(4, &[("loss", 9.0)]).expect("logged");
        let records = read(folder.path()).expect("readable");
        let steps: Vec<u64> = records.iter().filter_map(|record| record["step"].as_u64()).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        assert_eq!(records[3]["loss"], 9.0);
    }
}
