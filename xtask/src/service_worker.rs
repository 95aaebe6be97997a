//! The service worker of the page, which opens it without a network: it is told what the page consists of.

use crate::files::{address, below, digest, hexadecimal, read, write};
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "service-worker.js";

/// The lines that `web/service-worker.js` has in place of the version and the files.
const PLACES: [&str; 2] = ["const version = \"\";", "const files = {};"];

/// Writes into the service worker in `folder` the files of the page, all but the models, and their version.
pub fn complete(folder: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for file in below(folder)? {
        let name = address(&file, folder);
        if name != FILE && !name.starts_with("models/") {
            files.insert(name, digest(&read(&file)?));
        }
    }
    let worker = folder.join(FILE);
    let script = String::from_utf8(read(&worker)?).context("the service worker is no text")?;
    write(&worker, &completed(&script, &files)?)
}

/// `script` with `files`, by name, and a version that changes with any of them.
fn completed(script: &str, files: &BTreeMap<String, [u8; 32]>) -> Result<String> {
    let listed: Vec<u8> =
        files.iter().flat_map(|(name, digest)| [name.as_bytes(), &[0], digest].concat()).collect();
    let version = &hexadecimal(&digest(&listed))[..16];
    // What the Fetch standard calls integrity metadata.
    let entries: Vec<_> = files
        .iter()
        .map(|(name, digest)| {
            format!("  {}: \"sha256-{}\",\n", serde_json::json!(name), STANDARD.encode(digest))
        })
        .collect();
    let contents =
        [format!("const version = \"{version}\";"), format!("const files = {{\n{}}};", entries.concat())];
    let mut script = script.to_owned();
    for (place, content) in PLACES.iter().zip(contents) {
        let is_there_once = script.matches(place).count() == 1;
        anyhow::ensure!(is_there_once, "web/{FILE} should have the line `{place}` once");
        script = script.replace(place, &content);
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    fn script() -> String {
        String::from_utf8(read(&root().join("web").join(FILE)).unwrap()).unwrap()
    }

    fn version(script: &str) -> &str {
        let (_, rest) = script.split_once("const version = \"").unwrap();
        rest.split_once('"').unwrap().0
    }

    #[test]
    fn the_script_gets_files_and_version() {
        let files = BTreeMap::from([("a.js".to_owned(), digest(b"abc")), ("index.html".to_owned(), [0; 32])]);
        let script = completed(&script(), &files).unwrap();
        assert!(
            script.contains("  \"a.js\": \"sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\",\n"),
            "{script}"
        );
        assert!(script.contains("  \"index.html\": \"sha256-AAAA"), "{script}");
        assert_eq!(version(&script).len(), 16);
    }

    #[test]
    fn every_change_is_another_version() {
        let all = BTreeMap::from([("a".to_owned(), [0; 32]), ("b".to_owned(), [1; 32])]);
        let renamed = BTreeMap::from([("a".to_owned(), [0; 32]), ("c".to_owned(), [1; 32])]);
        let changed = BTreeMap::from([("a".to_owned(), [0; 32]), ("b".to_owned(), [2; 32])]);
        let [all, renamed, changed] =
            [all, renamed, changed].map(|files| completed(&script(), &files).unwrap());
        assert_ne!(version(&all), version(&renamed));
        assert_ne!(version(&all), version(&changed));
    }

    #[test]
    fn another_script_is_refused() {
        let message = completed("", &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("const version"), "{message}");
    }

    #[test]
    fn the_models_are_left_to_the_worker() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        for (name, content) in [(FILE, script()), ("index.html", "page".into()), ("models/a", "large".into())]
        {
            write(&folder.path().join(name), &content).unwrap();
        }
        complete(folder.path()).unwrap();
        let script = String::from_utf8(read(&folder.path().join(FILE)).unwrap()).unwrap();
        assert!(script.contains("\"index.html\": \"sha256-") && !script.contains("models/"), "{script}");
    }
}
