//! The operations in which diffusion models spend their time, made fast on processors.
//!
//! The functions here work on burn's tensors, with gradients. On burn's processor backend (Flex), in f32, they run the
//! kernels of [`slices`], forward and backward; everywhere else they are composed of burn's own operations.

#![recursion_limit = "256"]

mod adamw;
mod attention;
mod conv2d;
#[cfg(feature = "flex")]
mod flex;
mod geglu;
mod group_norm;
mod layer_norm;
mod linear;
pub mod slices;

/// Lets the kernels use WebAssembly's relaxed vectors, before the first of them runs.
#[cfg(all(target_family = "wasm", feature = "relaxed-simd"))]
pub fn enable_relaxed_simd() {
    pulp_wasm_simd_flag::enable_relaxed_simd();
}

pub use adamw::{AdamWState, AdamWStep, adamw, moving_average};
pub use attention::attention;
pub use conv2d::{Conv2dOptions, conv2d, conv2d_biased_by_picture};
pub use geglu::geglu;
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use slices::threads::{on_all_threads, on_one_thread, side_by_side};

/// How many parts to divide a batch like `x` into, for [`side_by_side`]: `None` if a device computes all of it at once, if
/// gradients are needed, or if threads of the pool share the work already.
pub fn parts_of_a_batch<const D: usize>(x: &burn::tensor::Tensor<D>) -> Option<usize> {
    #[cfg(feature = "flex")]
    if flex::has_kernels(x) && !x.is_autodiff() && !slices::threads::is_in_pool() {
        return Some(slices::threads::count().min(x.dims()[0]));
    }
    let _ = x;
    None
}
