//! Results of a whole folder.

use super::{
    OutputError,
    ledger::{self, Contents, Ledger},
    lock::{FolderLock, LOCK},
    place::{MadeFolders, resolve, try_writing},
};
use crate::atomic::{self, PARTIAL};
use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};
use tempfile::{Builder, TempDir};

/// A folder that is being written: it fills out of sight, and takes its place when it is complete.
///
/// Where there is nothing yet, it is made beside its place and moved there. Where there is a folder already, it is made in
/// it, and then changes places with what is in it: the folder itself may be somebody's current folder, what a link leads
/// to, or a mounted disk. Dropped before it is complete, it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFolder {
    shown: PathBuf,
    path: PathBuf,
    /// What is in the folder that is there.
    earlier: Option<Contents>,
    has_ledger: bool,
    // Dropped in this order.
    stage: TempDir,
    _lock: FolderLock,
    _made: MadeFolders,
}

impl OutputFolder {
    /// Locks the place of `path` and looks whether a folder can be written there: in place of nothing, or of what Atelier
    /// wrote itself.
    ///
    /// # Errors
    /// [`OutputError::Occupied`] names what is not Atelier's; [`OutputError`].
    pub fn prepare(path: &Path) -> Result<Self, OutputError> {
        Self::begin(path, true)
    }

    /// As [`Self::prepare`], but never in place of anything: for folders that people work on, as data sets are.
    ///
    /// # Errors
    /// [`OutputError::NotEmpty`]; [`OutputError`].
    pub fn prepare_new(path: &Path) -> Result<Self, OutputError> {
        Self::begin(path, false)
    }

    fn begin(shown: &Path, replaceable: bool) -> Result<Self, OutputError> {
        let path = resolve(shown)?;
        let failed = |source| OutputError::Write { path: shown.to_owned(), source };
        if path.exists() && !path.is_dir() {
            return Err(OutputError::NotAFolder { path: shown.to_owned() });
        }
        let (around, lock, made) = if path.exists() {
            (path.as_path(), path.join(LOCK), MadeFolders::default())
        } else {
            let parent = atomic::parent_of(&path)?;
            let made = MadeFolders::make(parent).map_err(failed)?;
            let mut name = OsString::from(".");
            name.push(path.file_name().unwrap_or_default());
            name.push(LOCK);
            (parent, parent.join(name), made)
        };
        if path.exists() {
            refuse_others(&path, shown, replaceable)?;
        }
        let lock = FolderLock::acquire(lock, shown)?;
        // Once more: another process may have come and gone.
        let earlier = match path.exists() {
            true => {
                refuse_others(&path, shown, replaceable)?;
                Some(Contents::read(&path).map_err(failed)?)
            }
            false => None,
        };
        let stage = temporary_folder(around).map_err(failed)?;
        try_writing(stage.path(), shown)?;
        let shown = shown.to_owned();
        Ok(Self { shown, path, earlier, has_ledger: replaceable, stage, _lock: lock, _made: made })
    }

    /// Where it fills.
    pub fn path(&self) -> &Path {
        self.stage.path()
    }

    /// Writes a file into it; `name` has `/` between its parts.
    ///
    /// # Errors
    /// [`OutputError::Write`] names the file as it would be called.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        atomic::write_file(&self.path().join(name), write).map_err(|error| match error {
            atomic::AtomicError::Write { source, .. } => {
                OutputError::Write { path: self.shown.join(name), source }
            }
            error => error.into(),
        })
    }

    /// Moves it to its place. Earlier files are deleted when all new ones are there.
    ///
    /// # Errors
    /// [`OutputError`]; what was in its place is there again, and a complete folder is kept where the message says.
    pub fn publish(self) -> Result<(), OutputError> {
        let Self { shown, path, earlier, has_ledger, stage, _lock, _made } = self;
        let failed = |source| OutputError::Write { path: shown.clone(), source };
        if has_ledger {
            Ledger::of(stage.path()).map_err(failed)?.write(stage.path())?;
        }
        atomic::sync_tree(stage.path()).map_err(failed)?;
        let moved = match earlier {
            None => fs::rename(stage.path(), &path),
            Some(earlier) => {
                if Contents::read(&path).map_err(failed)? != earlier {
                    return Err(OutputError::Changed { path: shown, kept: stage.keep() });
                }
                exchange(stage.path(), &path)
            }
        };
        match moved {
            Err(source) => Err(OutputError::Unpublished { path: shown, kept: stage.keep(), source }),
            Ok(()) => atomic::sync_directory(atomic::parent_of(&path)?).map_err(failed),
        }
    }
}

