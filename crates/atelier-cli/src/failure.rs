//! How a failed command ends: a readable chain of causes and an exit code.

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use atelier_train::TrainError;
use std::process::ExitCode;

/// What a command ends with when it fails.
pub type Failure = anyhow::Error;

/// Exit codes as shells know them.
const USAGE: u8 = 2;
const OTHER: u8 = 1;
const INTERRUPTED: u8 = 130;

/// An error of the caller: a flag that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Reporting, as a method of the error.
pub trait Report {
    /// Prints the chain of causes and gives the exit code.
    fn report(self) -> ExitCode;
}

impl Report for Failure {
    fn report(self) -> ExitCode {
        let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        let (code, word) = match self.downcast_ref::<TrainError>() {
            Some(TrainError::Interrupted { .. }) => (INTERRUPTED, "stopped"),
            Some(TrainError::Option(_) | TrainError::Config { .. }) => (USAGE, "error"),
            _ if self.is::<Usage>() => (USAGE, "error"),
            _ => (OTHER, "error"),
        };
        let mut printed = self.to_string();
        eprintln!("{red}{word}:{red:#} {printed}");
        for cause in self.chain().skip(1).map(ToString::to_string) {
            // Transparent errors repeat their source.
            if !printed.contains(&cause) {
                eprintln!("  caused by: {cause}");
                printed = cause;
            }
        }
        ExitCode::from(code)
    }
}
