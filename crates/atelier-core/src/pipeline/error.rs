use crate::{
    models::{ConfigError, ModelError},
    schedulers::SchedulerError,
    text::TextError,
    weights::WeightsError,
};
use thiserror::Error;

/// A model folder could not be read or written.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// A file is missing or cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file, relative to the model folder unless the folder itself is known.
        path: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// A configuration cannot be used.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// A part of the model cannot be built.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: ModelError,
    },
    /// Weights cannot be used.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: WeightsError,
    },
    /// Parts that do not belong together.
    #[error("{path}: {problem}")]
    Parts {
        /// The configuration of one of them.
        path: String,
        /// Both parts, what each says, and what to do.
        problem: String,
    },
    /// A file speaks of one that is not in its folder.
    #[error(
        "{folder}: a file there speaks of `{name}`, which leads out of the folder; such files are not read"
    )]
    Outside {
        /// The folder, relative to the model folder.
        folder: String,
        /// What is spoken of.
        name: String,
    },
    /// The scheduler's configuration cannot be used.
    #[error("scheduler/scheduler_config.json: {0}")]
    Scheduler(#[from] SchedulerError),
    /// The tokenizer cannot be used, or a prompt.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl PipelineError {
    pub(super) fn config(path: &str) -> impl FnOnce(ConfigError) -> Self {
        let path = path.to_owned();
        move |source| Self::Config { path, source }
    }

    pub(super) fn model(path: &str) -> impl FnOnce(ModelError) -> Self {
        let path = path.to_owned();
        move |source| Self::Model { path, source }
    }

    /// With the name of the very file, where the weights know it.
    pub(super) fn weights(path: &str, error: WeightsError) -> Self {
        match error {
            WeightsError::InFile { path, source } => Self::Weights { path, source: *source },
            source => Self::Weights { path: path.to_owned(), source },
        }
    }
}
