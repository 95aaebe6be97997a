//! The operations on plain slices of `f32`: no tensors, no backend.
//!
//! Every loop is written once over vectors of any length ([`pulp::Simd`]) and compiled for each instruction set; which
//! of them runs is found out at run time. Results may differ in the last bits from one set to another, never from one
//! number of threads to another.

pub mod adamw;
pub mod attention;
pub mod conv2d;
pub mod geglu;
pub mod group_norm;
pub mod layer_norm;
mod math;
pub mod matrix;
mod products;
pub(crate) mod scratch;
mod simd;
pub(crate) mod threads;
