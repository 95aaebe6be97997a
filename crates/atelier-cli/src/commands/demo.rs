//! `atelier demo`: the main job on embedded data.

use super::{SEEDS, TreeArguments, number};
use crate::{base_model, failure::Failure, output::print_line, progress::Progress};
use atelier_train::{
    demo::{DemoOptions, demo},
    device::DeviceChoice,
};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `atelier demo`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder for report, pictures and models; an earlier demo there is replaced if nobody has changed anything in it
    #[arg(long, value_name = "DIR", default_value = "atelier-demo")]
    out: PathBuf,
    /// One minute instead of three: less data, fewer steps, rougher pictures
    #[arg(long)]
    quick: bool,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Decides data, training and pictures
    #[arg(long, default_value_t = 0, value_parser = number::<u64>(SEEDS))]
    seed: u64,
    #[command(flatten)]
    tree: TreeArguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { out, quick, device, seed, tree } = arguments;
    let options = DemoOptions { out: out.clone(), device: *device, quick: *quick, seed: *seed };
    let mut progress = Progress::new();
    let (page, report) =
        demo(&options, &base_model::files(), tree.load()?.as_ref(), &mut |event| progress.show(event))?;
    drop(progress);
    print_line!(
        "negative attributes per picture: {:.2} before, {:.2} after ({:+.0} %)",
        report.base.negatives.mean,
        report.aligned.negatives.mean,
        -100.0 * report.reduction()
    )?;
    print_line!(
        "positive attributes per picture: {:.2} before, {:.2} after",
        report.base.positives.mean,
        report.aligned.positives.mean
    )?;
    print_line!("difference between pictures: {:.0} % of the base's", 100.0 * report.diversity())?;
    Ok(print_line!("{}", page.display())?)
}
