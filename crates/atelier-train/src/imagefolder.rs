//! Folders of pictures with captions and attributes, as `datasets` of Hugging Face reads them (`imagefolder`).
//!
//! ```text
//! DIR/metadata.jsonl              {"file_name": "000001.png", "text": "…", "positive": [leaf ids], "negative": […]}
//! DIR/metadata.csv                or as a table: file_name,text,positive,negative, with the ids separated by semicolons
//! DIR/metadata.parquet            or the same in columns
//! DIR/000001.txt                  or, where none is, captions beside pictures, as kohya's scripts have them
//! ```
//!
//! Training, validation and test data are told apart by folders, see [`Split`]. Each may have metadata of its own
//! (`DIR/train/metadata.jsonl`), or one file in `DIR` names the pictures of all (`train/000001.png`): each split then has its
//! rows. Pictures that no folder puts into a split are trained on.

mod captions;
mod columns;
mod csv;
mod error;
mod files;
mod json_lines;
mod labelling;
mod metadata;
mod names;
mod parquet;
mod pictures;
mod splits;
mod text;

pub use error::ImageFolderError;
pub use labelling::Labelling;
pub use metadata::METADATA;
pub use pictures::{all_broken, all_dimensions, check, dimensions, load, load_square};
pub use splits::Split;

use atelier_core::picture;
use atelier_criteria::{CriteriaTree, Labels};
use files::{Listing, instead_of_metadata, split_folders};
use metadata::{Metadata, Row, is_metadata};
use std::path::{Path, PathBuf};

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

/// The examples of one split.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFolder {
    folder: PathBuf,
    examples: Vec<Example>,
}

impl ImageFolder {
    /// Reads the metadata of `split` in `dir`, or of `dir` itself if it has no such folder, and checks every line: its picture
    /// must exist and its leaves be in `tree`. Pictures are decoded later, by [`ImageFolder::load_image`]. A `dir` without
    /// splits is any split.
    ///
    /// # Errors
    /// [`ImageFolderError`] names the file and the line.
    pub fn open(dir: &Path, split: Split, tree: &CriteriaTree) -> Result<Self, ImageFolderError> {
        let dir = &data_folder(dir)?;
        let mut own = split_folders(dir)?;
        own.retain(|(found, _)| *found == split);
        let root = Metadata::find(dir)?;
        let mut metadata = Vec::new();
        for (_, folder) in &own {
            metadata.extend(Metadata::find(folder)?.map(Metadata::read).transpose()?);
        }
        if let Some(first) = metadata.first() {
            if let Some(root) = root {
                let (root, first) = (root.display(), first.path().display());
                tracing::warn!("{root} is not read for the split {}, as {first} is there", split.name());
            }
            if metadata.len() < own.len() {
                tracing::warn!(
                    folder = %dir.display(),
                    "some folders of the split {} have no metadata and are left out", split.name()
                );
            }
            return Self::of_metadata(dir, &metadata, tree);
        }
        if let Some(root) = root {
            let root = Metadata::read(root)?;
            let examples = root.examples(rows_of(split, &root)?, tree)?;
            return Ok(Self { folder: dir.clone(), examples });
        }
        let examples = captioned(dir, split)?;
        if !examples.is_empty() {
            return Ok(Self { folder: dir.clone(), examples });
        }
        let mut found = instead_of_metadata(dir);
        for (_, folder) in own {
            found += &instead_of_metadata(&folder);
        }
        let [split, plain] = [dir.join(split.name()), dir.clone()].map(|folder| folder.join(METADATA));
        Err(ImageFolderError::NoMetadata { folder: dir.clone(), split, plain, found })
    }

    /// All that the files of a split name.
    fn of_metadata(dir: &Path, files: &[Metadata], tree: &CriteriaTree) -> Result<Self, ImageFolderError> {
        let examples = files.iter().map(|file| file.examples(file.rows(), tree));
        let examples = examples.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let folder = if let [file] = files { file.folder() } else { dir };
        Ok(Self { folder: folder.to_owned(), examples })
    }

    /// The folder with the metadata; that of all splits where several folders have some.
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

/// The data folder that `path` means: itself, or the folder of a metadata file.
fn data_folder(path: &Path) -> Result<PathBuf, ImageFolderError> {
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if !path.is_file() {
        return Err(ImageFolderError::NoFolder { path: path.to_owned() });
    }
    if !is_metadata(path) {
        return Err(ImageFolderError::NotAFolder { path: path.to_owned() });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tracing::info!(folder = %folder.display(), "the data are the folder of this metadata file");
    Ok(folder.to_owned())
}

/// The rows of `split` in the metadata of a whole data folder.
fn rows_of(split: Split, metadata: &Metadata) -> Result<Vec<&Row>, ImageFolderError> {
    let of = |row: &Row| Split::of_path(&names::inside(&row.file_name)?);
    let (rows, left_out) = part_of(split, metadata.rows().iter().map(|row| (of(row), row)).collect());
    if rows.is_empty() {
        return Err(ImageFolderError::EmptySplit { path: metadata.path().to_owned(), split });
    }
    if left_out > 0 {
        tracing::warn!(
            metadata = %metadata.path().display(),
            rows = left_out,
            "rows name pictures in no folder of a split and are left out, while others are in one"
        );
    }
    Ok(rows)
}

/// Those of `split` among things that may be in one: all, if none is in any. What is in none is trained on if nothing is in the
/// folder for that, and is otherwise left out; the second result counts it.
fn part_of<T>(split: Split, things: Vec<(Option<Split>, T)>) -> (Vec<T>, usize) {
    let has = |wanted: Option<Split>| things.iter().any(|(found, _)| *found == wanted);
    let has_splits = Split::ALL.into_iter().any(|split| has(Some(split)));
    let is_chosen = has(Some(split)) || has_splits && split != Split::Train;
    let wanted = is_chosen.then_some(split);
    let left_out = things.iter().filter(|(found, _)| wanted.is_some() && found.is_none()).count();
    let chosen = things.into_iter().filter(|(found, _)| *found == wanted);
    (chosen.map(|(_, thing)| thing).collect(), left_out)
}

/// The pictures of `split` in `dir` with the captions beside them; nothing where no picture has one.
fn captioned(dir: &Path, split: Split) -> Result<Vec<Example>, ImageFolderError> {
    let listing = Listing::read(dir, &[])?;
    let of = |path: &Path| Split::of_path(path.strip_prefix(dir).ok()?);
    let (pictures, _) =
        part_of(split, listing.pictures.iter().map(|path| (of(path), path.clone())).collect());
    let mut without = 0;
    let mut examples = Vec::with_capacity(pictures.len());
    for path in pictures {
        let text = captions::beside(&path)?;
        without += usize::from(text.is_none());
        examples.push(Example { path, text: text.unwrap_or_default(), labels: Labels::default() });
    }
    if without == examples.len() {
        return Ok(Vec::new());
    }
    listing.warn_of_unread(dir);
    if without > 0 {
        tracing::warn!(
            folder = %dir.display(),
            pictures = without,
            all = examples.len(),
            "pictures have no .txt file beside them: their caption is empty"
        );
    }
    Ok(examples)
}

#[cfg(test)]
mod tests;
