//! Results of one file.

use super::{
    OutputError,
    ledger::Ledger,
    place::{OutputPlace, resolve},
};
use crate::atomic::{self, AtomicError};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The place of a file that will be written: nothing is there, or an earlier one of its kind.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    kind: &'static str,
    is_ours: fn(&Path) -> bool,
    _place: OutputPlace,
}

impl OutputFile {
    /// Looks whether a file of the `kind`, such as "calibration", can be written at `path`. A file that is there must be
    /// one that `is_ours` knows.
    ///
    /// # Errors
    /// [`OutputError`] says why it cannot.
    pub fn prepare(path: &Path, kind: &'static str, is_ours: fn(&Path) -> bool) -> Result<Self, OutputError> {
        let resolved = resolve(path)?;
        if resolved.is_dir() {
            return Err(OutputError::IsAFolder { path: path.to_owned() });
        }
        let place = OutputPlace::prepare(atomic::parent_of(&resolved)?)?;
        let file = Self { path: resolved, kind, is_ours, _place: place };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), OutputError> {
        if self.path.exists() && !(self.path.is_file() && (self.is_ours)(&self.path)) {
            return Err(OutputError::OtherFile { path: self.path.clone(), kind: self.kind });
        }
        Ok(())
    }

    /// Writes it in one move.
    ///
    /// # Errors
    /// [`OutputError::OtherFile`] if another file has appeared there; [`OutputError::Atomic`], and an earlier file is as it
    /// was.
    pub fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
        if self.path.exists() {
            self.check()?;
            atomic::write_file(&self.path, write)?;
        } else {
            atomic::create_file(&self.path, write).map_err(|error| match error {
                AtomicError::Exists { path } => OutputError::OtherFile { path, kind: self.kind },
                error => error.into(),
            })?;
        }
        // A model's folder stays wholly Atelier's with a calibration in it.
        match (self.path.parent(), self.path.file_name().and_then(|name| name.to_str())) {
            (Some(folder), Some(name)) => Ok(Ledger::note(folder, name)?),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn is_ours(path: &Path) -> bool {
        fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"ours"))
    }

    #[test]
    fn only_a_file_of_its_kind_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub/result");
        for content in ["ours 1", "ours 2"] {
            let file = OutputFile::prepare(&path, "result", is_ours).expect("a place");
            file.write(|writer| writer.write_all(content.as_bytes())).expect("written");
        }
        assert_eq!(fs::read_to_string(&path).expect("there"), "ours 2");
        let file = OutputFile::prepare(&path, "result", is_ours).expect("a place");
        fs::write(&path, "a thesis").expect("written");
        assert!(matches!(file.write(|_| Ok(())), Err(OutputError::OtherFile { .. })));
        assert!(matches!(OutputFile::prepare(&path, "result", is_ours), Err(OutputError::OtherFile { .. })));
        assert_eq!(fs::read_to_string(&path).expect("there"), "a thesis");
        let folder = OutputFile::prepare(folder.path(), "result", is_ours).expect_err("a folder");
        assert!(matches!(folder, OutputError::IsAFolder { .. }), "{folder}");
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("result");
        let file = OutputFile::prepare(&path, "result", is_ours).expect("a place");
        let written = file.write(|writer| {
            fs::write(&path, "a thesis")?;
            writer.write_all(b"ours")
        });
        assert!(matches!(written, Err(OutputError::OtherFile { .. })));
        assert_eq!(fs::read_to_string(&path).expect("there"), "a thesis");
    }
}
