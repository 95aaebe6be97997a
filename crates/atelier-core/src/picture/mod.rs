//! Pictures: from files and tensors, and into them.

mod convert;
mod decode;
mod encode;
mod jpeg;
mod parameters;

pub use convert::{ReadBackError, from_chw, from_tensor, to_chw, to_tensor};
pub use decode::{centre_square, decode, dimensions, resized_part};
pub use encode::encode_png;
pub use parameters::{GenerationParameters, InitialLatents, LoraUse, ModelNames};
