//! The `atelier` command: aligns painting models with an expert's criteria.

mod base_model;
mod commands;
mod failure;
mod model;
mod progress;

use clap::{Parser, Subcommand};
use commands::{annotate, calibrate, convert, criteria, demo, devices, explain, plan, sample, studio, train};
use failure::Report;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Teaches painting models the criteria of a painter's teacher.
///
/// Train on annotated paintings, align with Complex Preference Optimization, and see in which attributes the pictures got
/// better. Start with `atelier demo`.
#[derive(Debug, Parser)]
#[command(name = "atelier", version, max_term_width = 110)]
struct Arguments {
    /// Print what happens in detail; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Command {
    /// Teach, align, compare and explain on embedded data, in ten minutes and without any download
    Demo(demo::Arguments),
    /// Paint pictures from a prompt, with the small painter or a model of yours
    Sample(sample::Arguments),
    /// Say which attributes pictures have, how likely, and where
    Explain(explain::Arguments),
    /// Measure how much an auxiliary model's explanations can be trusted, on annotated pictures
    Calibrate(calibrate::Arguments),
    /// Write a model anew: in half precision, whole or a part of it
    Convert(convert::Arguments),
    /// Look at the tree of criteria: 7 dimensions, 246 pairs of attributes
    #[command(subcommand)]
    Criteria(criteria::Command),
    /// Make paintings with known attributes
    #[command(subcommand)]
    Studio(studio::Command),
    /// Add measured attributes to a folder of pictures
    Annotate(annotate::Arguments),
    /// Train: from nothing, on attributes (stage 1), or toward them (stage 2)
    #[command(subcommand)]
    Train(train::Command),
    /// See what a training run will need, before it is started: memory by part, time per step, what to change
    Plan(plan::Arguments),
    /// List where Atelier can compute
    Devices(devices::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = ["warn", "info", "debug"][usize::from(arguments.verbose).min(2)];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("error,atelier={level}")));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Annotate(arguments) => annotate::run(&arguments),
        Command::Criteria(command) => criteria::run(command),
        Command::Studio(command) => studio::run(command),
        Command::Train(command) => train::run(command),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
    };
    done.map_or_else(Report::report, |()| ExitCode::SUCCESS)
}
