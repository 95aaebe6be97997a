//! From the names in metadata to files.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};
use unicode_normalization::UnicodeNormalization;

/// Why a name is none of a picture in the folder.
#[derive(Debug, PartialEq, Eq)]
pub enum NameFault {
    /// It leads out of the folder, or nowhere; with what to do, as the end of a sentence.
    Outside(&'static str),
    /// There is no such file; with what is there instead, as the end of a sentence.
    Missing(PathBuf, String),
}

/// Finds pictures in a folder by their names in metadata.
///
/// Separators may be slashes or, as Windows has them, backslashes. `.` and `..` count as in `datasets`, before the file system
/// is asked, so that no name leads out of the folder; a symbolic link in the folder is followed wherever it leads, as whoever
/// made the folder made the link. Composed and decomposed letters (`é`, as macOS and others write it) are the same.
pub struct Names<'a> {
    folder: &'a Path,
    /// The names in folders that were looked through, by a form that is the same for similar names.
    listings: HashMap<PathBuf, HashMap<String, String>>,
}

impl<'a> Names<'a> {
    /// Those in `folder`.
    pub fn new(folder: &'a Path) -> Self {
        Self { folder, listings: HashMap::new() }
    }

    /// The file called `name`.
    pub fn find(&mut self, name: &str) -> Result<PathBuf, NameFault> {
        if name.trim().is_empty() {
            return Err(NameFault::Outside(", and is empty"));
        }
        if name.contains("://") {
            return Err(NameFault::Outside("; download the picture and name its file"));
        }
        let slashes = name.replace('\\', "/");
        let parts = parts_inside(&slashes).ok_or(NameFault::Outside(""))?;
        let exact = parts.iter().fold(self.folder.to_owned(), |path, part| path.join(part));
        if exact.is_file() {
            return Ok(exact);
        }
        // Archives from Windows, unpacked elsewhere, may have backslashes in the names of files.
        let literal = self.folder.join(name);
        if !name.contains('/') && literal.is_file() {
            return Ok(literal);
        }
        if exact.is_dir() {
            return Err(NameFault::Missing(exact, ": this is a folder; name each picture in it".to_owned()));
        }
        self.find_similar(&parts, exact)
    }

    /// As [`Names::find`], where letters may be composed in another way.
    fn find_similar(&mut self, parts: &[&str], exact: PathBuf) -> Result<PathBuf, NameFault> {
        let mut path = self.folder.to_owned();
        for part in parts {
            let next = path.join(part);
            if next.exists() {
                path = next;
                continue;
            }
            let listing = self.listings.entry(path.clone()).or_insert_with(|| listing(&path));
            match listing.get(&similar(part)) {
                Some(name) if name.nfc().eq(part.nfc()) => path.push(name),
                Some(name) => {
                    return Err(NameFault::Missing(
                        exact,
                        format!(", but {name:?}: write it as it is there"),
                    ));
                }
                None => return Err(NameFault::Missing(exact, String::new())),
            }
        }
        if path.is_file() { Ok(path) } else { Err(NameFault::Missing(exact, String::new())) }
    }
}

/// The path that `name` has inside the folder, without `.` and `..`; none where it leads out.
pub fn inside(name: &str) -> Option<PathBuf> {
    Some(parts_inside(&name.replace('\\', "/"))?.into_iter().collect())
}

/// The names on the way from a folder to the file that `name` names inside of it, without `.` and `..`.
fn parts_inside(name: &str) -> Option<Vec<&str>> {
    let has_drive = name.as_bytes().get(1) == Some(&b':')
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && (cfg!(windows) || name[2..].starts_with('/'));
    if name.starts_with('/') || has_drive {
        return None;
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then_some(parts)
}

fn listing(folder: &Path) -> HashMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.map(|name| (similar(&name), name)).collect()
}

/// The same for names that differ in capitals, in spaces around them or in how letters are composed.
fn similar(name: &str) -> String {
    name.trim().nfc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("a b")).expect("made");
        for name in ["1.png", "a b/2.png", "caf\u{e9}.png"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        folder
    }

    #[test]
    fn names_of_all_systems_are_found() {
        let folder = folder();
        let mut names = Names::new(folder.path());
        for (name, expected) in [
            ("1.png", "1.png"),
            ("./1.png", "1.png"),
            ("a b\\2.png", "a b/2.png"),
            ("a b//./2.png", "a b/2.png"),
            ("a b/../1.png", "1.png"),
            ("no/such/../../1.png", "1.png"),
            ("cafe\u{301}.png", "caf\u{e9}.png"),
        ] {
            assert_eq!(names.find(name), Ok(folder.path().join(expected)), "{name}");
        }
    }

    #[test]
    fn what_is_no_picture_of_the_folder_is_named() {
        let folder = folder();
        let mut names = Names::new(folder.path());
        for name in [
            "",
            " ",
            ".",
            "..",
            "../1.png",
            "a b/../../1.png",
            "/1.png",
            "\\\\host\\1.png",
            "C:\\1.png",
            "https://a.b/1.png",
        ] {
            let found = names.find(name);
            assert!(matches!(found, Err(NameFault::Outside(_))), "{name}: {found:?}");
        }
        for (name, hint) in
            [("2.png", ""), ("a b", "folder"), ("1.PNG", "\"1.png\""), ("a b/2.png ", "\"2.png\"")]
        {
            // Some systems take no notice of capitals.
            match names.find(name) {
                Err(NameFault::Missing(_, found)) => assert!(found.contains(hint), "{name}: {found}"),
                found => assert!(name == "1.PNG" && found.is_ok(), "{name}: {found:?}"),
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_backslashes_may_be_of_the_name() {
        let folder = folder();
        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link.png")).expect("a link");
        fs::write(folder.path().join("train\\3.png"), "").expect("written");
        let mut names = Names::new(folder.path());
        for name in ["link.png", "train\\3.png"] {
            assert_eq!(names.find(name), Ok(folder.path().join(name)));
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out(name in "([./\\\\ab:]|\\.\\.)*") {
            if let Some(parts) = parts_inside(&name.replace('\\', "/")) {
                prop_assert!(parts.iter().all(|part| !part.is_empty() && *part != ".." && !part.contains('/')));
            }
        }
    }
}
