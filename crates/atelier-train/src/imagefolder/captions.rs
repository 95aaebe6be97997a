//! Captions in text files beside pictures, as kohya's scripts have them: `a.png` and `a.txt`.

use super::{ImageFolderError, text};
use std::path::{Path, PathBuf};

/// Extensions of captions, the first before the second.
const EXTENSIONS: [&str; 2] = ["txt", "caption"];

/// The caption of the picture at `picture`, if it has one: the lines of its file, joined by spaces.
///
/// # Errors
/// [`ImageFolderError`] names a file that cannot be read.
pub fn beside(picture: &Path) -> Result<Option<String>, ImageFolderError> {
    let Some(path) = file(picture) else { return Ok(None) };
    let content = text::read(&path)?;
    let content = content.trim_start_matches(text::BYTE_ORDER_MARK);
    let lines = text::lines(content).map(|(_, range)| content[range].trim()).filter(|line| !line.is_empty());
    Ok(Some(lines.collect::<Vec<_>>().join(" ")))
}

fn file(picture: &Path) -> Option<PathBuf> {
    EXTENSIONS.iter().map(|extension| picture.with_extension(extension)).find(|path| path.is_file())
}