/// Refuses a folder with something in it that must stay.
fn refuse_others(path: &Path, shown: &Path, replaceable: bool) -> Result<(), OutputError> {
    let failed = |source| OutputError::Write { path: shown.to_owned(), source };
    if !replaceable {
        let mut entries = fs::read_dir(path).map_err(failed)?.flatten();
        let is_empty = entries.all(|entry| entry.file_name().to_str().is_some_and(ledger::is_own));
        return if is_empty { Ok(()) } else { Err(OutputError::NotEmpty { path: shown.to_owned() }) };
    }
    match ledger::unknown(path).map_err(failed)? {
        Some(found) => Err(OutputError::Occupied { path: shown.to_owned(), found }),
        None => Ok(()),
    }
}

/// An empty folder in `parent`, deleted when it is dropped.
pub(crate) fn temporary_folder(parent: &Path) -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The default of `tempfile` hides the folder from others, even after it took its final name.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(parent)
}

/// Puts what is in the folder `new` in place of what is in the folder `path`; if that fails, both are as they were.
fn exchange(new: &Path, path: &Path) -> io::Result<()> {
    let aside = temporary_folder(path)?;
    let mut moves = Moves::default();
    let exchanged = entries(path, |name| name == ledger::LEDGER || !ledger::is_own(name))
        .and_then(|names| moves.all(&names, path, aside.path()))
        .and_then(|()| entries(new, |_| true))
        .and_then(|names| moves.all(&names, new, path));
    if exchanged.is_err() && !moves.undo() {
        // Not deleted with the temporary folder: it is the only copy.
        let _ = aside.keep();
    }
    exchanged
}

/// Names in `folder`. The ledger is the last: with it the folder is complete.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<OsString>>>()?;
    names.retain(|name| name.to_str().is_none_or(&wanted));
    names.sort_by_key(|name| name == ledger::LEDGER);
    Ok(names)
}

