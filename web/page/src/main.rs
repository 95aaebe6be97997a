//! The page: what a visitor sees.
//!
//! It is a program for browsers: `cargo xtask site` builds it into `dist/`.
#![recursion_limit = "256"]

#[cfg(target_arch = "wasm32")]
mod page;

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
    page::mount();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("atelier-web-page runs in a browser: `cargo xtask site` builds the page into dist/");
}
