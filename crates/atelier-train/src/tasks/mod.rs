//! The objectives as tasks of the one training loop.

mod autoencoder;
mod cpo;
mod denoiser;
mod noising;
mod sft;
mod trained;

pub use autoencoder::AutoencoderTask;
pub use cpo::CpoTask;
pub use denoiser::{DenoiserTask, DenoiserWithText};
pub use noising::Noising;
pub use sft::SftTask;
pub use trained::{Dropout, TrainedDenoiser};
