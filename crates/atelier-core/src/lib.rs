//! Diffusion models, schedulers, sampling, objectives and explanations.
//!
//! Everything here computes on [`burn::tensor::Device`]s and runs natively as well as in a browser:
//! nothing blocks on the device, nothing touches a thread, and files enter as bytes.
#![recursion_limit = "256"]

pub mod explanation;
pub mod finite;
pub mod json;
pub mod latent_preview;
pub mod lora;
pub mod models;
pub mod noise;
pub mod objectives;
pub mod painting;
pub mod picture;
pub mod pipeline;
pub mod sampling;
pub mod schedulers;
pub mod text;
pub mod weights;
