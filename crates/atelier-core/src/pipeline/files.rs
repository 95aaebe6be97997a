//! The files of a model folder.

use super::{PipelineError, names::is_inside};
use crate::weights::WeightsFile;
use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use {super::names::links_stay_inside, crate::weights::WeightsError};

/// What is expected where a file is missing.
const EXPECTED: &str = "a diffusers model folder is expected (model_index.json, unet/, vae/, …)";

/// Where the files of a model come from: a folder, or what a browser has downloaded.
pub trait ModelFiles {
    /// The bytes of the file at `path`, relative to the model folder with `/` between its parts.
    ///
    /// # Errors
    /// [`PipelineError::File`] names it.
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError>;

    /// Whether there is a file at `path`, or a link that leads to none: reading it then says so.
    fn contains(&self, path: &str) -> bool;

    /// Names of the files in `folder`, sorted; none if there is no such folder.
    fn names(&self, folder: &str) -> Vec<String>;

    /// The path of the file `name` that a file of `folder` speaks of: what others have written may not lead out of the folder.
    ///
    /// # Errors
    /// [`PipelineError::Outside`].
    fn mentioned(&self, folder: &str, name: &str) -> Result<String, PipelineError> {
        if is_inside(name) {
            return Ok(format!("{folder}/{name}"));
        }
        Err(PipelineError::Outside { folder: folder.to_owned(), name: name.to_owned() })
    }

    /// The safetensors file at `path`.
    ///
    /// # Errors
    /// [`PipelineError`] names it.
    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        WeightsFile::from_bytes(path, self.read(path)?).map_err(|error| PipelineError::weights(path, error))
    }
}

impl<F: ModelFiles + ?Sized> ModelFiles for &F {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        (**self).read(path)
    }

    fn contains(&self, path: &str) -> bool {
        (**self).contains(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        (**self).names(folder)
    }

    fn mentioned(&self, folder: &str, name: &str) -> Result<String, PipelineError> {
        (**self).mentioned(folder, name)
    }

    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        (**self).weights(path)
    }
}

/// Files in memory, by relative path.
impl ModelFiles for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        self.get(path)
            .cloned()
            .ok_or_else(|| PipelineError::File { path: path.to_owned(), reason: "is missing".to_owned() })
    }

    fn contains(&self, path: &str) -> bool {
        self.contains_key(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = |path: &String| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        self.keys().filter_map(below).filter(|name| !name.contains('/')).collect()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ModelFiles for std::path::Path {
    fn read(&self, path: &str) -> Result<Vec<u8>, PipelineError> {
        let full = self.join(path);
        std::fs::read(&full).map_err(|error| unreadable(&full, &error))
    }

    fn contains(&self, path: &str) -> bool {
        let full = self.join(path);
        full.symlink_metadata().is_ok() && !full.is_dir()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = self.join(folder).read_dir() else { return Vec::new() };
        let files = entries.flatten().filter(|entry| !entry.path().is_dir());
        let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn mentioned(&self, folder: &str, name: &str) -> Result<String, PipelineError> {
        if is_inside(name) && links_stay_inside(&self.join(folder), name) {
            return Ok(format!("{folder}/{name}"));
        }
        Err(PipelineError::Outside { folder: folder.to_owned(), name: name.to_owned() })
    }

    fn weights(&self, path: &str) -> Result<WeightsFile, PipelineError> {
        let full = self.join(path);
        WeightsFile::open(&full).map_err(|error| match error {
            WeightsError::Io { source, .. } => unreadable(&full, &source),
            error => PipelineError::weights(path, error),
        })
    }
}

/// Why the file at `path` could not be read, and what to do.
#[cfg(not(target_arch = "wasm32"))]
fn unreadable(path: &std::path::Path, error: &std::io::Error) -> PipelineError {
    let reason = match path.read_link() {
        Ok(target) if error.kind() == std::io::ErrorKind::NotFound => format!(
            "is a link to {}, which is not there: the download is not complete; download the model again",
            target.display()
        ),
        _ => format!("{error}; {EXPECTED}"),
    };
    PipelineError::File { path: path.display().to_string(), reason }
}

/// The error of a file that is not in `files`.
pub(super) fn missing(path: String) -> PipelineError {
    PipelineError::File { path, reason: format!("is missing; {EXPECTED}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_memory(paths: &[&str]) -> BTreeMap<String, Vec<u8>> {
        paths.iter().map(|path| ((*path).to_owned(), Vec::new())).collect()
    }

    #[test]
    fn names_are_those_of_one_folder() {
        let files = in_memory(&["unet/a", "unet/b", "unet/c/d", "unet2/e", "f"]);
        assert_eq!(files.names("unet"), ["a", "b"]);
        assert!(files.names("vae").is_empty());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("unet/c")).unwrap();
        for name in ["unet/b", "unet/a"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(folder.path().names("unet"), ["a", "b"]);
        assert!(folder.path().names("vae").is_empty());
    }

    #[test]
    fn what_files_speak_of_stays_in_their_folder() {
        let files = in_memory(&[]);
        assert_eq!(files.mentioned("unet", "a.safetensors").unwrap(), "unet/a.safetensors");
        let error = files.mentioned("unet", "../../a.safetensors").unwrap_err().to_string();
        assert!(error.contains("`../../a.safetensors`") && error.contains("unet"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_into_a_hub_cache_and_nowhere_else() {
        use std::os::unix::fs::symlink;

        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("models--org--tiny");
        let unet = cache.join("snapshots/abc/unet");
        std::fs::create_dir_all(&unet).unwrap();
        std::fs::create_dir_all(cache.join("blobs")).unwrap();
        for name in ["models--org--tiny/blobs/1", "secret"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        symlink("../../../blobs/1", unet.join("blob")).unwrap();
        symlink("../../../../secret", unet.join("away")).unwrap();
        symlink("../../../blobs/2", unet.join("dangling")).unwrap();
        let snapshot = cache.join("snapshots/abc");
        assert!(snapshot.as_path().mentioned("unet", "blob").is_ok());
        assert!(snapshot.as_path().mentioned("unet", "away").is_err());
        // That it leads nowhere is said when it is read.
        assert!(snapshot.as_path().mentioned("unet", "dangling").is_ok());
        assert!(snapshot.as_path().contains("unet/dangling"));
        let error = snapshot.as_path().weights("unet/dangling").unwrap_err().to_string();
        assert!(
            error.contains("unet/dangling: is a link to ../../../blobs/2, which is not there"),
            "{error}"
        );
    }
}
