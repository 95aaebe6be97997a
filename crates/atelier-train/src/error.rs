//! What can go wrong in a training run.

use crate::{
    atomic::AtomicError, device::DeviceError, imagefolder::ImageFolderError, metrics::MetricsError,
    output::OutputError, picture::PictureError, tokenizer::TokenizerError,
};
use atelier_core::{
    explanation::ExplanationError, finite::NotFinite, lora::LoraError, models::ModelError,
    painting::PaintingError, picture::ReadBackError, pipeline::PipelineError, sampling::SamplingError,
    schedulers::SchedulerError, text::TextError, weights::WeightsError,
};
use atelier_criteria::CriteriaError;
use atelier_studio::StudioError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A training run, or other work with models, ended without its result.
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
        "the loss, or another number of training, is not finite (NaN or infinity) at step {step}, so the result would be \
         worthless and is not saved; take a lower --learning-rate or --max-grad-norm"
    )]
    Diverged {
        /// The step.
        step: u64,
    },
    /// The device failed.
    #[error("the device failed: {0}; try again with less at once, or with another --device")]
    DeviceLost(String),
    /// A training run failed that had written a checkpoint.
    #[error("{source}; {} is untouched: --resume-from-checkpoint latest goes on from it", checkpoint.display())]
    AfterCheckpoint {
        /// Why it failed.
        source: Box<TrainError>,
        /// The latest checkpoint's folder.
        checkpoint: PathBuf,
    },
    /// A part of the model gave NaN or an infinity.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The model's answers to an attribute's prompts are NaN or infinite.
    #[error(transparent)]
    Explanation(ExplanationError),
    /// The caller asked a training run to stop.
    #[error(
        "interrupted after step {step}; its checkpoint is kept: go on with --resume-from-checkpoint latest"
    )]
    Interrupted {
        /// Steps done; a checkpoint of them was written.
        step: u64,
    },
    /// The caller asked other work to stop.
    #[error("interrupted; {kept}")]
    Cancelled {
        /// What there is of the result, for people: "nothing was written".
        kept: String,
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
    Sampling(SamplingError),
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
    /// See [`OutputError`].
    Output(#[from] OutputError),
    #[error(transparent)]
    /// See [`TokenizerError`].
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    /// See [`StudioError`].
    Studio(StudioError),
}

impl TrainError {
    /// The caller asked to stop, and nothing of the result is there.
    pub fn cancelled() -> Self {
        Self::Cancelled { kept: "nothing was written".to_owned() }
    }

    /// Whether the work ended because the caller asked for it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Interrupted { .. } | Self::Cancelled { .. })
    }

    /// The same error; where it is [`Self::Cancelled`], with what the caller knows to be there.
    #[must_use]
    pub fn keeping(self, kept: impl FnOnce() -> String) -> Self {
        match self {
            Self::Cancelled { .. } => Self::Cancelled { kept: kept() },
            other => other,
        }
    }

    /// The same error of a training run, with the `latest` checkpoint where that helps.
    pub(crate) fn after_checkpoint(self, latest: Option<&Path>) -> Self {
        match (self, latest) {
            (error @ (Self::Diverged { .. } | Self::DeviceLost(_)), Some(latest)) => {
                Self::AfterCheckpoint { source: Box::new(error), checkpoint: latest.to_owned() }
            }
            (error, _) => error,
        }
    }
}

impl From<SamplingError> for TrainError {
    fn from(error: SamplingError) -> Self {
        match error {
            SamplingError::Cancelled { .. } => Self::cancelled(),
            SamplingError::NotFinite(error) => error.into(),
            SamplingError::Device(reason) => Self::DeviceLost(reason),
            SamplingError::Scheduler(error) => error.into(),
            SamplingError::Shape(_) => Self::Sampling(error),
        }
    }
}

impl From<PaintingError> for TrainError {
    fn from(error: PaintingError) -> Self {
        match error {
            PaintingError::Pipeline(error) => error.into(),
            PaintingError::Scheduler(SchedulerError::Steps { steps, problem }) => {
                Self::Option(format!("--steps {steps} is not possible: {problem}"))
            }
            PaintingError::Scheduler(error) => error.into(),
            PaintingError::Sampling(error) => error.into(),
        }
    }
}

impl From<ReadBackError> for TrainError {
    fn from(error: ReadBackError) -> Self {
        match error {
            ReadBackError::Device(reason) => Self::DeviceLost(reason),
            ReadBackError::NotFinite(error) => error.into(),
        }
    }
}

impl From<ExplanationError> for TrainError {
    fn from(error: ExplanationError) -> Self {
        match error {
            ExplanationError::Options(problem) => Self::Option(problem),
            ExplanationError::Device { .. } => Self::DeviceLost(error.to_string()),
            ExplanationError::NotFinite { .. } => Self::Explanation(error),
        }
    }
}

impl From<StudioError> for TrainError {
    fn from(error: StudioError) -> Self {
        match error {
            StudioError::Cancelled { .. } => Self::cancelled(),
            StudioError::Options(problem) => Self::Option(problem),
            other => Self::Studio(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_named_where_one_helps() {
        let latest = Path::new("out/checkpoint-000500");
        let diverged = || TrainError::Diverged { step: 510 };
        assert!(!diverged().after_checkpoint(None).to_string().contains("checkpoint"));
        let message = diverged().after_checkpoint(Some(latest)).to_string();
        assert!(message.contains("step 510") && message.contains("checkpoint-000500"), "{message}");
        let other = TrainError::Option("--size".to_owned()).after_checkpoint(Some(latest));
        assert!(matches!(other, TrainError::Option(_)));
    }

    #[test]
    fn every_kind_of_stopping_is_one() {
        let sampling: TrainError = SamplingError::Cancelled { step: 1, steps: 2 }.into();
        let studio: TrainError = StudioError::Cancelled { done: 1, total: 2 }.into();
        for error in [sampling, studio, TrainError::Interrupted { step: 3 }] {
            assert!(error.is_cancelled(), "{error:?}");
        }
        let kept = TrainError::cancelled().keeping(|| "2 pictures are in out".to_owned());
        assert_eq!(kept.to_string(), "interrupted; 2 pictures are in out");
    }

    #[test]
    fn wrong_options_are_no_failures_of_the_device() {
        let draws: TrainError = ExplanationError::Options("draws must be at least 2".to_owned()).into();
        assert!(matches!(draws, TrainError::Option(_)), "{draws:?}");
        let steps = SchedulerError::Steps { steps: 9, problem: "there are 4".to_owned() };
        let steps: TrainError = PaintingError::Scheduler(steps).into();
        assert_eq!(steps.to_string(), "--steps 9 is not possible: there are 4");
    }
}
