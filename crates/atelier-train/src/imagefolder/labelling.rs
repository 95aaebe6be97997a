//! Labels on their way into metadata.

use super::{
    Example, ImageFolderError, Split, captions, data_folder,
    files::{Listing, split_folders},
    metadata::{METADATA, Metadata},
};
use crate::atomic;
use atelier_criteria::{CriteriaTree, Labels};
use serde::Serialize;
use std::{
    collections::HashSet,
    fs::File,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

/// Pictures, and the one file that has their captions and labels, or will have them.
#[derive(Debug)]
pub struct Labelling {
    /// The file, if there is one.
    metadata: Option<Metadata>,
    path: PathBuf,
    examples: Vec<Example>,
    unlisted: usize,
}

/// A line of a new `metadata.jsonl`.
#[derive(Serialize)]
struct Record<'a> {
    file_name: &'a str,
    text: &'a str,
    positive: &'a [String],
    negative: &'a [String],
}

impl Labelling {
    /// All pictures of the data folder `dir`, in the places where [`super::ImageFolder::open`] looks for them.
    ///
    /// A metadata file of `dir` itself is the place for all splits that have no file of their own. Without one, each folder of
    /// a split is a place, or else `dir`. Where there is no metadata file, captions come from text files beside the pictures,
    /// and where there is no such file, the caption is `caption`.
    ///
    /// # Errors
    /// [`ImageFolderError`] names what cannot be read, and folders without a picture.
    pub fn of_folder(dir: &Path, caption: &str, tree: &CriteriaTree) -> Result<Vec<Self>, ImageFolderError> {
        let dir = data_folder(dir)?;
        let splits = split_folders(&dir)?;
        let mut places = Vec::new();
        let mut own = Vec::new();
        for (_, folder) in &splits {
            if let Some(path) = Metadata::find(folder)? {
                own.push(folder.clone());
                places.push(Self::of_metadata(path, &[], tree)?);
            }
        }
        if let Some(path) = Metadata::find(&dir)? {
            places.insert(0, Self::of_metadata(path, &own, tree)?);
            return Ok(places);
        }
        let folders: Vec<PathBuf> = splits.iter().map(|(_, folder)| folder.clone()).collect();
        if !splits.iter().any(|(split, _)| *split == Split::Train) {
            // Pictures that are in no split are trained on.
            match Self::of_pictures(&dir, &folders, caption) {
                Err(ImageFolderError::Empty { .. }) if !folders.is_empty() => {}
                place => places.insert(0, place?),
            }
        }
        for folder in folders.iter().filter(|folder| !own.contains(folder)) {
            places.push(Self::of_pictures(folder, &[], caption)?);
        }
        Ok(places)
    }

    /// Those that the file at `path` names. Pictures in `without` belong to other files.
    fn of_metadata(
        path: PathBuf,
        without: &[PathBuf],
        tree: &CriteriaTree,
    ) -> Result<Self, ImageFolderError> {
        let metadata = Metadata::read(path)?;
        metadata.check_writable()?;
        let examples = metadata.examples(metadata.rows(), tree)?;
        let listing = Listing::read(metadata.folder(), without)?;
        listing.warn_of_unread(metadata.folder());
        let listed: HashSet<&Path> = examples.iter().map(|example| example.path.as_path()).collect();
        let unlisted = listing.pictures.iter().filter(|path| !listed.contains(path.as_path())).count();
        Ok(Self { path: metadata.path().to_owned(), metadata: Some(metadata), examples, unlisted })
    }

    /// Those in `folder` but for folders in `without`, which no file names yet.
    fn of_pictures(folder: &Path, without: &[PathBuf], caption: &str) -> Result<Self, ImageFolderError> {
        let listing = Listing::read(folder, without)?;
        if listing.pictures.is_empty() {
            return Err(ImageFolderError::Empty { path: folder.to_owned(), unread: listing.unread() });
        }
        listing.warn_of_unread(folder);
        let example = |path: PathBuf| {
            file_name(folder, &path)?;
            let text = captions::beside(&path)?.unwrap_or_else(|| caption.to_owned());
            Ok(Example { path, text, labels: Labels::default() })
        };
        let examples = listing.pictures.into_iter().map(example).collect::<Result<_, ImageFolderError>>()?;
        Ok(Self { metadata: None, path: folder.join(METADATA), examples, unlisted: 0 })
    }

    /// The file that [`Labelling::write`] writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there already.
    pub fn is_there(&self) -> bool {
        self.metadata.is_some()
    }

    /// The pictures, in the order of the file; never empty.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// How many pictures lie beside the file that it does not name.
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// Writes `labels`, one entry for each picture, in one move. Labels of pictures without an entry, captions, columns of
    /// other programs and the order of all of them stay as they are.
    ///
    /// # Errors
    /// [`ImageFolderError`] if the file has changed since it was read or cannot be written; the earlier one is untouched then.
    pub fn write(&self, labels: &[Option<Labels>]) -> Result<(), ImageFolderError> {
        let content = match &self.metadata {
            Some(metadata) => metadata.with_labels(labels)?,
            None if self.path.exists() => {
                return Err(ImageFolderError::Changed { path: self.path.clone() });
            }
            None => self.new_lines(labels)?,
        };
        Ok(atomic::write_file(&self.path, |writer| writer.write_all(content.as_bytes()))?)
    }

    fn new_lines(&self, labels: &[Option<Labels>]) -> Result<String, ImageFolderError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut lines = String::new();
        for (example, labels) in self.examples.iter().zip(labels) {
            let labels = labels.as_ref().unwrap_or(&example.labels);
            let record = Record {
                file_name: &file_name(folder, &example.path)?,
                text: &example.text,
                positive: &labels.positive,
                negative: &labels.negative,
            };
            let line = serde_json::to_string(&record)
                .map_err(|error| ImageFolderError::Read { path: self.path.clone(), source: error.into() })?;
            lines += &line;
            lines.push('\n');
        }
        Ok(lines)
    }

    /// Keeps a copy of the file as it is beside it, under a name that nothing has yet; gives its path, or none where there is
    /// no file.
    ///
    /// # Errors
    /// [`ImageFolderError::Read`] if it cannot be written.
    pub fn keep_copy(&self) -> Result<Option<PathBuf>, ImageFolderError> {
        let Some(metadata) = &self.metadata else { return Ok(None) };
        for number in 1_u32.. {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".backup-{number}"));
            let path = PathBuf::from(name);
            let failed = |source| ImageFolderError::Read { path: path.clone(), source };
            match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
                Ok(mut file) => {
                    let written = file.write_all(metadata.content().as_bytes());
                    written.and_then(|()| file.sync_all()).map_err(failed)?;
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }
}

/// The path of `picture` inside `folder` as metadata writes it: with slashes on every system.
pub fn file_name(folder: &Path, picture: &Path) -> Result<String, ImageFolderError> {
    let outside = || ImageFolderError::NotInFolder { picture: picture.to_owned(), folder: folder.to_owned() };
    let inside = picture.strip_prefix(folder).map_err(|_| outside())?;
    let part = |part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    };
    let parts: Option<Vec<&str>> = inside.components().map(part).collect();
    let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(outside)?;
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests;
