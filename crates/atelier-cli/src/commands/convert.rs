//! `atelier convert`: a model written anew.

use crate::{
    failure::{Failure, Usage},
    model::Base,
};
use anstream::println;
use atelier_train::{device::DeviceChoice, options::SavePrecision, run::save_parts};
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
    /// The folder to write; a model there is replaced
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
    if model == out {
        return Err(Usage("--out must be another folder than --model".to_owned()).into());
    }
    let pipeline = base.load(model, &DeviceChoice::Cpu.device()?)?;
    save_parts(&pipeline, parts, out, (*save_precision).into())?;
    println!("{}", out.display());
    Ok(())
}
