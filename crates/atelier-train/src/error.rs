//! What can go wrong in a training run.

use crate::{
    atomic::AtomicError, device::DeviceError, imagefolder::ImageFolderError, metrics::MetricsError,
    picture::PictureError, tokenizer::TokenizerError,
};
use atelier_core::{
    lora::LoraError, models::ModelError, pipeline::PipelineError, sampling::SamplingError,
    schedulers::SchedulerError, text::TextError, weights::WeightsError,
};
use atelier_criteria::CriteriaError;
use atelier_studio::StudioError;
use std::path::PathBuf;
use thiserror::Error;

/// A training run ended early.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A configuration file could not be used.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and key.
        reason: String,
    },
    /// An option has an impossible value.
    #[error("{0}")]
    Option(String),
    /// A checkpoint could not be read or written.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint's folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The loss stopped being a number.
    #[error(
        "the loss is not a finite number at step {step}; earlier checkpoints are untouched: resume from one with a \
         lower --learning-rate or --max-grad-norm"
    )]
    Diverged {
        /// The step.
        step: u64,
    },
    /// The device failed.
    #[error(
        "the device failed: {0}; the last checkpoint is intact: go on with --resume-from-checkpoint latest"
    )]
    DeviceLost(String),
    /// The run was asked to stop.
    #[error("interrupted after step {step}; go on with --resume-from-checkpoint latest")]
    Interrupted {
        /// Steps done; a checkpoint of them was written.
        step: u64,
    },
    /// The data cannot train this objective.
    #[error("{0}")]
    Data(String),
    #[error(transparent)]
    /// See [`ImageFolderError`].
    ImageFolder(#[from] ImageFolderError),
    #[error(transparent)]
    /// See [`CriteriaError`].
    Criteria(#[from] CriteriaError),
    #[error(transparent)]
    /// See [`PipelineError`].
    Pipeline(#[from] PipelineError),
    /// A file could not be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A LoRA file could not be read.
    #[error("{}: {reason}", path.display())]
    LoraFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    #[error(transparent)]
    /// See [`LoraError`].
    Lora(#[from] LoraError),
    #[error(transparent)]
    /// See [`WeightsError`].
    Weights(#[from] WeightsError),
    #[error(transparent)]
    /// See [`ModelError`].
    Model(#[from] ModelError),
    #[error(transparent)]
    /// See [`SchedulerError`].
    Scheduler(#[from] SchedulerError),
    #[error(transparent)]
    /// See [`SamplingError`].
    Sampling(#[from] SamplingError),
    #[error(transparent)]
    /// See [`TextError`].
    Text(#[from] TextError),
    #[error(transparent)]
    /// See [`DeviceError`].
    Device(#[from] DeviceError),
    #[error(transparent)]
    /// See [`MetricsError`].
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    /// See [`PictureError`].
    Picture(#[from] PictureError),
    #[error(transparent)]
    /// See [`AtomicError`].
    Atomic(#[from] AtomicError),
    #[error(transparent)]
    /// See [`TokenizerError`].
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    /// See [`StudioError`].
    Studio(#[from] StudioError),
}
