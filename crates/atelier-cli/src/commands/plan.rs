//! `atelier plan`: what a training run will need.

use crate::{
    failure::{Failure, Usage},
    interrupt,
    output::{OutputError, print_line},
};
use atelier_train::{
    base_precision::BasePrecision,
    device::{self, DeviceChoice},
    limits,
    options::{TrainOptions, whole},
    plan::{Part, Plan, device_memory, gibibytes, seconds_per_step},
};
use clap::Args;
use serde::Serialize;
use std::{ops::Bound, path::PathBuf};

/// More GiB than any device has.
const MOST_MEMORY: f64 = 1e6;

/// Arguments of `atelier plan`.
///
/// The flags are those of `atelier train sft` and `align`, with the same defaults.
#[derive(Debug, Args)]
#[command(after_long_help = EXPLANATION)]
pub struct Arguments {
    /// TOML file with options of a run, named as the flags of `atelier train` are; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Memory of the device; the CPU's is known, a GPU's is not
    #[arg(long, value_name = "GiB")]
    memory: Option<f64>,
    /// Do not measure the time of a step, for which the model is loaded
    #[arg(long)]
    no_probe: bool,
    /// Print JSON, sizes in bytes
    #[arg(long)]
    json: bool,
}

const EXPLANATION: &str = "\
Weights, adapter, gradients and the optimiser's moments are counted exactly, from the model's
configurations and the headers of its files. Activations, what a step keeps of the forward pass for its
gradients, are estimated (~): they grow with the batch and with the area of the pictures.

What saves memory, best first:
  --lora-rank RANK          Gradients and moments of some million values instead of all. The base is in
                            memory once, for CPO too: its reference is the base, and a LoRA as
                            --auxiliary adds only itself.
  --gradient-checkpointing  Activations of one block at a time, by the price of a second forward pass.
  --base-precision f16      Half the weights of denoiser and text encoders. Only together with
                            --gradient-checkpointing: a step keeps every weight in f32, too, otherwise.
  --train-batch-size 1      With --gradient-accumulation-steps for the same batch in several passes.

Examples:
  atelier plan --model models/painter
  atelier plan --model stable-diffusion-v1-5 --size 512 --lora-rank 16 --memory 8 --no-probe";

/// The flags of a run that decide what it needs.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Flags {
    /// Diffusers folder of the model to start from
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// Train a LoRA of this rank instead of the denoiser itself (0 = the denoiser)
    #[arg(long, value_name = "RANK", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_rank: Option<usize>,
    /// As in `atelier train`: what is trained; repeatable
    #[arg(long = "target-module", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_modules: Vec<String>,
    /// Samples per forward
    #[arg(long, value_name = "SAMPLES", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    train_batch_size: Option<usize>,
    /// Side of the square pictures, in pixels
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// Type of the frozen weights under a LoRA
    #[arg(long, value_enum, value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    base_precision: Option<BasePrecision>,
    /// Compute every block of the denoiser again for the gradients
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gradient_checkpointing: bool,
    /// Decay of the moving average of the weights (0 = none)
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ema_decay: Option<f64>,
    /// Where to compute
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceChoice>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options =
        TrainOptions::resolve(&TrainOptions::default(), arguments.config.as_deref(), &arguments.flags)?;
    if options.model.as_os_str().is_empty() {
        return Err(Usage(
            "--model is missing: name the folder of a model, such as models/painter".to_owned(),
        )
        .into());
    }
    if let Some(memory) = arguments.memory {
        limits::check("memory", memory, (Bound::Excluded(0.0), Bound::Included(MOST_MEMORY)))?;
    }
    let given = arguments.memory.map(|gibibytes| (gibibytes * 1024.0 * 1024.0 * 1024.0) as u64);
    let device = options.device.device()?;
    let mut plan = Plan::new(&options, given.or_else(|| device_memory(&device)), &device)?;
    if !arguments.no_probe && plan.fits != Some(false) {
        plan.seconds_per_step = Some(seconds_per_step(&options, &device, &mut interrupt::going_on)?);
    }
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&plan)?)?;
    } else {
        show(&plan, &device::name(&device), arguments.no_probe)?;
    }
    Ok(())
}

fn show(plan: &Plan, device: &str, no_probe: bool) -> Result<(), OutputError> {
    let trained = match plan.lora_rank {
        0 => "the denoiser".to_owned(),
        rank => format!("a LoRA of rank {rank}"),
    };
    print_line!(
        "Training {trained} of {} on {device}: {} pictures of {} pixels a step",
        plan.model.display(),
        plan.train_batch_size,
        plan.size
    )?;
    print_line!("")?;
    for Part { name, bytes, estimated } in &plan.parts {
        print_line!("{name:<38} {:>1}{:>12}", if *estimated { "~" } else { "" }, gibibytes(*bytes))?;
    }
    print_line!("{:<38} ~{:>12}", "in all", gibibytes(plan.total_bytes))?;
    print_line!("")?;
    match (plan.device_bytes, plan.fits) {
        (Some(bytes), Some(true)) => print_line!("It fits: the device has {}.", gibibytes(bytes)),
        (Some(bytes), _) => {
            print_line!("It does not fit: the device has {}. What helps, step by step:", gibibytes(bytes))
        }
        (None, _) => print_line!("What the device has is not known: say it with --memory GiB."),
    }?;
    for sentence in &plan.advice {
        print_line!("  {sentence}")?;
    }
    match plan.seconds_per_step {
        Some(seconds) => {
            print_line!("A step of SFT takes {seconds:.2} s, measured; one of CPO 1.5 to 2.4 times as long.")
        }
        None if no_probe => Ok(()),
        None => print_line!("The time of a step was not measured: it would not fit."),
    }
}
