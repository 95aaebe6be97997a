//! Hugging Face imagefolders: pictures beside a `metadata.jsonl` with their captions and attributes.
//!
//! ```text
//! DIR/train/metadata.jsonl        or, without splits, DIR/metadata.jsonl
//! DIR/train/000001.png            {"file_name": "000001.png", "text": "…", "positive": [leaf ids], "negative": […]}
//! ```

use crate::atomic::{self, AtomicError};
use atelier_core::picture;
use atelier_criteria::{CriteriaError, CriteriaTree, Labels};
use image::{ImageError, RgbImage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader},
    path::{Component, Path, PathBuf},
};
use thiserror::Error;

/// The file with one JSON object for each picture.
pub const METADATA: &str = "metadata.jsonl";

/// Extensions of the pictures that can be read.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// A data folder, or a picture in it, cannot be used.
#[derive(Debug, Error)]
pub enum ImageFolderError {
    /// Neither the split nor the folder itself has metadata.
    #[error(
        "{}: no metadata.jsonl; looked for {} and {}",
        folder.display(), split.display(), plain.display()
    )]
    NoMetadata {
        /// The folder that was opened.
        folder: PathBuf,
        /// Where the split's metadata would be.
        split: PathBuf,
        /// Where the metadata of a folder without splits would be.
        plain: PathBuf,
    },
    /// There is nothing in it.
    #[error("{} is empty: it has no picture", path.display())]
    Empty {
        /// The metadata or the folder.
        path: PathBuf,
    },
    /// A line is cut off, is not JSON, or lacks a column.
    #[error("{}, line {line}: {source}; every line must be a whole object with \"file_name\" and \"text\"", path.display())]
    Line {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, with the column.
        source: serde_json::Error,
    },
    /// A picture's name leads out of the folder.
    #[error("{}, line {line}: file_name {file_name:?} must be a path inside the folder", path.display())]
    Outside {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The offending name.
        file_name: String,
    },
    /// A picture is not there.
    #[error("{}, line {line}: there is no file {}", path.display(), picture.display())]
    Missing {
        /// The metadata file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Where the picture should be.
        picture: PathBuf,
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
    /// A picture cannot be decoded, or would need too much memory.
    #[error("{} cannot be read as a picture: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What the decoder said.
        source: ImageError,
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
    /// A picture to be listed in the metadata is not under its folder.
    #[error("{} is not inside {}, so its metadata cannot name it", picture.display(), folder.display())]
    NotInFolder {
        /// The picture.
        picture: PathBuf,
        /// The folder of the metadata.
        folder: PathBuf,
    },
}

/// One picture with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Where the picture is.
    pub path: PathBuf,
    /// Its caption.
    pub text: String,
    /// Its active leaves.
    pub labels: Labels,
}

/// A line of `metadata.jsonl`.
#[derive(Serialize, Deserialize)]
struct Record {
    file_name: String,
    text: String,
    #[serde(default)]
    positive: Vec<String>,
    #[serde(default)]
    negative: Vec<String>,
    /// Columns of other programs, kept when the labels are written anew.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// The examples of one split.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFolder {
    folder: PathBuf,
    examples: Vec<Example>,
}

impl ImageFolder {
    /// Reads the metadata of `dir/split`, or of `dir` itself if it has no such split, and checks every line: its picture
    /// must exist and its leaves be in `tree`. Pictures are decoded later, by [`ImageFolder::load_image`].
    ///
    /// # Errors
    /// [`ImageFolderError`] names the file and the line.
    pub fn open(dir: &Path, split: &str, tree: &CriteriaTree) -> Result<Self, ImageFolderError> {
        let candidates = [dir.join(split), dir.to_owned()];
        let Some(folder) = candidates.iter().find(|folder| folder.join(METADATA).is_file()) else {
            let [split, plain] = candidates.map(|folder| folder.join(METADATA));
            return Err(ImageFolderError::NoMetadata { folder: dir.to_owned(), split, plain });
        };
        let path = folder.join(METADATA);
        let examples = read_records(&path)?
            .into_iter()
            .map(|(line, record)| {
                let picture = picture_path(folder, &path, line, &record.file_name)?;
                let labels = Labels { positive: record.positive, negative: record.negative };
                labels.validate(tree).map_err(|source| ImageFolderError::Labels {
                    path: path.clone(),
                    line,
                    source,
                })?;
                Ok(Example { path: picture, text: record.text, labels })
            })
            .collect::<Result<Vec<_>, ImageFolderError>>()?;
        if examples.is_empty() {
            return Err(ImageFolderError::Empty { path });
        }
        Ok(Self { folder: folder.clone(), examples })
    }

    /// The folder with the metadata.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its pictures, in the order of the metadata; never empty.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Picture `index` as planes of red, green and blue, `[3, size, size]` in `[-1, 1]`; see [`load_square`].
    ///
    /// # Errors
    /// [`ImageFolderError`] names a picture that cannot be read.
    ///
    /// # Panics
    /// If there is no example `index`.
    pub fn load_image(&self, index: usize, size: u32) -> Result<Vec<f32>, ImageFolderError> {
        Ok(picture::to_chw(&load_square(&self.examples[index].path, size)?))
    }
}

