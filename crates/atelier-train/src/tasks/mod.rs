//! The objectives as tasks of the one training loop.

mod autoencoder;
mod cpo;
mod denoiser;
mod kto;
mod noising;
mod pairs;
mod sft;
mod trained;

pub use autoencoder::AutoencoderTask;
pub use cpo::CpoTask;
pub use denoiser::{DenoiserTask, DenoiserWithText};
pub use kto::KtoTask;
pub use noising::{NoisedBatch, Noising};
pub use pairs::{Pair, PairTask, pairs};
pub use sft::SftTask;
pub use trained::{Dropout, TrainedDenoiser};
