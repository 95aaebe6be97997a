//! `atelier studio`: the embedded data.

use super::{COUNTS, SEEDS, number};
use crate::{failure::Failure, output::print_line, progress};
use atelier_studio::{Annotator, DatasetOptions, FitOptions, write_dataset};
use atelier_train::{
    TrainError,
    output::{OutputFile, OutputFolder},
};
use clap::{Args, Subcommand};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
    #[arg(long, default_value_t = 1500, value_parser = number::<u64>(COUNTS))]
    count: u64,
    /// Their seed; not the one of the fit
    #[arg(long, default_value_t = 2026, value_parser = number::<u64>(SEEDS))]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Arguments of `atelier studio fit`.
#[derive(Debug, Args)]
pub struct FitArguments {
    /// Paintings to fit on
    #[arg(long, default_value_t = 10_000, value_parser = number::<u64>(FitOptions::LEAST_PAINTINGS..=1_000_000))]
    count: u64,
    /// Their seed
    #[arg(long, default_value_t = 7, value_parser = number::<u64>(SEEDS))]
    seed: u64,
    /// The file to write; an earlier annotator there is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `atelier studio paint`.
#[derive(Debug, Args)]
pub struct PaintArguments {
    /// Paintings, all parts together
    #[arg(long, default_value_t = 1000, value_parser = number::<u64>(COUNTS))]
    count: u64,
    /// Decides every painting
    #[arg(long, default_value_t = 0, value_parser = number::<u64>(SEEDS))]
    seed: u64,
    /// Side of the pictures in pixels
    #[arg(long, default_value_t = 128, value_name = "PIXELS", value_parser = number::<u32>(16..=4096))]
    size: u32,
    /// The new folder; one that is not empty is left alone
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
    let folder = OutputFolder::prepare_new(out).map_err(TrainError::from)?;
    let bar = progress::counter("painting", *count);
    let options = DatasetOptions { count: *count, seed: *seed, size: *size };
    let summary = write_dataset(folder.path(), options, &|done, _| bar.set(done)).map_err(|error| {
        let error = TrainError::from(error);
        // Whoever interrupts knows what was being painted.
        let is_cancelled = error.is_cancelled();
        let failure = Failure::from(error);
        if is_cancelled { failure } else { failure.context(format!("{} was not painted", out.display())) }
    })?;
    folder.publish().map_err(TrainError::from)?;
    bar.finish();
    let [train, validation, test] = summary.splits;
    print_line!(
        "{}: {train} + {validation} + {test} paintings with {} positive and {} negative attributes",
        out.display(),
        summary.positives,
        summary.negatives
    )?;
    Ok(())
}

fn evaluate(arguments: &EvaluateArguments) -> Result<(), Failure> {
    let bar = progress::counter("measuring", 2 * arguments.count);
    let table = Annotator::embedded()
        .evaluate(arguments.seed, arguments.count, &|done| bar.set(done))
        .map_err(TrainError::from)?;
    bar.finish();
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&table)?)?;
    } else {
        print_line!("{table}")?;
    }
    Ok(())
}

fn fit(arguments: &FitArguments) -> Result<(), Failure> {
    let is_ours =
        |path: &Path| fs::read_to_string(path).is_ok_and(|json| Annotator::from_json(&json).is_ok());
    let out = OutputFile::prepare(&arguments.out, "annotator", is_ours).map_err(TrainError::from)?;
    let bar = progress::counter("measuring", arguments.count);
    let options = FitOptions { seed: arguments.seed, paintings: arguments.count };
    let annotator = Annotator::fit(options, &|done| bar.set(done)).map_err(TrainError::from)?;
    bar.finish();
    let json = annotator.to_json()?;
    out.write(|writer| writer.write_all(json.as_bytes())).map_err(TrainError::from)?;
    let measured = annotator.measured().count();
    Ok(print_line!("{}: {measured} leaves can be measured", arguments.out.display())?)
}
