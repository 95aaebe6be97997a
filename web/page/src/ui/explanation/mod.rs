//! Explanations: what the worker reads in pictures, as it arrives.

mod ask;
mod changes;
mod leaf;
mod list;
mod panel;
mod radar;
mod state;

pub use panel::{PaintedExplanations, UploadedExplanation};
pub use state::{Explanations, Subject};
