//! Weights in files; a browser has none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use burn::module::Module;

use super::save::to_bytes_blocking;
use super::{Precision, WeightsError, WeightsFile, load_files};

/// Replaces all parameters of `module` by those of the safetensors file at `path`: see [`load_files`].
///
/// # Errors
///
/// As [`load_files`].
pub fn load<M: Module>(module: M, path: &Path) -> Result<M, WeightsError> {
    load_files(module, &[WeightsFile::open(path)?])
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

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_failed_save_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut linear = LinearConfig::new(2, 2).init(&Device::flex());
        save(&linear, &path, Precision::F16, &BTreeMap::new()).unwrap();
        let before = fs::read(&path).unwrap();

        linear.weight = linear.weight.map(|weight| weight * f32::INFINITY);
        let error = save(&linear, &path, Precision::F16, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors") && error.contains("`weight`"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_named() {
        let linear = LinearConfig::new(2, 2).init(&Device::flex());
        let error = load(linear, Path::new("nowhere/model.safetensors")).unwrap_err().to_string();
        assert!(error.starts_with("nowhere/model.safetensors: "), "{error}");
    }
}
