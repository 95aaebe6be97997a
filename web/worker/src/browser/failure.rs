//! Why a job ended without a result.

use atelier_core::{
    explanation::ExplanationError, painting::PaintingError, picture::ReadBackError, pipeline::PipelineError,
    sampling::SamplingError, schedulers::SchedulerError,
};
use burn::tensor::ExecutionError;
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};

/// Why a job ended without a result.
#[derive(Debug, Error)]
pub enum Failure {
    /// The page asked for it.
    #[error("cancelled")]
    Cancelled,
    /// A file could not be downloaded.
    #[error("the file {path} could not be downloaded: {reason}")]
    Download {
        /// The file, relative to the page.
        path: String,
        /// What the browser or the server said.
        reason: String,
    },
    /// A file is not the one that the page was made with.
    #[error(
        "the file {path} is damaged: its {found} bytes are not the {expected} that were expected. Paint again to \
         download it again; if that does not help, the site is broken"
    )]
    Damaged {
        /// The file, relative to the page.
        path: String,
        /// Its size in bytes.
        found: usize,
        /// The size in the manifest.
        expected: u64,
    },
    /// The manifest of the models cannot be read.
    #[error("models/manifest.json cannot be used: {0}")]
    Manifest(String),
    /// A model cannot be used.
    #[error("a model cannot be used: {0}")]
    Model(#[from] PipelineError),
    /// A picture could not be painted.
    #[error(transparent)]
    Painting(PaintingError),
    /// An explanation's options or criteria are wrong.
    #[error("{0}")]
    Explanation(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// A picture file cannot be read.
    #[error("{0}")]
    Picture(String),
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<ReadBackError> for Failure {
    fn from(error: ReadBackError) -> Self {
        match error {
            ReadBackError::Device(reason) => Self::Device(reason),
            ReadBackError::NotFinite(_) => Self::Picture(error.to_string()),
        }
    }
}

impl From<PaintingError> for Failure {
    fn from(error: PaintingError) -> Self {
        match error {
            PaintingError::Sampling(SamplingError::Cancelled { .. }) => Self::Cancelled,
            PaintingError::Sampling(SamplingError::Device(reason)) => Self::Device(reason),
            other => Self::Painting(other),
        }
    }
}

impl From<SchedulerError> for Failure {
    fn from(error: SchedulerError) -> Self {
        Self::Painting(error.into())
    }
}

impl From<ExplanationError> for Failure {
    fn from(error: ExplanationError) -> Self {
        match error {
            ExplanationError::Device { .. } => Self::Device(error.to_string()),
            ExplanationError::Options(_) | ExplanationError::NotFinite { .. } => {
                Self::Explanation(error.to_string())
            }
        }
    }
}

/// What JavaScript threw, as a sentence.
pub fn thrown(value: &JsValue) -> String {
    let error = value.dyn_ref::<js_sys::Error>();
    error.map_or_else(|| format!("{value:?}"), |error| String::from(error.message()))
}
