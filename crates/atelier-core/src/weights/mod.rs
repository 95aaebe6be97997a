//! Weights in safetensors files, with the names and layouts of diffusers and transformers.
//!
//! A parameter's name is its path in the module, with PyTorch's conventions where they differ from burn's:
//! `weight` and `bias` instead of `gamma` and `beta` in normalisations, `[out, in]` instead of `[in, out]` in
//! linear layers, and no trace of Rust's enum variants. burn-store can do the same; it is not used because it
//! reports errors in burn's names and layouts, lets NaN pass, and writes the header in a random order.
//!
//! A [`WeightsFile`] is read tensor by tensor, from bytes or from an open file; [`load_files`] puts one or several into a
//! module. [`load_into`] and [`to_bytes`] work on bytes and suit a browser, `load` and `save` add the file.

mod error;
#[cfg(not(target_arch = "wasm32"))]
mod file;
mod header;
mod load;
mod names;
mod other_formats;
mod save;
mod source;
mod tensors;

/// The strings in the header of a safetensors file.
pub type Metadata = std::collections::BTreeMap<String, String>;

pub use error::WeightsError;
#[cfg(not(target_arch = "wasm32"))]
pub use file::{load, save};
pub use load::{check_files, load_files, load_into};
pub use save::{Precision, to_bytes};
pub use source::WeightsFile;
pub use tensors::{TensorValues, read_tensors, write_tensors};
