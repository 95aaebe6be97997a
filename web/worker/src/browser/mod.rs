//! The program as a browser runs it.

mod adapter;
mod benchmark;
mod device;
mod download;
mod explain;
mod failure;
mod job;
mod link;
mod manifest;
mod models;
mod paint;
mod pictures;
mod session;
mod storage;

/// Answers the page until it is closed.
pub fn run() {
    console_error_panic_hook::set_once();
    #[cfg(feature = "relaxed-simd")]
    atelier_kernels::enable_relaxed_simd();
    link::serve(session::Session::default());
}
