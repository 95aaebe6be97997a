//! `models/manifest.json`: which files the page downloads, and what they must contain.

use crate::{
    command::root,
    files::{address, below, digest, hexadecimal, read, write},
};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Its name in the folder of the models.
const NAME: &str = "manifest.json";

/// Writes the manifest of the models.
pub fn update() -> Result<()> {
    let folder = models();
    let file = folder.join(NAME);
    write(&file, &of(&folder)?)?;
    println!("{} is up to date", file.display());
    Ok(())
}

/// Whether `file` is written for people and downloaded by no page.
pub fn is_for_people(file: &Path) -> bool {
    file.file_stem().is_some_and(|name| name == "README")
}

fn models() -> PathBuf {
    root().join("models")
}

/// The manifest of the files below `folder`.
fn of(folder: &Path) -> Result<String> {
    let mut files = Map::new();
    for file in below(folder)? {
        if !is_for_people(&file) && file != folder.join(NAME) {
            let content = read(&file)?;
            let entry = json!({ "bytes": content.len(), "sha256": hexadecimal(&digest(&content)) });
            files.insert(address(&file, folder), entry);
        }
    }
    Ok(format!("{:#}\n", json!({ "files": Value::Object(files) })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_manifest_is_that_of_the_models() {
        let written = fs::read_to_string(models().join(NAME)).unwrap_or_default();
        let is_current = written == of(&models()).unwrap();
        assert!(is_current, "models/{NAME} is out of date: run `cargo xtask manifest`");
    }

    #[test]
    fn files_have_size_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("README.md", "for people"), (NAME, "of yesterday"), ("b", "abc"), ("a", "")]
        {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let expected = json!({ "files": {
            "a": { "bytes": 0, "sha256": hexadecimal(&digest(b"")) },
            "b": { "bytes": 3, "sha256": hexadecimal(&digest(b"abc")) },
        }});
        let found: Value = serde_json::from_str(&of(folder.path()).unwrap()).unwrap();
        assert_eq!(found, expected);
    }
}
