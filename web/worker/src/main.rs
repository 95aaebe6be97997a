//! The page's worker: the models, on WebGPU or on the processor.
//!
//! It is a program for browsers: `cargo xtask site` builds it into `dist/`, and the page starts it through `web/worker.js`.
#![recursion_limit = "256"]

#[cfg(target_arch = "wasm32")]
mod adapter;
#[cfg(target_arch = "wasm32")]
mod benchmark;
#[cfg(target_arch = "wasm32")]
mod device;
#[cfg(target_arch = "wasm32")]
mod download;
#[cfg(target_arch = "wasm32")]
mod explain;
#[cfg(target_arch = "wasm32")]
mod failure;
#[cfg(target_arch = "wasm32")]
mod job;
#[cfg(target_arch = "wasm32")]
mod link;
#[cfg(target_arch = "wasm32")]
mod manifest;
#[cfg(target_arch = "wasm32")]
mod models;
#[cfg(target_arch = "wasm32")]
mod paint;
#[cfg(target_arch = "wasm32")]
mod pictures;
#[cfg(target_arch = "wasm32")]
mod session;
#[cfg(target_arch = "wasm32")]
mod storage;

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
    link::serve(session::Session::default());
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("atelier-web-worker runs in a browser: `cargo xtask site` builds the page into dist/");
}
