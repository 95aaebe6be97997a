//! What Atelier wrote into a folder, so that it can be told from what people put there.

use crate::atomic::{self, AtomicError, PARTIAL};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::SystemTime,
};
use xxhash_rust::xxh3::Xxh3;

use super::lock::LOCK;

/// The file in which a folder's ledger is kept.
pub const LEDGER: &str = ".atelier.json";

/// How many unknown files a message names.
const NAMED: usize = 5;

/// The files of a folder as Atelier wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The training run that the folder is of, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// By path in the folder, with `/` between its parts.
    pub files: BTreeMap<String, Entry>,
}

/// A file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its bytes.
    size: u64,
    /// Their XXH3, 128 bits in hexadecimal digits.
    xxh3: String,
}

impl Entry {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(bytes);
        Self { size: bytes.len() as u64, xxh3: format!("{:032x}", hash.digest128()) }
    }

    /// Of the file at `path`.
    ///
    /// # Errors
    /// What the system says of a file that cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut hash, mut size) = (Xxh3::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Self { size, xxh3: format!("{:032x}", hash.digest128()) });
            }
            hash.update(&buffer[..count]);
            size += count as u64;
        }
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Ledger {
    /// The ledger in `folder`; none if there is none that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(LEDGER)).ok()?).ok()
    }

    /// Of everything that is in `folder` now.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for name in Contents::read(folder)?.files.into_keys() {
            files.insert(name.clone(), Entry::read(&folder.join(&name))?);
        }
        Ok(Self { run: None, files })
    }

    /// Writes it into `folder`.
    ///
    /// # Errors
    /// [`AtomicError`] names the file.
    pub fn write(&self, folder: &Path) -> Result<(), AtomicError> {
        atomic::write_file(&folder.join(LEDGER), |writer| {
            serde_json::to_writer_pretty(&mut *writer, self)?;
            writer.write_all(b"\n")
        })
    }

    /// Whether the file `name` in `folder` is as Atelier wrote it.
    pub fn knows(&self, folder: &Path, name: &str) -> bool {
        let path = folder.join(name);
        let Some(entry) = self.files.get(name) else { return false };
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == entry.size);
        is_file && Entry::read(&path).is_ok_and(|found| found == *entry)
    }

    /// Notes that Atelier wrote the file `name` into `folder`, if the folder has a ledger; others need none.
    ///
    /// # Errors
    /// [`AtomicError`] names the file.
    pub fn note(folder: &Path, name: &str) -> Result<(), AtomicError> {
        let Some(mut ledger) = Self::read(folder) else { return Ok(()) };
        let path = folder.join(name);
        let entry = Entry::read(&path).map_err(|source| AtomicError::Write { path, source })?;
        ledger.files.insert(name.to_owned(), entry);
        ledger.write(folder)
    }
}

/// What in `folder` Atelier did not write, or was changed since, as a message names it; none if it may all be replaced.
pub(super) fn unknown(folder: &Path) -> io::Result<Option<String>> {
    let ledger = Ledger::read(folder).unwrap_or_default();
    let contents =
        if ledger.files.is_empty() { Contents::read_shallow(folder)? } else { Contents::read(folder)? };
    let mut unknown = contents.others;
    let changed = contents.files.into_keys().filter(|name| !ledger.knows(folder, name));
    // One more than is named, to know that there are more.
    unknown.extend(changed.take(NAMED + 1));
    if unknown.is_empty() {
        return Ok(None);
    }
    unknown.sort();
    let more = if unknown.len() > NAMED { " and more" } else { "" };
    unknown.truncate(NAMED);
    Ok(Some(unknown.join(", ") + more))
}

/// What is in a folder, without the ledger, the lock and what is not complete.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Plain files, with size and time of their last change.
    files: BTreeMap<String, (u64, Option<SystemTime>)>,
    /// What no ledger can know: links, empty folders, names that are not Unicode.
    others: Vec<String>,
}

impl Contents {
    /// Of the whole folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, "", true)?;
        Ok(contents)
    }

    /// Folders in it count as what no ledger can know: enough to see that there is something.
    fn read_shallow(folder: &Path) -> io::Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, "", false)?;
        Ok(contents)
    }

    fn add(&mut self, folder: &Path, prefix: &str, deep: bool) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                self.others.push(format!("{prefix}{}", entry.file_name().to_string_lossy()));
                continue;
            };
            if prefix.is_empty() && is_own(&name) {
                continue;
            }
            let (kind, name) = (entry.file_type()?, format!("{prefix}{name}"));
            if kind.is_file() {
                let found = entry.metadata()?;
                self.files.insert(name, (found.len(), found.modified().ok()));
            } else if kind.is_dir() && deep && fs::read_dir(entry.path())?.next().is_some() {
                self.add(&entry.path(), &format!("{name}/"), deep)?;
            } else {
                self.others.push(if kind.is_dir() { name + "/" } else { name });
            }
        }
        self.others.sort();
        Ok(())
    }
}

/// Whether `name`, directly in an output folder, belongs to its bookkeeping.
pub(super) fn is_own(name: &str) -> bool {
    name == LEDGER || name == LOCK || name.starts_with(PARTIAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_until_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        assert_eq!(unknown(folder.path()).expect("readable"), None);
        fs::create_dir(path("unet")).expect("made");
        fs::write(path("unet/weights"), "1234").expect("written");
        fs::write(path("index"), "").expect("written");
        assert_eq!(unknown(folder.path()).expect("readable").as_deref(), Some("index, unet/"));
        Ledger::of(folder.path()).expect("readable").write(folder.path()).expect("written");
        assert_eq!(unknown(folder.path()).expect("readable"), None);
        fs::write(path("unet/weights"), "1235").expect("written");
        assert_eq!(unknown(folder.path()).expect("readable").as_deref(), Some("unet/weights"));
        fs::write(path("unet/weights"), "1234").expect("written");
        fs::create_dir(path("photos")).expect("made");
        fs::write(path("thesis.txt"), "").expect("written");
        assert_eq!(unknown(folder.path()).expect("readable").as_deref(), Some("photos/, thesis.txt"));
        fs::remove_dir(path("photos")).expect("removed");
        Ledger::note(folder.path(), "thesis.txt").expect("written");
        assert_eq!(unknown(folder.path()).expect("readable"), None);
        fs::write(path(LEDGER), "{").expect("written");
        assert!(unknown(folder.path()).expect("readable").is_some(), "a broken ledger proves nothing");
    }
}
