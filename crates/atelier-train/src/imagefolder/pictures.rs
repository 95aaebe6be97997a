//! Reading the pictures of a data folder.

use super::ImageFolderError;
use atelier_core::picture;
use image::{ImageError, RgbImage};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

/// Pictures between two looks at the progress.
const PART: usize = 64;

/// The picture at `path`, upright; `PNG`, `JPEG` or `WebP`, recognised by its content.
///
/// # Errors
/// [`ImageFolderError`] names `path`, also where the picture is not whole or claims more pixels than memory should be given
/// for.
pub fn load(path: &Path) -> Result<RgbImage, ImageFolderError> {
    picture::decode(open(path)?).map_err(|source| picture_error(path, source))
}

/// The picture at `path`, upright, its centre cropped to a square and resized to `size` pixels a side.
///
/// # Errors
/// [`ImageFolderError`] names `path`.
pub fn load_square(path: &Path, size: u32) -> Result<RgbImage, ImageFolderError> {
    Ok(picture::centre_square(&load(path)?, size))
}

/// Width and height of the picture at `path`, upright; only its header is read.
///
/// # Errors
/// [`ImageFolderError`] names `path`.
pub fn dimensions(path: &Path) -> Result<[u32; 2], ImageFolderError> {
    picture::dimensions(open(path)?).map_err(|source| picture_error(path, source))
}

/// The [`dimensions`] of all of `paths`.
///
/// # Errors
/// If a header is broken, all pictures are decoded, so that [`ImageFolderError`] names every one that cannot be read.
pub fn all_dimensions(paths: &[&Path]) -> Result<Vec<[u32; 2]>, ImageFolderError> {
    let sizes = paths.par_iter().map(|path| dimensions(path)).collect::<Result<Vec<_>, _>>();
    sizes.map_err(|first| all_broken(first, paths))
}

/// Decodes all of `paths` to see whether they can be read. `progress` is told how many are done, and may break.
///
/// # Errors
/// [`ImageFolderError`] names every one that cannot.
pub fn check(
    paths: &[&Path],
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ImageFolderError> {
    let mut broken = Vec::new();
    for (part, done) in paths.chunks(PART).zip((0..).step_by(PART)) {
        let failed = part.par_iter().filter_map(|path| load(path).err());
        broken.extend(failed.collect::<Vec<_>>());
        if progress(done + part.len()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    match broken.len() {
        0 => Ok(ControlFlow::Continue(())),
        1 => Err(broken.remove(0)),
        _ => Err(ImageFolderError::Pictures { broken, total: paths.len() }),
    }
}

/// The error that names every one of `paths` that cannot be read; `first` is known to be one.
pub fn all_broken(first: ImageFolderError, paths: &[&Path]) -> ImageFolderError {
    check(paths, &mut |_| ControlFlow::Continue(())).err().unwrap_or(first)
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
        source => {
            let mut start = [0; 64];
            let length = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or_default();
            let hint = match source {
                ImageError::Limits(_) => {
                    "; a side may have 32,768 pixels, and all of them half a gibibyte".to_owned()
                }
                _ => hint(&start[..length]),
            };
            ImageFolderError::Picture { path: path.to_owned(), source, hint }
        }
    }
}

/// What a file that is no picture is, by its first bytes, and what to do, as the end of a sentence.
fn hint(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    let other = if start.is_empty() {
        "the file is empty"
    } else if start.iter().all(|&byte| byte == 0) {
        "the file begins with zeros: it was not copied or downloaded to its end"
    } else if ["<!doctype", "<html", "<?xml", "<head", "<svg"].iter().any(|tag| text.starts_with(tag)) {
        "it is a web page or another text with tags, as servers send it in place of a picture"
    } else if text.starts_with("version https://git-lfs") {
        "it is a pointer of Git LFS; fetch the picture with `git lfs pull`"
    } else if start.starts_with(&[0, 5, 0x16, 7]) {
        "it is what macOS keeps about another file; delete it"
    } else {
        return format_name(start).map_or_else(String::new, |name| {
            format!("; this is {name}, and PNG, JPEG and WebP are read: convert it, for instance with `magick mogrify -format png`")
        });
    };
    format!("; {other}")
}

/// The format of a picture that cannot be read.
fn format_name(start: &[u8]) -> Option<&'static str> {
    if start.get(4..8) == Some(b"ftyp") {
        return Some(match start.get(8..12)? {
            b"avif" | b"avis" => "AVIF",
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => "HEIC",
            _ => return None,
        });
    }
    let formats: [(&[u8], &str); 8] = [
        (b"BM", "BMP"),
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"8BPS", "Photoshop"),
        (&[0xff, 0x0a], "JPEG XL"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    ];
    formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| name)
}
