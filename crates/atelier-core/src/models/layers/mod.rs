//! The layers that low-rank adapters can sit on, and how to find them in a model.
//!
//! They are burn's linear layer and convolution, with the same parameters under the same names, plus the low-rank
//! terms that are attached to them for one forward pass or for good (see [`crate::lora`]). The terms are no parameters
//! of the layer: a model that carries adapters is saved and counted as if it had none.

mod adaptable;
mod conv2d;
mod linear;
mod storage;

#[cfg(feature = "autodiff")]
pub(crate) use adaptable::is_adapted;
pub use adaptable::{Adaptable, LayerMut};
pub(crate) use adaptable::{adaptable, child};
pub use conv2d::{Conv2d, Conv2dConfig, ConvTerm};
pub use linear::{Linear, LinearConfig, LinearTerm};
pub use storage::store_weights_as;
