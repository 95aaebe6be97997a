//! The page's worker: the models, on WebGPU or on the processor.
//!
//! It is a program for browsers: `cargo xtask site` builds it into `dist/`, and the page starts it through `web/worker.js`.
#![recursion_limit = "256"]

#[cfg(target_arch = "wasm32")]
mod browser;

#[cfg(target_arch = "wasm32")]
fn main() {
    browser::run();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("atelier-web-worker runs in a browser: `cargo xtask site` builds the page into dist/");
}
