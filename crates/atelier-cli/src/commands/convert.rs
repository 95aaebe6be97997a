//! `atelier convert`: a model written anew.

use crate::{failure::Failure, interrupt, model::Base, output::print_line};
use atelier_train::{
    TrainError,
    device::DeviceChoice,
    options::SavePrecision,
    output::{OutputFolder, refuse_input},
    run::save_parts,
};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `atelier convert`.
#[derive(Debug, Args)]
#[command(after_long_help = EXPLANATION)]
pub struct Arguments {
    /// Diffusers folder of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    base: Base,
    /// Precision of the weights
    #[arg(long, value_enum, default_value = "f16")]
    save_precision: SavePrecision,
    /// Write only this part, such as `unet`; repeatable [default: the whole model]
    #[arg(long = "part", value_name = "FOLDER")]
    parts: Vec<String>,
    /// The folder to write: a new or empty one, or one that Atelier wrote and nobody has changed since, which is replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const EXPLANATION: &str = "\
Examples:
  atelier convert --model aligned/model --out small            half the size, for sharing
  atelier convert --model aligned/model --part unet --out small/unet-only
  atelier convert --model small/unet-only --out whole          completed by the small painter, or --base";

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { model, base, save_precision, parts, out } = arguments;
    let inputs = [("--model", Some(model.as_path())), ("--base", base.folder())];
    let inputs: Vec<_> = inputs.into_iter().filter_map(|(flag, folder)| Some((flag, folder?))).collect();
    refuse_input(("--out", out), &inputs).map_err(TrainError::from)?;
    let folder = OutputFolder::prepare(out).map_err(TrainError::from)?;
    let pipeline = base.load(model, &DeviceChoice::Cpu.device()?)?;
    save_parts(&pipeline, parts, folder, (*save_precision).into(), &mut interrupt::going_on)?;
    Ok(print_line!("{}", out.display())?)
}
