//! What the program says: results to the standard output, all else to the standard error; in colours on terminals alone.
//!
//! That a result cannot be written is an error like any other. That a message cannot be written is not: nobody could be
//! told.

use std::{
    fmt,
    io::{self, Write},
};
use thiserror::Error;

/// A result could not be written.
#[derive(Debug, Error)]
#[error("the result cannot be written to the standard output: {0}")]
pub struct OutputError(io::Error);

impl OutputError {
    /// Whether the reader has what it wants and went away, as `head` does.
    pub fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes a line of the result, formatted as by `println!`, and gives the error for `?`.
macro_rules! print_line {
    ($($argument:tt)*) => {
        $crate::output::line(format_args!($($argument)*))
    };
}

pub(crate) use print_line;

/// Writes a line of the result; [`print_line`] is its short form.
pub fn line(text: fmt::Arguments<'_>) -> Result<(), OutputError> {
    write(format_args!("{text}\n"))
}

/// Writes text of the result that has its line breaks.
pub fn write(text: impl fmt::Display) -> Result<(), OutputError> {
    let mut stdout = anstream::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(OutputError)
}

/// Writes a line for whoever watches.
pub fn message(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Says what may be wrong with what was asked for.
pub fn warning(text: impl fmt::Display) {
    message(format_args!("warning: {text}"));
}

/// Where logs go: the standard error, whether or not it can be written to.
pub fn log() -> impl Write {
    Log(anstream::stderr())
}

struct Log(anstream::Stderr);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
