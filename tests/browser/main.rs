//! The built page in Chromium, end to end.
//!
//! These tests need `dist/`, Chromium and chromedriver, so that they are ignored by default: `cargo xtask test` installs,
//! builds and runs them. By hand, after `cargo xtask site`:
//! `cargo test --release --workspace --test browser -- --ignored --test-threads=1`.
#![expect(
    clippy::needless_pass_by_value,
    reason = "the arguments of a script are written where it is called"
)]

mod craft;
mod explaining;
mod offline;
mod page;
mod painting;
mod screenshots;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod webdriver;

use atelier_web_messages::{Recipe, Sampler};

/// What the tests paint: few steps, as they look at numbers and not at beauty.
fn recipe() -> Recipe {
    Recipe {
        prompt: "a seascape with cliffs and a lighthouse at sunset".to_owned(),
        steps: 4,
        guidance: 2.0,
        sampler: Sampler::Ddim,
        seed: 7,
        count: 1,
    }
}
