//! Files and folders that appear whole or not at all.
//!
//! New content goes to a temporary neighbour, is flushed to the disk and takes the final name in one move. A full disk or
//! a crash on the way leaves what was there before.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::{Builder, TempDir};
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
    /// The path is a root or ends in `..`.
    #[error("cannot write {}: the path has no file name", path.display())]
    Name {
        /// The path.
        path: PathBuf,
    },
}

/// Writes the file at `path` with `write`; missing parent folders are created.
///
/// # Errors
/// [`AtomicError`] names `path`; the temporary file is removed and an earlier file kept.
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), AtomicError> {
    let failed = |source| AtomicError::Write { path: path.to_owned(), source };
    let parent = parent_of(path)?;
    fs::create_dir_all(parent).map_err(failed)?;
    let write_and_rename = || {
        // `make_in` instead of `tempfile_in`: the result has the permissions of any other new file.
        let temporary = Builder::new().prefix(".partial-").make_in(parent, |name| File::create_new(name))?;
        let mut buffer = BufWriter::new(temporary.as_file());
        write(&mut buffer)?;
        buffer.flush()?;
        drop(buffer);
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        sync_directory(parent)
    };
    write_and_rename().map_err(failed)
}

/// Makes an empty folder beside `path`, to be filled and handed to [`replace_directory`]; dropped, it is deleted.
///
/// # Errors
/// [`AtomicError`] names `path`.
pub fn temporary_directory(path: &Path) -> Result<TempDir, AtomicError> {
    let failed = |source| AtomicError::Write { path: path.to_owned(), source };
    let parent = parent_of(path)?;
    fs::create_dir_all(parent).map_err(failed)?;
    let mut builder = Builder::new();
    builder.prefix(".partial-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The default of `tempfile` hides the folder from others, even after it took its final name.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(parent).map_err(failed)
}

/// Moves the folder `temporary` to `path`, in place of a folder that may be there.
///
/// Both must be on one file system: make `temporary` with [`temporary_directory`].
///
/// # Errors
/// [`AtomicError`] names `path`; an earlier folder is put back.
pub fn replace_directory(temporary: &Path, path: &Path) -> Result<(), AtomicError> {
    let failed = |source| AtomicError::Write { path: path.to_owned(), source };
    let parent = parent_of(path)?;
    sync_tree(temporary).map_err(failed)?;
    if !path.exists() {
        fs::rename(temporary, path).map_err(failed)?;
    } else {
        let aside = temporary_directory(path)?;
        let earlier = aside.path().join("earlier");
        fs::rename(path, &earlier).map_err(failed)?;
        if let Err(source) = fs::rename(temporary, path) {
            if fs::rename(&earlier, path).is_err() {
                // Not deleted with the temporary folder: it is the only copy.
                let _ = aside.keep();
            }
            return Err(failed(source));
        }
    }
    sync_directory(parent).map_err(failed)
}

fn parent_of(path: &Path) -> Result<&Path, AtomicError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(_)) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        (Some(parent), Some(_)) => Ok(parent),
        _ => Err(AtomicError::Name { path: path.to_owned() }),
    }
}

fn sync_tree(directory: &Path) -> io::Result<()> {
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
fn sync_directory(directory: &Path) -> io::Result<()> {
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
    fn a_folder_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        for name in ["old.bin", "new.bin"] {
            let temporary = temporary_directory(&path).expect("made");
            fs::create_dir(temporary.path().join("part")).expect("made");
            fs::write(temporary.path().join("part").join(name), name).expect("written");
            replace_directory(&temporary.keep(), &path).expect("moved");
        }
        assert_eq!(names(&path.join("part")), ["new.bin"]);
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn a_missing_temporary_folder_keeps_the_earlier_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("weights"), "earlier").expect("written");
        let error = replace_directory(&folder.path().join("absent"), &path).expect_err("nothing to move");
        assert!(error.to_string().contains("model"), "{error}");
        assert_eq!(names(&path), ["weights"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_folder_is_as_readable_as_its_neighbours() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let ordinary = folder.path().join("ordinary");
        fs::create_dir(&ordinary).expect("made");
        let path = folder.path().join("model");
        replace_directory(&temporary_directory(&path).expect("made").keep(), &path).expect("moved");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&path), mode(&ordinary));
    }
}
