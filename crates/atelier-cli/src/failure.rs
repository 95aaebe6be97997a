//! How a command ends: an exit code, and a readable chain of causes where it failed.

use crate::output::{self, OutputError};
use anstyle::{AnsiColor, Style};
use atelier_train::TrainError;
use std::process::ExitCode;

/// What a command ends with when it fails.
pub type Failure = anyhow::Error;

/// An error of the caller: a flag that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// All ways in which a command ends, with its exit code as shells know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work is done, or whoever read the result has gone.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// The command line or the configuration file is wrong.
    Usage = 2,
    /// The caller interrupted it: 128 and the number of SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// The one for a failure.
    pub fn of(failure: &Failure) -> Self {
        if failure.downcast_ref::<OutputError>().is_some_and(OutputError::is_broken_pipe) {
            return Self::Done;
        }
        match failure.downcast_ref::<TrainError>() {
            Some(error) if error.is_cancelled() => Self::Interrupted,
            Some(TrainError::Option(_) | TrainError::Config { .. }) => Self::Usage,
            Some(TrainError::Output(error)) if error.is_usage() => Self::Usage,
            _ if failure.is::<Usage>() => Self::Usage,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints the chain of causes of a failure and gives the exit.
pub fn report(failure: &Failure) -> Exit {
    let exit = Exit::of(failure);
    let word = match exit {
        Exit::Done => return exit,
        Exit::Interrupted => "stopped",
        Exit::Failed | Exit::Usage => "error",
    };
    let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    let mut printed = failure.to_string();
    output::message(format_args!("{red}{word}:{red:#} {printed}"));
    for cause in failure.chain().skip(1).map(ToString::to_string) {
        // Transparent errors repeat their source.
        if !printed.contains(&cause) {
            output::message(format_args!("  caused by: {cause}"));
            printed = cause;
        }
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_failure_has_its_exit() {
        let file = || TrainError::File { path: PathBuf::from("a"), reason: "gone".to_owned() };
        let failures: [(Failure, Exit); 6] = [
            (Usage("--size".to_owned()).into(), Exit::Usage),
            (TrainError::Option("--steps".to_owned()).into(), Exit::Usage),
            (TrainError::cancelled().into(), Exit::Interrupted),
            (TrainError::Interrupted { step: 3 }.into(), Exit::Interrupted),
            (file().into(), Exit::Failed),
            (Failure::from(file()).context("while testing"), Exit::Failed),
        ];
        for (failure, exit) in failures {
            assert_eq!(Exit::of(&failure), exit, "{failure:?}");
        }
    }
}
