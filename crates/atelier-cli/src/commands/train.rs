//! `atelier train`: the three runs.

use super::TreeArguments;
use crate::{failure::Failure, output::print_line, progress::Progress};
use atelier_criteria::CriteriaTree;
use atelier_train::{
    TrainError,
    options::{AlignFlags, PretrainFlags, SftFlags, TrainFlags, TrainOptions},
    run,
    trainer::Events,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

/// Subcommands of `atelier train`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a small painter, from nothing or further: autoencoder, then denoiser and text encoder
    Pretrain {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: PretrainFlags,
    },
    /// Stage 1: fine-tune an auxiliary model on captions with attributes
    Sft {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: SftFlags,
    },
    /// Stage 2: align a model with Complex Preference Optimization, or with another objective to compare
    #[command(visible_alias = "cpo")]
    Align {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: AlignFlags,
    },
}

/// What all runs take.
#[derive(Debug, Args)]
pub struct Common {
    /// TOML file with options, named as the flags are; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    tree: TreeArguments,
    #[command(flatten)]
    flags: TrainFlags,
}

/// Flags of a run and those of its kind, as one table.
#[derive(Serialize)]
struct Flags<'a, T: Serialize> {
    #[serde(flatten)]
    common: &'a TrainFlags,
    #[serde(flatten)]
    own: &'a T,
}

type Run = fn(&TrainOptions, &CriteriaTree, &mut Events<'_>) -> Result<PathBuf, TrainError>;

/// Runs the command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Pretrain { common, flags } => start(&common, &flags, &pretrain_defaults(), run::pretrain),
        Command::Sft { common, flags } => start(&common, &flags, &TrainOptions::default(), run::sft),
        Command::Align { common, flags } => start(&common, &flags, &align_defaults(), run::align),
    }
}

/// From nothing: larger steps, an average of the weights, and every timestep alike.
fn pretrain_defaults() -> TrainOptions {
    TrainOptions {
        max_train_steps: 20_000,
        train_batch_size: 16,
        learning_rate: 5e-4,
        lr_warmup_steps: 200,
        ema_decay: 0.999,
        snr_gamma: 0.0,
        checkpointing_steps: 250,
        ..TrainOptions::default()
    }
}

/// Alignment is short and careful.
fn align_defaults() -> TrainOptions {
    TrainOptions { max_train_steps: 300, lr_warmup_steps: 20, ..TrainOptions::default() }
}

fn start<F: Serialize>(common: &Common, own: &F, defaults: &TrainOptions, run: Run) -> Result<(), Failure> {
    let flags = Flags { common: &common.flags, own };
    let options = TrainOptions::resolve(defaults, common.config.as_deref(), &flags)?;
    let tree = common.tree.load()?;
    let mut progress = Progress::new();
    let model = run(&options, &tree, &mut |event| progress.show(event))?;
    drop(progress);
    Ok(print_line!("{}", model.display())?)
}
