//! Pictures: from files and tensors, and into them.

mod convert;
mod decode;
mod encode;
mod parameters;

pub use convert::{from_chw, from_tensor, to_chw, to_tensor};
pub use decode::{centre_square, decode, dimensions, resized_part};
pub use encode::encode_png;
pub use parameters::GenerationParameters;
