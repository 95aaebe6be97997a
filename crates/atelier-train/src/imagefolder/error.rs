//! What can be wrong with a data folder.

use super::Split;
use crate::atomic::AtomicError;
use atelier_criteria::CriteriaError;
use image::ImageError;
use std::{
    fmt::{self, Display, Formatter},
    io,
    path::PathBuf,
};
use thiserror::Error;

/// Broken pictures that a message names; of more, it gives the number.
const NAMED: usize = 20;

/// How a Parquet file becomes one that is read and written.
const AS_LINES: &str = "make it JSON Lines and move it away: python -c \"import pandas; \
    pandas.read_parquet('metadata.parquet').to_json('metadata.jsonl', orient='records', lines=True, force_ascii=False)\"";

/// A data folder, or a picture in it, cannot be used.
#[derive(Debug, Error)]
pub enum ImageFolderError {
    /// There is no such folder.
    #[error("there is no folder {}", path.display())]
    NoFolder {
        /// The path that was given.
        path: PathBuf,
    },
    /// A file was given in place of a folder.
    #[error("{} is a file; give the folder of the pictures, with a metadata.jsonl or metadata.csv in it", path.display())]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
    },
    /// Neither the split nor the folder itself has metadata.
    #[error(
        "{}: no metadata.jsonl; looked for {} and {}, for metadata.csv and metadata.parquet there, and for captions in .txt files beside \
         pictures{found}",
        folder.display(), split.display(), plain.display()
    )]
    NoMetadata {
        /// The folder that was opened.
        folder: PathBuf,
        /// Where the split's metadata would be.
        split: PathBuf,
        /// Where the metadata of a folder without splits would be.
        plain: PathBuf,
        /// What was found in their place, as the end of a sentence; empty for nothing.
        found: String,
    },
    /// Two files say what the pictures are.
    #[error("{} has both {} and {}; keep one of them", folder.display(), names[0], names[1])]
    TwoFiles {
        /// The folder.
        folder: PathBuf,
        /// The names of two of the files.
        names: [&'static str; 2],
    },
    /// A Parquet file cannot be read.
    #[error("{}: {reason}; {}", path.display(), AS_LINES)]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Labels were to go into a Parquet file.
    #[error("{}: labels are not written into Parquet; {}", path.display(), AS_LINES)]
    ParquetLabels {
        /// The file.
        path: PathBuf,
    },
    /// A text file is not UTF-8.
    #[error("{}, line {line}: {reason}", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The first line that is not, from 1.
        line: usize,
        /// What it is, and what to do.
        reason: String,
    },
    /// There is nothing in it.
    #[error("{} is empty: it has no picture{}", path.display(), unread_formats(unread))]
    Empty {
        /// The metadata or the folder.
        path: PathBuf,
        /// Files of formats that are not read, counted: `2 gif, 1 heic`; empty for none.
        unread: String,
    },
    /// The metadata name pictures, but none of the split.
    #[error(
        "{} names no picture of the split {}, whose folder is called {}",
        path.display(), split.name(), split.keywords().join(", or ")
    )]
    EmptySplit {
        /// The metadata.
        path: PathBuf,
        /// The split.
        split: Split,
    },
    /// The file as a whole is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The metadata file.
        path: PathBuf,
        /// What was found and what is expected.
        reason: String,
    },
    /// A line is cut off, is not JSON, or lacks a column.
    #[error("{}, line {line}: {reason}; every line must be a whole object with \"file_name\" and \"text\"", path.display())]
    Line {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, with the column.
        reason: String,
    },
    /// A row of a table is not as its header says.
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        /// The metadata file.
        path: PathBuf,
        /// The line that the row begins in, from 1.
        line: usize,
        /// What is wrong, with the column.
        reason: String,
    },
    /// A picture's name leads out of the folder.
    #[error("{}, line {line}: file_name {file_name:?} must be a path inside the folder{advice}", path.display())]
    Outside {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The offending name.
        file_name: String,
        /// What to do, as the end of a sentence; may be empty.
        advice: &'static str,
    },
    /// A picture is not there.
    #[error("{}, line {line}: there is no file {}{hint}", path.display(), picture.display())]
    Missing {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Where the picture should be.
        picture: PathBuf,
        /// What is there instead, as the end of a sentence; may be empty.
        hint: String,
    },
    /// A leaf id is unknown, or on both sides.
    #[error("{}, line {line}: {source}", path.display())]
    Labels {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with which leaf.
        source: CriteriaError,
    },
    /// A picture cannot be decoded, is not whole, or would need too much memory.
    #[error("{} cannot be read as a picture: {source}{hint}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What the decoder said.
        source: ImageError,
        /// What the file is, and what to do, as the end of a sentence; may be empty.
        hint: String,
    },
    /// Several pictures cannot be read.
    #[error("{} of {total} pictures cannot be read:{}", broken.len(), Listed(broken))]
    Pictures {
        /// The error of each.
        broken: Vec<ImageFolderError>,
        /// How many pictures were looked at.
        total: usize,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The metadata could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// A picture to be listed in metadata is not under their folder, or its name is not text.
    #[error(
        "{} cannot be named by the metadata in {}: it is not inside, or its name is not UTF-8",
        picture.display(), folder.display()
    )]
    NotInFolder {
        /// The picture.
        picture: PathBuf,
        /// The folder of the metadata.
        folder: PathBuf,
    },
    /// Somebody else has written the metadata since they were read.
    #[error("{} has changed in the meantime; nothing was written: start again", path.display())]
    Changed {
        /// The metadata file.
        path: PathBuf,
    },
}

struct Listed<'a>(&'a [ImageFolderError]);

impl Display for Listed<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for error in self.0.iter().take(NAMED) {
            write!(formatter, "\n  {error}")?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

fn unread_formats(counted: &str) -> String {
    if counted.is_empty() {
        return String::new();
    }
    format!(
        " of a format that is read, which are PNG, JPEG and WebP, but {counted}; convert them, for instance with \
             `magick mogrify -format png`"
    )
}
