//! What the page and its worker say to each other, and the recipe of a picture as links have it.
//!
//! The page is a small module that is on screen at once; the worker is a large one with the models in it. Neither depends on
//! the other: both depend on this crate.

mod bytes;
mod recipe;
mod reply;
mod request;

pub use bytes::{from_bytes, to_bytes};
pub use recipe::{Choice, Model, Recipe, RecipeError, Sampler};
pub use reply::{BenchmarkReport, DeviceKind, DeviceReport, LeafReading, Pixels, Reply, StepTime};
pub use request::{DeviceChoice, ExplainedPicture, LeafPhrases, Request};

/// A number that the page gives each of its requests; replies carry it.
pub type JobId = u32;
