//! The `atelier` command: aligns painting models with an expert's criteria.

mod base_model;
mod commands;
mod failure;
mod interrupt;
mod lora_argument;
mod model;
mod output;
mod progress;

use clap::{Parser, Subcommand};
use commands::{annotate, calibrate, convert, criteria, demo, devices, explain, plan, sample, studio, train};
use failure::{Exit, Failure};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Teaches painting models the criteria of a painter's teacher.
///
/// Train on annotated paintings, align with Complex Preference Optimization, and see in which attributes the pictures got
/// better. Start with `atelier demo`.
#[derive(Debug, Parser)]
#[command(name = "atelier", version, max_term_width = 110, after_help = EXITS)]
struct Arguments {
    /// Print what happens in detail; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "\
Exit codes: 0 done (also when the reader of a pipe has gone), 1 failed, 2 wrong usage, 130 interrupted.
Logs: -v, or RUST_LOG as in `RUST_LOG=atelier_train=debug`. Colours: none with NO_COLOR.";

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Command {
    /// Teach, align, compare and explain on embedded data, in three minutes and without any download
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
    let done = match Arguments::try_parse() {
        Ok(arguments) => {
            interrupt::listen();
            log(arguments.verbose);
            run(arguments.command)
        }
        Err(text) if text.use_stderr() => {
            output::message(text.render().ansi().to_string().trim_end());
            return Exit::Usage.into();
        }
        // Help, or the version.
        Err(text) => output::write(text.render().ansi()).map_err(Failure::from),
    };
    done.map_or_else(|failure| failure::report(&failure), |()| Exit::Done).into()
}

/// Logs to the standard error what RUST_LOG asks for, otherwise what `-v` does.
fn log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose).min(2)];
    let usual = || EnvFilter::new(format!("error,atelier={level}"));
    let wanted = std::env::var_os(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = match wanted.to_string_lossy() {
        wanted if wanted.is_empty() => usual(),
        wanted => EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
            let name = EnvFilter::DEFAULT_ENV;
            output::warning(format_args!("{name}={wanted} is ignored, as it cannot be read: {error}"));
            usual()
        }),
    };
    // The writer takes the escape codes away where nobody wants them.
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(true).with_writer(output::log).init();
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
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
    }
}
