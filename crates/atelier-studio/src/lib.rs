//! The embedded data: a procedural painter whose pictures carry known attributes.

pub mod annotator;
mod brushwork;
mod buffer;
mod canvas;
pub mod captions;
pub mod colour;
pub mod dataset;
mod finish;
mod grade;
pub mod knobs;
pub mod leaves;
pub mod measure;
mod noise;
pub mod painting;
mod scene;
mod shape;
pub mod sheet;

pub use annotator::{Annotator, AnnotatorError, EvaluationTable, FitOptions, LeafMeasure};
pub use atelier_criteria::{Labels, Side};
pub use captions::{Companion, Genre, Moment, Motif, SceneSpec};
pub use dataset::{DatasetOptions, DatasetSummary, StudioError, write_dataset};
pub use knobs::Knobs;
pub use leaves::{LeafKnob, STUDIO_LEAVES};
pub use painting::{Painting, PaintingSpec, Studio, paint};
pub use sheet::contact_sheet;
