//! `atelier devices`: what there is to compute on.

use crate::{failure::Failure, output::print_line};
use atelier_train::device;
use clap::Args;

/// Arguments of `atelier devices`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let devices = device::list();
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&devices)?)?;
        return Ok(());
    }
    print_line!("{:<10} {:<8} {:<16} {:<8} {:<12} name", "--device", "auto", "kind", "api", "numbers")?;
    for device in devices {
        let choice = serde_json::to_value(device.choice)?;
        print_line!(
            "{:<10} {:<8} {:<16} {:<8} {:<12} {}",
            choice.as_str().unwrap_or_default(),
            if device.automatic { "yes" } else { "no" },
            device.kind,
            device.api,
            device.float_types.join(" "),
            device.name
        )?;
    }
    Ok(())
}
