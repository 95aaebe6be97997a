//! Low-rank adaptation ("LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685).
//!
//! An adapter adds `scale * alpha / rank * up(down(x))` to chosen layers of a model whose own weights stay as they are.
//! [`LoraAdapter`] is the trained part, a module of its own: it has an optimiser state, a moving average and a
//! checkpoint like any other, and costs megabytes where the model costs gigabytes. Attached to a model it gives a
//! second model that shares all of the first one's weights, so that several of them (the target, the reference and the
//! auxiliary model of CPO) need the memory of one.
//!
//! Files are written with the keys of diffusers and peft. Read are those of other tools as well: [`LoraFile`].

mod adapter;
mod adapter_config;
mod component;
mod config;
mod error;
mod export;
mod file;
mod key;
mod layer;
mod model_layers;
mod original_names;
mod term;
mod unet_names;
mod unsupported;

pub use adapter::{LoraAdapter, adapter_parameters};
pub use component::Component;
pub use config::LoraConfig;
pub use error::LoraError;
pub use file::LoraFile;
pub use layer::LoraLayer;

#[cfg(test)]
mod tests;
