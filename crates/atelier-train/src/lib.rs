//! Training: pretraining, SFT and CPO on folders of annotated paintings, with checkpoints, metrics and evaluation.
//!
//! One loop ([`trainer::train`]) trains whatever is a [`trainer::Task`]; [`run`] joins data, models and tasks into the
//! three runs that the command line offers.
#![recursion_limit = "256"]

pub mod adapter;
pub mod architecture;
pub mod atomic;
pub mod checkpoint;
pub mod demo;
pub mod device;
pub mod error;
pub mod evaluation;
pub mod explanations;
pub mod imagefolder;
pub mod learning_rate;
pub mod metrics;
pub mod optimizer;
pub mod options;
pub mod painter;
pub mod picture;
pub mod pictures;
pub mod report;
pub mod run;
pub mod sampler;
pub mod tasks;
pub mod text_states;
pub mod tokenizer;
pub mod trainer;

pub use error::TrainError;
