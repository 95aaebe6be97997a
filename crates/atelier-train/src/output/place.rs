//! Folders that results are put into, tried before the work.

use super::OutputError;
use crate::atomic::PARTIAL;
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Component, Path, PathBuf},
};
use tempfile::Builder;

/// A folder into which files can be written. Dropped, it takes the folders away that were made for it and stayed empty.
#[derive(Debug)]
pub struct OutputPlace {
    path: PathBuf,
    _made: MadeFolders,
}

impl OutputPlace {
    /// Makes `folder`, if it is not there, and writes a file into it for a moment.
    ///
    /// # Errors
    /// [`OutputError`] says why nothing can be written there.
    pub fn prepare(folder: &Path) -> Result<Self, OutputError> {
        let path = resolve(folder)?;
        if path.exists() && !path.is_dir() {
            return Err(OutputError::NotAFolder { path: folder.to_owned() });
        }
        let made = MadeFolders::make(&path)
            .map_err(|source| OutputError::Write { path: folder.to_owned(), source })?;
        try_writing(&path, folder)?;
        Ok(Self { path, _made: made })
    }

    /// The folder, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file into `path` and removes it; messages call the folder `shown`.
pub(super) fn try_writing(path: &Path, shown: &Path) -> Result<(), OutputError> {
    let write = || {
        let mut file = Builder::new().prefix(PARTIAL).tempfile_in(path)?;
        file.write_all(&[0; 64])?;
        file.close()
    };
    write().map_err(|source: io::Error| {
        // The name of the file that was tried says nothing to anybody.
        let source = source.raw_os_error().map_or(source, io::Error::from_raw_os_error);
        OutputError::Write { path: shown.to_owned(), source }
    })
}

/// Folders that were made on the way to a place, the outermost first.
#[derive(Debug, Default)]
pub(super) struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes `path` and what is missing around it.
    pub fn make(path: &Path) -> io::Result<Self> {
        let mut made = Self::default();
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => made.0.push(folder.to_owned()),
                // By another process: it is not ours to take away.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }
}

impl Drop for MadeFolders {
    /// Takes the empty ones away; what holds a result stays.
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// `path` without links, `.` and `..`, whether it is there or not: two paths are one place if they are equal then.
///
/// # Errors
/// [`OutputError::Empty`], [`OutputError::DanglingLink`], [`OutputError::NotAFolder`] for a file that is taken for a folder.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OutputError> {
    if path.as_os_str().is_empty() {
        return Err(OutputError::Empty);
    }
    let failed = |source| OutputError::Write { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(failed)?;
    for ancestor in absolute.ancestors() {
        let mut resolved = match fs::canonicalize(ancestor) {
            Ok(resolved) => resolved,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if ancestor.symlink_metadata().is_ok() {
                    return Err(OutputError::DanglingLink { path: ancestor.to_owned() });
                }
                continue;
            }
            Err(source) => return Err(failed(source)),
        };
        let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
        if rest.as_os_str().is_empty() {
            return Ok(resolved);
        }
        if !resolved.is_dir() {
            return Err(OutputError::NotAFolder { path: ancestor.to_owned() });
        }
        // What is not there is no link, so `..` can be taken by name; what that leads to may be there again.
        let goes_back = rest.components().any(|part| part == Component::ParentDir);
        for part in rest.components() {
            match part {
                Component::ParentDir => {
                    resolved.pop();
                }
                part => resolved.push(part),
            }
        }
        return if goes_back { resolve(&resolved) } else { Ok(resolved) };
    }
    Err(failed(ErrorKind::NotFound.into()))
}

/// Refuses an output that is one of `inputs` or a folder around it, by whatever spelling. Each is a flag and its value;
/// inputs that are not there are left to those who read them.
///
/// # Errors
/// [`OutputError::Input`] names both; [`OutputError`] for a place that nothing can be written to.
pub fn refuse_input(output: (&str, &Path), inputs: &[(&str, &Path)]) -> Result<(), OutputError> {
    let (flag, path) = output;
    let place = resolve(path)?;
    for (input, of) in inputs {
        if fs::canonicalize(of).is_ok_and(|of| of.starts_with(&place)) {
            return Err(OutputError::Input {
                output: flag.to_owned(),
                path: path.to_owned(),
                input: (*input).to_owned(),
                of: (*of).to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_not_used_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b/c");
        drop(OutputPlace::prepare(&deep).expect("writable"));
        assert!(!folder.path().join("a").exists());
        let place = OutputPlace::prepare(&deep).expect("writable");
        fs::write(place.path().join("result"), "").expect("written");
        drop(place);
        assert!(deep.join("result").exists());
    }

    #[test]
    fn places_that_cannot_be_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        for path in [&file, &file.join("pictures"), &file.join("a/../b")] {
            let error = OutputPlace::prepare(path).expect_err("a file is in the way");
            assert!(matches!(error, OutputError::NotAFolder { .. }), "{error}");
        }
        assert!(OutputPlace::prepare(Path::new("")).expect_err("empty").is_usage());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn spellings_of_one_place_are_equal() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("model");
        fs::create_dir(&inside).expect("made");
        let expected = fs::canonicalize(&inside).expect("there");
        for spelling in ["model", "./model", "model/", "absent/../model", "absent/./deep/../../model"] {
            assert_eq!(resolve(&folder.path().join(spelling)).expect("a place"), expected, "{spelling}");
        }
        assert_eq!(resolve(&inside.join("new/part")).expect("a place"), expected.join("new/part"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_must_lead_somewhere() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("model");
        fs::create_dir(&model).expect("made");
        let alias = folder.path().join("alias");
        symlink(&model, &alias).expect("linked");
        assert_eq!(resolve(&alias).expect("a place"), fs::canonicalize(&model).expect("there"));
        for output in [&alias, &alias.join(".."), folder.path()] {
            let error = refuse_input(("--out", output), &[("--model", &model)]).expect_err("the same folder");
            assert!(error.is_usage(), "{error}");
        }
        refuse_input(("--out", &alias.join("half")), &[("--model", &model)]).expect("a new folder");
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("absent"), &dangling).expect("linked");
        let error = resolve(&dangling).expect_err("leads nowhere");
        assert!(matches!(error, OutputError::DanglingLink { .. }), "{error}");
    }
}