/// The picture at `path`, upright, its centre cropped to a square and resized to `size` pixels a side.
///
/// # Errors
/// [`ImageFolderError`] names `path`.
pub fn load_square(path: &Path, size: u32) -> Result<RgbImage, ImageFolderError> {
    Ok(picture::centre_square(&load(path)?, size))
}

/// The picture at `path`, upright; `PNG`, `JPEG` or `WebP`, recognised by its content.
///
/// # Errors
/// [`ImageFolderError`] names `path`, also where the picture claims more pixels than memory should be given for.
pub fn load(path: &Path) -> Result<RgbImage, ImageFolderError> {
    picture::decode(open(path)?).map_err(|source| picture_error(path, source))
}

/// Width and height of the picture at `path`, upright; only its header is read.
///
/// # Errors
/// [`ImageFolderError`] names `path`.
pub fn dimensions(path: &Path) -> Result<[u32; 2], ImageFolderError> {
    picture::dimensions(open(path)?).map_err(|source| picture_error(path, source))
}

fn open(path: &Path) -> Result<BufReader<File>, ImageFolderError> {
    let file = File::open(path).map_err(|source| ImageFolderError::Read { path: path.to_owned(), source })?;
    Ok(BufReader::new(file))
}

fn picture_error(path: &Path, source: ImageError) -> ImageFolderError {
    match source {
        ImageError::IoError(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            ImageFolderError::Read { path: path.to_owned(), source }
        }
        source => ImageFolderError::Picture { path: path.to_owned(), source },
    }
}

/// The pictures in `dir`, by extension and sorted by name, for folders without metadata; folders inside are not entered.
///
/// # Errors
/// [`ImageFolderError`] if `dir` cannot be read or has no picture.
pub fn pictures(dir: &Path) -> Result<Vec<PathBuf>, ImageFolderError> {
    let failed = |source| ImageFolderError::Read { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(ImageFolderError::Empty { path: dir.to_owned() });
    }
    Ok(found)
}

/// Writes `dir/metadata.jsonl` in one move; columns of other programs in an earlier file stay with their pictures.
///
/// # Errors
/// [`ImageFolderError`] if a picture is not in `dir`, an earlier file is broken, or the new one cannot be written; the
/// earlier one is untouched then.
pub fn write_metadata(dir: &Path, examples: &[Example]) -> Result<(), ImageFolderError> {
    let path = dir.join(METADATA);
    let earlier = if path.is_file() { read_records(&path)? } else { Vec::new() };
    let mut other: HashMap<String, Map<String, Value>> =
        earlier.into_iter().map(|(_, record)| (record.file_name, record.other)).collect();
    let records = examples
        .iter()
        .map(|example| {
            let file_name = file_name(dir, &example.path).ok_or_else(|| ImageFolderError::NotInFolder {
                picture: example.path.clone(),
                folder: dir.to_owned(),
            })?;
            Ok(Record {
                text: example.text.clone(),
                positive: example.labels.positive.clone(),
                negative: example.labels.negative.clone(),
                other: other.remove(&file_name).unwrap_or_default(),
                file_name,
            })
        })
        .collect::<Result<Vec<_>, ImageFolderError>>()?;
    atomic::write_file(&path, |writer| {
        for record in &records {
            serde_json::to_writer(&mut *writer, record)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The path of `picture` inside `dir` as metadata writes it: with slashes on every system.
fn file_name(dir: &Path, picture: &Path) -> Option<String> {
    let inside = picture.strip_prefix(dir).ok()?;
    let parts: Option<Vec<&str>> = inside
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
}

/// The records of a metadata file with their lines; blank lines are skipped.
fn read_records(path: &Path) -> Result<Vec<(usize, Record)>, ImageFolderError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ImageFolderError::Read { path: path.to_owned(), source })?;
    let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
    lines
        .map(|(line, text)| {
            let record = serde_json::from_str(text).map_err(|source| ImageFolderError::Line {
                path: path.to_owned(),
                line,
                source,
            })?;
            Ok((line, record))
        })
        .collect()
}

/// Where `file_name` of the given line is. Links are followed, as download caches are made of them; `..` is not.
fn picture_path(
    folder: &Path,
    metadata: &Path,
    line: usize,
    file_name: &str,
) -> Result<PathBuf, ImageFolderError> {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if file_name.is_empty() || !Path::new(file_name).components().all(inside) {
        return Err(ImageFolderError::Outside {
            path: metadata.to_owned(),
            line,
            file_name: file_name.to_owned(),
        });
    }
    let picture = folder.join(file_name);
    if !picture.is_file() {
        return Err(ImageFolderError::Missing { path: metadata.to_owned(), line, picture });
    }
    Ok(picture)
}

#[cfg(test)]
mod tests;
