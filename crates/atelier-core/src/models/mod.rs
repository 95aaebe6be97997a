//! Model architectures with the configurations and weight names of Hugging Face diffusers and transformers.
//!
//! Module fields are named so that a parameter's path in the module is its name in the safetensors file
//! (see [`crate::weights`] for the few that differ).

pub mod activation;
pub mod ada_layer_norm;
pub mod attention;
pub mod autoencoder;
pub mod autoencoder_kl;
pub mod autoencoder_tiny;
mod batch_parts;
pub mod clip_text;
pub mod config;
mod config_checks;
pub mod denoiser;
pub mod embeddings;
mod error;
#[cfg(feature = "autodiff")]
pub mod gradient_checkpointing;
pub mod joint_attention;
pub mod layers;
pub mod prompt_embeddings;
pub mod resampling;
pub mod resnet;
pub mod rotary_embedding;
pub mod t5_encoder;
pub mod text_time_embedding;
mod tiling;
pub mod transformer_2d;
pub mod transformer_flux;
pub mod transformer_sd3;
pub mod unet_2d_blocks;
pub mod unet_2d_condition;
mod unet_2d_segments;
mod vae;

pub use config::ModelConfig;
pub use error::{ConfigError, ModelError};
