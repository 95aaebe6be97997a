//! The page: what a visitor sees.
//!
//! It is a program for browsers: `cargo xtask site` builds it into `dist/`.

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
    atelier_web_page::mount();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("atelier-web-page runs in a browser: `cargo xtask site` builds the page into dist/");
}
