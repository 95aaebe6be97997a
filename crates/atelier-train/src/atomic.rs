//! Files that appear whole or not at all.
//!
//! New content goes to a temporary neighbour, is flushed to the disk and takes the final name in one move. A full disk or
//! a crash on the way leaves what was there before. Which names may be taken is decided in [`crate::output`].

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile};
use thiserror::Error;

/// An output could not be written; what was there before is untouched.
#[derive(Debug, Error)]
pub enum AtomicError {
    /// Creating, writing or renaming failed: no permission, a full disk.
    #[error("cannot write {}: {source}; what was there before is untouched", path.display())]
    Write {
        /// The final path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name of a new file is taken.
    #[error("{} exists already, and is left as it is", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The path is a root or ends in `..`.
    #[error("cannot write {}: the path has no file name", path.display())]
    Name {
        /// The path.
        path: PathBuf,
    },
}

/// The beginning of the names of everything that is not complete.
pub(crate) const PARTIAL: &str = ".partial-";

/// Writes the file at `path` with `write`, in place of one that may be there; missing parent folders are created.
///
/// # Errors
/// [`AtomicError`] names `path`; the temporary file is removed and an earlier file kept.
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), AtomicError> {
    let failed = |source| AtomicError::Write { path: path.to_owned(), source };
    let parent = parent_of(path)?;
    let temporary = temporary_file(parent, write).map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    sync_directory(parent).map_err(failed)
}

/// As [`write_file`], but only where there is nothing at `path` yet: of several programs that try the same name at once,
/// one gets it.
///
/// # Errors
/// [`AtomicError::Exists`] if the name is taken; otherwise as [`write_file`].
pub fn create_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), AtomicError> {
    let failed = |source| AtomicError::Write { path: path.to_owned(), source };
    // Of folders on the way, the same error says something else.
    let taken = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => AtomicError::Exists { path: path.to_owned() },
        _ => failed(source),
    };
    let parent = parent_of(path)?;
    let temporary = temporary_file(parent, write).map_err(failed)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(error.error)),
        // Some file systems, such as that of memory cards, can neither link files nor rename without replacing: there the
        // name is taken by an empty file first.
        Err(error) => {
            File::create_new(path).map_err(taken)?;
            error.file.persist(path).map_err(|error| {
                let _ = fs::remove_file(path);
                failed(error.error)
            })?;
        }
    }
    sync_directory(parent).map_err(failed)
}

/// A complete file in `parent` that has no name to last yet.
fn temporary_file(
    parent: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<NamedTempFile<File>> {
    fs::create_dir_all(parent)?;
    // `make_in` instead of `tempfile_in`: the result has the permissions of any other new file.
    let temporary = Builder::new().prefix(PARTIAL).make_in(parent, |name| File::create_new(name))?;
    let mut buffer = BufWriter::new(temporary.as_file());
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

pub(crate) fn parent_of(path: &Path) -> Result<&Path, AtomicError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(_)) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        (Some(parent), Some(_)) => Ok(parent),
        _ => Err(AtomicError::Name { path: path.to_owned() }),
    }
}

/// Flushes everything in `directory` to the disk.
pub(crate) fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_directory(directory)
}

/// A rename is on the disk when its folder is; only Unix lets a folder be opened for that.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_in_new_folders_and_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/file.txt");
        for content in ["first", "second"] {
            write_file(&path, |writer| writer.write_all(content.as_bytes())).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("readable"), content);
        }
        assert_eq!(names(&folder.path().join("a/b")), ["file.txt"]);
    }

    #[test]
    fn a_full_disk_leaves_the_earlier_file_and_no_rubbish() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.txt");
        fs::write(&path, "earlier").expect("written");
        let error = write_file(&path, |writer| {
            writer.write_all(b"half of the")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .expect_err("the disk is full");
        assert!(error.to_string().contains("file.txt"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "earlier");
        assert_eq!(names(folder.path()), ["file.txt"]);
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        let error = write_file(Path::new("/"), |_| Ok(())).expect_err("no name");
        assert!(matches!(error, AtomicError::Name { .. }));
    }

    #[test]
    fn a_new_name_is_taken_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/file.txt");
        create_file(&path, |writer| writer.write_all(b"first")).expect("written");
        let error = create_file(&path, |writer| writer.write_all(b"second")).expect_err("the name is taken");
        assert!(matches!(error, AtomicError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "first");
        assert_eq!(names(&folder.path().join("a")), ["file.txt"]);
    }
}
