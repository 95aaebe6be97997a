//! Benchmarks, without compiling anything twice.

use crate::command::{command, run};
use anyhow::Result;

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Benchmarks to run, such as `denoiser`
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// What criterion is told, after `--`, such as `--quick`
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Runs the benchmarks with the features of the whole workspace: those of one crate alone would have cargo compile burn
/// once more.
///
/// # Errors
/// If one is unknown or fails.
pub fn chosen(arguments: &Arguments) -> Result<()> {
    let mut bench = command("cargo", ["bench", "--workspace"]);
    for name in &arguments.names {
        bench.args(["--bench", name]);
    }
    run(bench.arg("--").args(&arguments.options))
}
