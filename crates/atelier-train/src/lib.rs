//! Training: pretraining, SFT and CPO on folders of annotated paintings, with checkpoints, metrics and evaluation.
//!
//! One loop ([`trainer::train`]) trains whatever is a [`trainer::Task`]; [`run`] joins data, models and tasks into the
//! three runs that the command line offers.
#![recursion_limit = "256"]

pub mod adapter;
pub mod architecture;
pub mod atomic;
pub mod base_precision;
pub mod batches;
pub mod buckets;
pub mod cache;
pub mod checkpoint;
pub mod completed_folder;
pub mod demo;
pub mod device;
pub mod error;
pub mod evaluation;
pub mod explanations;
pub mod file_names;
pub mod forward_passes;
pub mod framing;
pub mod imagefolder;
pub mod latents;
pub mod learning_rate;
pub mod limits;
pub mod metrics;
pub mod model_folder;
pub mod optimizer;
pub mod options;
pub mod output;
pub mod painter;
pub mod picture;
pub mod pictures;
pub mod plan;
pub mod report;
pub mod run;
pub mod sampler;
pub mod tasks;
pub mod text_states;
pub mod tokenizer;
pub mod trainer;
mod workers;

pub use error::TrainError;
