//! Which files the models are made of.

use super::{download, failure::Failure};
use serde::Deserialize;
use std::collections::BTreeMap;

/// `models/manifest.json`, which `cargo xtask manifest` writes.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// By path below `models/`.
    pub files: BTreeMap<String, FileEntry>,
}

/// What is known of a file before it is downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Downloads it; without a network, the one of the last visit serves.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn load() -> Result<Self, Failure> {
        let bytes = download::manifest().await?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::Manifest(error.to_string()))
    }
}
