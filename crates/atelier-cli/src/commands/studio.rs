//! `atelier studio`: the embedded data.

use crate::{failure::Failure, progress};
use anstream::println;
use atelier_studio::{Annotator, DatasetOptions, FitOptions, write_dataset};
use atelier_train::atomic;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Subcommands of `atelier studio`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Paint a data set: train/, validation/ and test/ with metadata.jsonl, and a contact sheet
    Paint(PaintArguments),
    /// Report how well each attribute is measured, on paintings that the annotator was not fitted on
    Evaluate(EvaluateArguments),
    /// Fit the annotator's weights and thresholds anew
    Fit(FitArguments),
}

/// Arguments of `atelier studio evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArguments {
    /// Held-out paintings, measured once as they are and once softened
    #[arg(long, default_value_t = 1500)]
    count: u64,
    /// Their seed; not the one of the fit
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Arguments of `atelier studio fit`.
#[derive(Debug, Args)]
pub struct FitArguments {
    /// Paintings to fit on
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// Their seed
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
        Command::Evaluate(arguments) => evaluate(&arguments),
        Command::Fit(arguments) => fit(&arguments),
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

fn evaluate(arguments: &EvaluateArguments) -> Result<(), Failure> {
    let bar = progress::counter("measuring", 2 * arguments.count)?;
    let table = Annotator::embedded().evaluate(arguments.seed, arguments.count, &|done| {
        let _ = bar.set(done);
    });
    bar.finish();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&table)?);
    } else {
        println!("{table}");
    }
    Ok(())
}

fn fit(arguments: &FitArguments) -> Result<(), Failure> {
    let bar = progress::counter("measuring", arguments.count)?;
    let options = FitOptions { seed: arguments.seed, paintings: arguments.count };
    let annotator = Annotator::fit(options, &|done| {
        let _ = bar.set(done);
    });
    bar.finish();
    let json = annotator.to_json()?;
    atomic::write_file(&arguments.out, |writer| writer.write_all(json.as_bytes()))?;
    println!("{}: {} leaves can be measured", arguments.out.display(), annotator.measured().count());
    Ok(())
}