/// Moves that can be taken back.
#[derive(Default)]
struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    fn all(&mut self, names: &[OsString], from: &Path, to: &Path) -> io::Result<()> {
        for name in names {
            let (from, to) = (from.join(name), to.join(name));
            if to.symlink_metadata().is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(&from, &to)?;
            self.0.push((from, to));
        }
        Ok(())
    }

    /// Whether everything is where it was.
    fn undo(self) -> bool {
        // All of them, even if one fails.
        self.0.iter().rev().filter(|(from, to)| fs::rename(to, from).is_err()).count() == 0
    }
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

    /// A folder with one file in a part of it.
    fn written(path: &Path, name: &str) -> Result<(), OutputError> {
        let folder = OutputFolder::prepare(path)?;
        folder.write(&format!("part/{name}"), |writer| writer.write_all(name.as_bytes()))?;
        folder.publish()
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("around/model");
        for name in ["old.bin", "new.bin"] {
            written(&path, name).expect("moved");
            assert_eq!(names(&path.join("part")), [name]);
            assert_eq!(names(&path), [ledger::LEDGER, "part"]);
        }
        assert_eq!(names(folder.path()), ["around"]);
        assert_eq!(names(&folder.path().join("around")), ["model"]);
    }

    #[test]
    fn what_others_put_there_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        written(&path, "weights").expect("moved");
        fs::write(path.join("thesis.txt"), "mine").expect("written");
        let error = written(&path, "weights").expect_err("there is a thesis");
        assert!(
            error.to_string().contains("not empty") && error.to_string().contains("thesis.txt"),
            "{error}"
        );
        assert_eq!(names(&path), [ledger::LEDGER, "part", "thesis.txt"]);
        fs::remove_file(path.join("thesis.txt")).expect("removed");
        fs::write(path.join("part/weights"), "changed").expect("written");
        let error = written(&path, "weights").expect_err("a file was changed");
        assert!(error.to_string().contains("part/weights"), "{error}");
        assert_eq!(fs::read_to_string(path.join("part/weights")).expect("there"), "changed");
    }

    #[test]
    fn what_appears_meanwhile_stays_and_so_does_the_result() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        written(&path, "weights").expect("moved");
        let next = OutputFolder::prepare(&path).expect("a place");
        next.write("weights", |writer| writer.write_all(b"next")).expect("written");
        fs::write(path.join("thesis.txt"), "mine").expect("written");
        let OutputError::Changed { kept, .. } = next.publish().expect_err("there is a thesis") else {
            panic!("another error")
        };
        assert_eq!(fs::read_to_string(path.join("thesis.txt")).expect("there"), "mine");
        assert_eq!(fs::read_to_string(kept.join("weights")).expect("kept"), "next");
        let beside = folder.path().join("beside");
        let next = OutputFolder::prepare(&beside).expect("a place");
        fs::create_dir(&beside).expect("made");
        fs::write(beside.join("thesis.txt"), "mine").expect("written");
        assert!(matches!(next.publish(), Err(OutputError::Unpublished { .. })));
        assert_eq!(names(&beside), ["thesis.txt"]);
    }

    #[test]
    fn a_folder_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        drop(OutputFolder::prepare(&path).expect("a place"));
        assert!(names(folder.path()).is_empty());
        fs::create_dir_all(&path).expect("made");
        drop(OutputFolder::prepare(&path).expect("a place"));
        assert!(names(&path).is_empty());
    }

    #[test]
    fn two_do_not_write_the_same_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        let first = OutputFolder::prepare(&path).expect("a place");
        assert!(matches!(OutputFolder::prepare(&path), Err(OutputError::InUse { .. })));
        first.publish().expect("moved");
        let second = OutputFolder::prepare(&path).expect("a place");
        assert!(matches!(OutputFolder::prepare(&path), Err(OutputError::InUse { .. })));
        drop(second);
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn a_failed_exchange_is_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("weights"), "earlier").expect("written");
        exchange(&folder.path().join("absent"), &path).expect_err("nothing to move");
        assert_eq!(names(&path), ["weights"]);
        assert_eq!(fs::read_to_string(path.join("weights")).expect("there"), "earlier");
    }

    #[test]
    fn data_sets_are_always_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        OutputFolder::prepare_new(&path).expect("a place").publish().expect("moved");
        let again = OutputFolder::prepare_new(&path).expect("an empty folder");
        again.write("picture", |_| Ok(())).expect("written");
        again.publish().expect("moved");
        assert_eq!(names(&path), ["picture"]);
        assert!(matches!(OutputFolder::prepare_new(&path), Err(OutputError::NotEmpty { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, alias) = (folder.path().join("model"), folder.path().join("alias"));
        fs::create_dir(&path).expect("made");
        std::os::unix::fs::symlink(&path, &alias).expect("linked");
        written(&alias, "weights").expect("moved");
        assert!(alias.symlink_metadata().expect("there").is_symlink());
        assert_eq!(names(&path.join("part")), ["weights"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_folder_is_as_readable_as_its_neighbours() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let ordinary = folder.path().join("ordinary");
        fs::create_dir(&ordinary).expect("made");
        let path = folder.path().join("model");
        written(&path, "weights").expect("moved");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&path), mode(&ordinary));
    }
}
