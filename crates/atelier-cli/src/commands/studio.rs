//! `atelier studio`: the embedded data.

use crate::{failure::Failure, progress};
use anstream::println;
use atelier_studio::{DatasetOptions, write_dataset};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Subcommands of `atelier studio`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Paint a data set: train/, validation/ and test/ with metadata.jsonl, and a contact sheet
    Paint(PaintArguments),
}

/// Arguments of `atelier studio paint`.
#[derive(Debug, Args)]
pub struct PaintArguments {
    /// Paintings, all parts together
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Decides every painting
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Side of the pictures in pixels
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    size: u32,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Paint(arguments) => paint(&arguments),
    }
}

fn paint(arguments: &PaintArguments) -> Result<(), Failure> {
    let PaintArguments { count, seed, size, out } = arguments;
    let bar = progress::counter("painting", *count)?;
    let options = DatasetOptions { count: *count, seed: *seed, size: *size };
    let summary = write_dataset(out, options, &|done, _| bar.set(done))?;
    bar.finish();
    let [train, validation, test] = summary.splits;
    println!(
        "{}: {train} + {validation} + {test} paintings with {} positive and {} negative attributes",
        out.display(),
        summary.positives,
        summary.negatives
    );
    Ok(())
}
