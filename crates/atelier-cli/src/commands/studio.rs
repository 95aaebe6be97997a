//! `atelier studio`: the embedded data.

use crate::failure::Failure;
use clap::Subcommand;

/// Subcommands of `atelier studio`.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Runs the command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {}
}
