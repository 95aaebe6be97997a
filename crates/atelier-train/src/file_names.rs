//! What files and folders are called in the texts of pictures, and how they are told from others of that name.

use crate::error::TrainError;
use atelier_core::picture::LoraUse;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Digits of a hash, as in other programs.
const DIGITS: usize = 12;

/// Names that programs give to every LoRA; the folder's says more.
const USUAL: [&str; 2] = ["pytorch_lora_weights", "adapter_model"];

/// The last part of `path`, of `.` and `..` as well.
pub fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // A link has the name by which it was called.
    let name = path.file_name().or(whole.file_name());
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// How the LoRA in `file` is noted when it has `strength`.
///
/// # Errors
/// [`TrainError::LoraFile`] if it cannot be read.
pub fn lora_use(file: &Path, strength: f64) -> Result<LoraUse, TrainError> {
    let failed = |error: io::Error| TrainError::LoraFile { path: file.to_owned(), reason: error.to_string() };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_usual = USUAL.contains(&stem.as_str());
    let folder = || file.canonicalize().ok().and_then(|file| file.parent().map(name_of));
    let name = if is_usual { folder().unwrap_or(stem) } else { stem };
    Ok(LoraUse { name, strength, hash: weights_hash(file).map_err(failed)? })
}

/// The beginning of the SHA-256 of a safetensors file without its header: the hash of the tools for LoRAs, which metadata do
/// not change.
///
/// # Errors
/// The file's.
pub fn weights_hash(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    file.seek(SeekFrom::Start(u64::from_le_bytes(length).saturating_add(8)))?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(hex[..DIGITS].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(header: &[u8], body: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header, body].concat()
    }

    #[test]
    fn a_hash_is_that_of_the_weights_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("style.safetensors");
        fs::write(&path, file(b"{}", b"abc")).expect("written");
        // SHA-256 of "abc", FIPS 180-2, appendix B.1.
        assert_eq!(weights_hash(&path).expect("a hash"), "ba7816bf8f01");
        fs::write(&path, file(b"{\"__metadata__\":{}}", b"abc")).expect("written");
        assert_eq!(weights_hash(&path).expect("a hash"), "ba7816bf8f01");
    }

    #[test]
    fn a_lora_is_called_by_its_file_or_by_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let lora = folder.path().join("thick paint");
        fs::create_dir(&lora).expect("made");
        let names = [
            ("pytorch_lora_weights.safetensors", "thick paint"),
            ("adapter_model.safetensors", "thick paint"),
            ("style.v2.safetensors", "style.v2"),
        ];
        for (name, expected) in names {
            let path = lora.join(name);
            fs::write(&path, file(b"{}", b"")).expect("written");
            assert_eq!(lora_use(&path, 1.0).expect("a LoRA").name, expected);
        }
    }

    #[test]
    fn a_folder_has_a_name_from_within() {
        assert_eq!(name_of(Path::new("models/painter")), "painter");
        assert_eq!(name_of(Path::new("models/painter/")), "painter");
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(name_of(Path::new(".")), here.file_name().expect("a name").to_string_lossy());
    }
}
