//! Folders in use.

use super::OutputError;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

/// The file by which a folder in use is known.
pub const LOCK: &str = ".atelier.lock";

/// Keeps other processes of Atelier out of a folder while it lives. The system lets go of it however the process ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Locks `folder` by the file at `path`, which need not lie in it. Where a file system knows no locks, a warning says so.
    ///
    /// # Errors
    /// [`OutputError::InUse`] names `folder` if another process has it; [`OutputError::Write`].
    pub fn acquire(path: PathBuf, folder: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Write { path: folder.to_owned(), source };
        loop {
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match file.try_lock() {
                // Otherwise the process that had it has just removed it.
                Ok(()) if is_still_at(&file, &path) => return Ok(Self { path, _file: file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(OutputError::InUse { path: folder.to_owned() });
                }
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(
                        folder = %folder.display(),
                        "cannot be locked ({error}): see to it that nothing else writes into it"
                    );
                    return Ok(Self { path, _file: file });
                }
            }
        }
    }
}

impl Drop for FolderLock {
    /// Removed while it is still locked: nobody can have locked it in between.
    fn drop(&mut self) {
        // With something in it, somebody else made it.
        if fs::metadata(&self.path).is_ok_and(|found| found.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(found)) => (opened.dev(), opened.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Elsewhere an open file cannot be replaced by another.
#[cfg(not(unix))]
fn is_still_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(LOCK);
        let held = FolderLock::acquire(path.clone(), folder.path()).expect("free");
        let error = FolderLock::acquire(path.clone(), folder.path()).expect_err("taken");
        assert!(matches!(error, OutputError::InUse { .. }), "{error}");
        drop(held);
        assert!(!path.exists());
        drop(FolderLock::acquire(path, folder.path()).expect("free again"));
    }

    #[test]
    fn what_a_killed_process_left_does_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(LOCK);
        fs::write(&path, "").expect("written");
        FolderLock::acquire(path, folder.path()).expect("nobody holds it");
    }
}
