//! Weights in files; a browser has none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use burn::module::Module;

use super::save::to_bytes_blocking;
use super::{Precision, WeightsError, load_into};

/// Replaces all parameters of `module` by those of the safetensors file at `path`: see [`load_into`].
///
/// # Errors
///
/// [`WeightsError::Io`] or [`WeightsError::InFile`], which name the file.
pub fn load<M: Module>(module: M, path: &Path) -> Result<M, WeightsError> {
    let bytes =
        fs::read(path).map_err(|source| WeightsError::Io { path: path.display().to_string(), source })?;
    load_into(module, &bytes)
        .map_err(|source| WeightsError::InFile { path: path.display().to_string(), source: Box::new(source) })
}

/// Writes all parameters of `module` and the strings in `metadata` to a safetensors file at `path`: see
/// [`to_bytes`](super::to_bytes).
///
/// A file that stands there is replaced only when the new one is complete.
///
/// # Errors
///
/// As [`to_bytes`](super::to_bytes), and [`WeightsError::Io`].
pub fn save<M: Module>(
    module: &M,
    path: &Path,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let bytes = to_bytes_blocking(module, precision, metadata).map_err(|source| WeightsError::InFile {
        path: path.display().to_string(),
        source: Box::new(source),
    })?;
    write_atomically(path, &bytes)
        .map_err(|source| WeightsError::Io { path: path.display().to_string(), source })
}

/// Writes to a temporary file in the same folder, which then takes the name.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&partial);
    })
}
