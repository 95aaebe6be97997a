//! Developer tasks behind `cargo xtask`.

mod bench;
mod command;
mod debian;
mod files;
mod lint;
mod manifest;
mod service_worker;
mod setup;
mod site;
mod sizes;
mod test;
mod wasm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Installs, checks, tests and builds Atelier.
///
/// Every command that runs is printed first, so that it can be repeated by hand.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    after_help = "In a fresh clone, `cargo xtask test` is all that is needed: it installs what the tests lack, \
                  then checks and tests everything. `cargo xtask setup && cargo xtask site` builds the page into dist/."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Installs what building needs beside Rust; skips what is there.
    Setup(setup::Arguments),
    /// Installs what the tests need, checks formatting, lints and documentation, builds the page, then runs every test.
    Test,
    /// Checks formatting, lints, documentation and the WebAssembly build, without running a test.
    Lint(lint::Arguments),
    /// Runs benchmarks, with what the tests have compiled.
    Bench(bench::Arguments),
    /// Builds the page into dist/, prints how much a visitor downloads, and fails if that is too much.
    Site,
    /// Writes models/manifest.json, which the page downloads the models by.
    Manifest,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Setup(arguments) => setup::chosen(&arguments),
        Task::Test => test::all(),
        Task::Lint(arguments) => lint::chosen(&arguments),
        Task::Bench(arguments) => bench::chosen(&arguments),
        Task::Site => site::build(),
        Task::Manifest => manifest::update(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
