//! The page: what a visitor sees.
//!
//! What can be thought through without a browser is in [`logic`] and is tested natively. The rest is components of leptos
//! with one subject each, for browsers alone; the models are in another module, which a worker runs.
#![recursion_limit = "512"]

pub mod logic;
#[cfg(target_arch = "wasm32")]
mod ui;

#[cfg(target_arch = "wasm32")]
pub use ui::mount;
