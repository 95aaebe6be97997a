//! The file that says what the pictures of a folder are.

use super::{
    Example, ImageFolderError, csv, json_lines,
    names::{NameFault, Names},
    parquet, text,
};
use atelier_criteria::{CriteriaTree, Labels};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// The file with one JSON object for each picture.
pub const METADATA: &str = "metadata.jsonl";
/// All that `datasets` takes for metadata: the same as a table, as text and in columns.
const NAMES: [&str; 3] = [METADATA, "metadata.csv", "metadata.parquet"];

/// One line of metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The line that it begins in, from 1; of a Parquet file the number of the row.
    pub line: usize,
    /// The picture's name as it is written.
    pub file_name: String,
    /// The caption.
    pub text: String,
    /// The labels, which no tree has been asked about yet.
    pub labels: Labels,
}

/// How a metadata file is written, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    Csv,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Self::Csv,
            Some("parquet") => Self::Parquet,
            _ => Self::Lines,
        }
    }
}

/// A metadata file as it is.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    content: String,
    rows: Vec<Row>,
}

/// Whether `path` has the name of a metadata file.
pub fn is_metadata(path: &Path) -> bool {
    path.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

impl Metadata {
    /// The metadata file in `folder`, if there is one.
    ///
    /// # Errors
    /// [`ImageFolderError::TwoFiles`].
    pub fn find(folder: &Path) -> Result<Option<PathBuf>, ImageFolderError> {
        let found: Vec<&str> = NAMES.into_iter().filter(|name| folder.join(name).is_file()).collect();
        match found[..] {
            [] => Ok(None),
            [name] => Ok(Some(folder.join(name))),
            [first, second, ..] => {
                Err(ImageFolderError::TwoFiles { folder: folder.to_owned(), names: [first, second] })
            }
        }
    }

    /// Reads the metadata file at `path`, which has one row at least.
    ///
    /// # Errors
    /// [`ImageFolderError`] names the line.
    pub fn read(path: PathBuf) -> Result<Self, ImageFolderError> {
        let (content, rows) = match Format::of(&path) {
            Format::Parquet => (String::new(), parquet::read(&path)?),
            format => {
                let content = text::read(&path)?;
                let is_csv = format == Format::Csv;
                let rows =
                    if is_csv { csv::parse(&path, &content) } else { json_lines::parse(&path, &content) };
                (content, rows?)
            }
        };
        if rows.is_empty() {
            return Err(ImageFolderError::Empty { path, unread: String::new() });
        }
        Ok(Self { path, content, rows })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that its names start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Its rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The pictures of `rows`, which are some of the file's. Each must exist, and its leaves be in `tree`; one that is named
    /// twice counts twice, aloud.
    ///
    /// # Errors
    /// [`ImageFolderError`] names the line.
    pub fn examples<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a Row>,
        tree: &CriteriaTree,
    ) -> Result<Vec<Example>, ImageFolderError> {
        let mut names = Names::new(self.folder());
        let mut lines = HashMap::new();
        let mut twice = Vec::new();
        let mut examples = Vec::new();
        for row in rows {
            let (line, path) = (row.line, self.path.clone());
            let picture = names.find(&row.file_name).map_err(|fault| match fault {
                NameFault::Outside(advice) => ImageFolderError::Outside {
                    path: path.clone(),
                    line,
                    file_name: row.file_name.clone(),
                    advice,
                },
                NameFault::Missing(picture, hint) => {
                    ImageFolderError::Missing { path: path.clone(), line, picture, hint }
                }
            })?;
            row.labels.validate(tree).map_err(|source| ImageFolderError::Labels { path, line, source })?;
            if let Some(first) = lines.insert(picture.clone(), line) {
                twice.push((first, line, row.file_name.clone()));
            }
            examples.push(Example { path: picture, text: row.text.clone(), labels: row.labels.clone() });
        }
        if let Some((first, second, name)) = twice.first() {
            tracing::warn!(
                metadata = %self.path.display(),
                pictures = twice.len(),
                "pictures are named twice and count twice, as {name} in lines {first} and {second}"
            );
        }
        Ok(examples)
    }

    /// Whether labels can be written into it.
    ///
    /// # Errors
    /// [`ImageFolderError::ParquetLabels`].
    pub fn check_writable(&self) -> Result<(), ImageFolderError> {
        match Format::of(&self.path) {
            Format::Parquet => Err(ImageFolderError::ParquetLabels { path: self.path.clone() }),
            Format::Lines | Format::Csv => Ok(()),
        }
    }

    /// The text of the file with the labels of some rows replaced, and all else as it is; `labels` has an entry for each row.
    ///
    /// # Errors
    /// [`ImageFolderError::Changed`] if the file is not what was read; as [`Metadata::check_writable`].
    pub fn with_labels(&self, labels: &[Option<Labels>]) -> Result<String, ImageFolderError> {
        self.check_writable()?;
        if text::read(&self.path)? != self.content {
            return Err(ImageFolderError::Changed { path: self.path.clone() });
        }
        if Format::of(&self.path) == Format::Csv {
            csv::with_labels(&self.path, &self.content, labels)
        } else {
            Ok(json_lines::with_labels(&self.content, &self.rows, labels))
        }
    }

    /// The text of the file as it was read.
    pub fn content(&self) -> &str {
        &self.content
    }
}
