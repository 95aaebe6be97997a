//! What keeps results from being written.

use crate::atomic::AtomicError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// A result has no place; nothing was changed, unless a message says so.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The path is the empty string.
    #[error("an output has an empty name; name a file or folder, such as ./out")]
    Empty,
    /// The output is an input, or would take its place together with the folder around it.
    #[error(
        "{output} {} is {input}'s {}, or a folder around it, and would replace it; name another place",
        path.display(), of.display()
    )]
    Input {
        /// The flag of the output.
        output: String,
        /// Its value.
        path: PathBuf,
        /// The flag of the input.
        input: String,
        /// Its value.
        of: PathBuf,
    },
    /// Something on the way is no folder.
    #[error("{} is not a folder, so nothing can be written into it; name another place", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// A file is to be written where a folder is.
    #[error("{} is a folder; name a file in it", path.display())]
    IsAFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A symbolic link leads nowhere.
    #[error("{} is a link to something that is not there; name another place, or make what it leads to", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// The folder cannot be written to.
    #[error("cannot write to {}: {source}", path.display())]
    Write {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder holds what is not Atelier's to replace.
    #[error(
        "{} is not empty, and Atelier did not write all of it or it was changed since: {found}. It stays as it is: name a \
         new folder, or move these away",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The first things in it that Atelier does not know.
        found: String,
    },
    /// The folder must be new, whoever wrote it.
    #[error("{} is not empty; name a new folder, or delete it first", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The file is there and is of another kind.
    #[error("{} is no {kind} that Atelier wrote, and stays as it is; move it away, or name another place", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What would be written.
        kind: &'static str,
    },
    /// A new run would mix with what is there.
    #[error(
        "{} already holds a run ({found}); {advice}",
        path.display()
    )]
    HoldsRun {
        /// The folder.
        path: PathBuf,
        /// What of a run is in it.
        found: String,
        /// What to do.
        advice: String,
    },
    /// Another process writes into the folder.
    #[error(
        "{} is in use: another process of Atelier writes into it; wait for it to end, or name another folder",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The finished folder could not be moved to its place.
    #[error("cannot put the finished folder at {}: {source}; it is whole and lies at {}", path.display(), kept.display())]
    Unpublished {
        /// Where it should be.
        path: PathBuf,
        /// Where it is.
        kept: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder was changed while its successor was being made.
    #[error(
        "{} was changed by somebody else meanwhile and stays as it is; the finished folder lies at {}",
        path.display(), kept.display()
    )]
    Changed {
        /// Where the finished folder should be.
        path: PathBuf,
        /// Where it is.
        kept: PathBuf,
    },
    #[error(transparent)]
    /// See [`AtomicError`].
    Atomic(#[from] AtomicError),
}

impl OutputError {
    /// Whether the command line cannot be right, whatever is on the disk.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Empty | Self::Input { .. })
    }
}
