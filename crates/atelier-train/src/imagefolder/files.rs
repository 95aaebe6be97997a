//! What lies in a data folder.

use super::{ImageFolderError, Split};
use std::{
    collections::BTreeMap,
    fs::{self, DirEntry},
    path::{Path, PathBuf},
};

/// Extensions of the pictures that can be read.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "jpe", "jfif", "webp"];
/// Extensions of pictures that cannot be read.
const UNREAD: [&str; 26] = [
    "avif", "bmp", "cr2", "cr3", "dib", "dng", "arw", "exr", "gif", "heic", "heif", "ico", "j2k", "jp2",
    "jxl", "nef", "orf", "pgm", "ppm", "psd", "qoi", "raf", "svg", "tga", "tif", "tiff",
];
/// Extensions of files that may be meant as metadata.
const TABLES: [&str; 9] = ["json", "jsonl", "json1", "ndjson", "csv", "tsv", "parquet", "xlsx", "arrow"];

/// The pictures in a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that can be read, sorted by path.
    pub pictures: Vec<PathBuf>,
    /// How many there are of formats that cannot, by extension.
    unread: BTreeMap<String, usize>,
}

impl Listing {
    /// The pictures in `folder` and in folders inside, but for those in `without`. As in `datasets`, hidden files and
    /// folders (`.DS_Store`, `._a.jpg`) and folders like `__MACOSX` are passed over; links to folders are not followed.
    ///
    /// # Errors
    /// [`ImageFolderError::Read`] names a folder that cannot be read.
    pub fn read(folder: &Path, without: &[PathBuf]) -> Result<Self, ImageFolderError> {
        let mut listing = Self::default();
        listing.add(folder, without)?;
        listing.pictures.sort();
        Ok(listing)
    }

    fn add(&mut self, folder: &Path, without: &[PathBuf]) -> Result<(), ImageFolderError> {
        for entry in visible(folder)? {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder {
                if !without.contains(&path) && !entry.file_name().to_string_lossy().starts_with("__") {
                    self.add(&path, without)?;
                }
                continue;
            }
            let extension = extension(&path);
            if EXTENSIONS.contains(&extension.as_str()) && path.is_file() {
                self.pictures.push(path);
            } else if UNREAD.contains(&extension.as_str()) {
                *self.unread.entry(extension).or_default() += 1;
            }
        }
        Ok(())
    }

    /// The files of formats that cannot be read, counted: `2 gif, 1 heic`; empty for none.
    pub fn unread(&self) -> String {
        let counted: Vec<String> =
            self.unread.iter().map(|(extension, count)| format!("{count} {extension}")).collect();
        counted.join(", ")
    }

    /// Says aloud how many files are of formats that cannot be read.
    pub fn warn_of_unread(&self, folder: &Path) {
        if !self.unread.is_empty() {
            tracing::warn!(
                folder = %folder.display(),
                files = self.unread(),
                "pictures of formats that are not read are left out; PNG, JPEG and WebP are read: convert the others, for \
                 instance with `magick mogrify -format png`"
            );
        }
    }
}

/// The folders of splits directly in `folder`, in the order of the splits.
///
/// # Errors
/// [`ImageFolderError::Read`] if `folder` cannot be read.
pub fn split_folders(folder: &Path) -> Result<Vec<(Split, PathBuf)>, ImageFolderError> {
    let entries = visible(folder)?.into_iter().filter(|entry| entry.path().is_dir());
    let mut found: Vec<(Split, PathBuf)> = entries
        .filter_map(|entry| Some((Split::of_folder(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort();
    Ok(found)
}

/// Files in `folder` that may be meant as its metadata, with what to do about them, as the end of a sentence.
pub fn instead_of_metadata(folder: &Path) -> String {
    let mut found = Vec::new();
    let mut entries = visible(folder).unwrap_or_default();
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let lower = name.to_lowercase();
        if entry.path().is_dir() {
            for inner in ["metadata.jsonl", "metadata.csv"] {
                if entry.path().join(inner).is_file() {
                    found.push(format!("{name}/{inner} (give the folder {name})"));
                }
            }
        } else if TABLES.contains(&extension(&entry.path()).as_str()) || lower.starts_with("metadata") {
            let advice = match extension(&entry.path()).as_str() {
                "csv" => " (rename it to metadata.csv)",
                "json" => " (make it lines with `jq -c '.[]'` and name it metadata.jsonl)",
                "jsonl" | "json1" | "ndjson" | "txt" => " (rename it to metadata.jsonl)",
                "tsv" | "xlsx" => " (save it as metadata.csv)",
                _ => "",
            };
            found.push(name + advice);
        }
    }
    if found.is_empty() { String::new() } else { format!("; found {}", found.join(", ")) }
}

/// What is in `folder` and not hidden.
fn visible(folder: &Path) -> Result<Vec<DirEntry>, ImageFolderError> {
    let failed = |source| ImageFolderError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(entries.into_iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).collect())
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_passed_over_and_other_formats_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for inner in ["sea", ".git", "__MACOSX", "test"] {
            fs::create_dir(path(inner)).expect("made");
            fs::write(path(inner).join("1.jpg"), "").expect("written");
        }
        for name in
            ["IMG.JPG", "b.Png", "._IMG.JPG", ".DS_Store", "Thumbs.db", "c.bmp", "d.TIF", "e.gif", "f.gif"]
        {
            fs::write(path(name), "").expect("written");
        }
        let listing = Listing::read(folder.path(), &[path("test")]).expect("a listing");
        assert_eq!(listing.pictures, ["IMG.JPG", "b.Png", "sea/1.jpg"].map(path));
        assert_eq!(listing.unread(), "1 bmp, 2 gif, 1 tif");
        assert_eq!(split_folders(folder.path()).expect("folders"), [(Split::Test, path("test"))]);
    }

    #[test]
    fn files_with_almost_the_right_name_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(instead_of_metadata(folder.path()), "");
        for name in ["captions.csv", "metadata.json1", "metadata.jsonl.txt", "notes.txt"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let found = instead_of_metadata(folder.path());
        assert_eq!(
            found,
            "; found captions.csv (rename it to metadata.csv), metadata.json1 (rename it to metadata.jsonl), \
             metadata.jsonl.txt (rename it to metadata.jsonl)"
        );
    }
}
