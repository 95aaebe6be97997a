//! Weights files, read tensor by tensor: a model of many gigabytes is never in memory twice.

use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use super::{Metadata, WeightsError};

/// The largest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// A safetensors file, of which the header has been read and checked.
///
/// Tensors are read when they are asked for, from memory or from the open file. That serves as a memory map would,
/// without the unsafe code that one needs.
#[derive(Debug)]
pub struct WeightsFile {
    path: String,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: Metadata,
    /// Where the tensors begin.
    start: u64,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Memory(Vec<u8>),
    #[cfg(not(target_arch = "wasm32"))]
    File(File),
}

impl WeightsFile {
    /// A file in memory; `path` is for messages.
    ///
    /// # Errors
    /// [`WeightsError::InFile`] for anything that is not a whole safetensors file.
    pub fn from_bytes(path: &str, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::new(path.to_owned(), bytes.len() as u64, Storage::Memory(bytes))
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`WeightsError::Io`], and [`WeightsError::InFile`] for anything that is not a whole safetensors file.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let name = path.display().to_string();
        let failed = |source| WeightsError::Io { path: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Self::new(name, length, Storage::File(file))
    }

    fn new(path: String, length: u64, storage: Storage) -> Result<Self, WeightsError> {
        let in_file = |source| WeightsError::InFile { path: path.clone(), source: Box::new(source) };
        let mut prefix = storage.read(0, length.min(8)).map_err(in_file)?;
        refuse_other_formats(&prefix).map_err(in_file)?;
        prefix.resize(8, 0);
        let header = u64::from_le_bytes(prefix.try_into().unwrap_or_default());
        if length < 8 || header > LONGEST_HEADER {
            return Err(in_file(WeightsError::Corrupt("there is no header".to_owned())));
        }
        let start = 8 + header;
        if length < start {
            return Err(in_file(WeightsError::Truncated { found: length, expected: start }));
        }
        let header = storage.read(8, header).map_err(in_file)?;
        let (tensors, metadata) = parse(&header).map_err(in_file)?;
        let end = tensors.values().map(|tensor| tensor.data_offsets.1 as u64).max().unwrap_or(0);
        let expected = start.saturating_add(end);
        if length < expected {
            return Err(in_file(WeightsError::Truncated { found: length, expected }));
        }
        Ok(Self { path, tensors, metadata, start, storage })
    }

    /// What the file is called in messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The strings in the header.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Names of the tensors, sorted, and their shapes.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()))
    }

    /// The values of the tensor `name`, all finite, in f32.
    ///
    /// # Errors
    /// [`WeightsError::InFile`] around [`WeightsError::Names`], [`WeightsError::Dtype`] or
    /// [`WeightsError::NotFinite`].
    pub fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        self.values(name)
            .map_err(|source| WeightsError::InFile { path: self.path.clone(), source: Box::new(source) })
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(WeightsError::Names { missing: vec![name.to_owned()], unexpected: Vec::new() });
        };
        let (from, to) = tensor.data_offsets;
        let bytes = self.storage.read(self.start + from as u64, (to - from) as u64)?;
        let two_bytes =
            |convert: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().copied().map(convert).collect();
        let values: Vec<f32> = match tensor.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
            Dtype::F16 => two_bytes(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => two_bytes(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            dtype => return Err(WeightsError::Dtype { name: name.to_owned(), dtype }),
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(WeightsError::NotFinite { name: name.to_owned(), value: *value }),
            None => Ok(values),
        }
    }
}

impl Storage {
    fn read(&self, from: u64, length: u64) -> Result<Vec<u8>, WeightsError> {
        let cut_off = || WeightsError::Corrupt("it ends before its tensors do".to_owned());
        match self {
            Self::Memory(bytes) => {
                let from = usize::try_from(from).map_err(|_| cut_off())?;
                let part = bytes.get(from..).and_then(|rest| rest.get(..usize::try_from(length).ok()?));
                part.map(<[u8]>::to_vec).ok_or_else(cut_off)
            }
            #[cfg(not(target_arch = "wasm32"))]
            Self::File(file) => {
                let mut file: &File = file;
                let mut bytes = vec![0; usize::try_from(length).map_err(|_| cut_off())?];
                file.seek(SeekFrom::Start(from))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| WeightsError::Corrupt(error.to_string()))?;
                Ok(bytes)
            }
        }
    }
}

/// What people have in the place of a safetensors file.
fn refuse_other_formats(start: &[u8]) -> Result<(), WeightsError> {
    match start {
        // A zip archive, as `torch.save` writes it, or a bare pickle.
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Err(WeightsError::Pickle),
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', ..] => Err(WeightsError::Pointer),
        [b'<', ..] => Err(WeightsError::Corrupt("it is a web page".to_owned())),
        _ => Ok(()),
    }
}

/// The tensors and strings of a header, whose places are checked.
fn parse(header: &[u8]) -> Result<(BTreeMap<String, TensorInfo>, Metadata), WeightsError> {
    const METADATA: &str = "__metadata__";
    let corrupt =
        |error: serde_json::Error| WeightsError::Corrupt(format!("its header is unreadable, {error}"));
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).map_err(corrupt)?;
    let metadata = match entries.remove(METADATA) {
        Some(metadata) => serde_json::from_value(metadata).map_err(corrupt)?,
        None => Metadata::new(),
    };
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let tensor: TensorInfo = serde_json::from_value(entry).map_err(corrupt)?;
        let elements = tensor.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let bytes =
            elements.and_then(|elements| elements.checked_mul(tensor.dtype.bitsize())).map(|bits| bits / 8);
        let (from, to) = tensor.data_offsets;
        if to.checked_sub(from) != bytes {
            let problem = format!("tensor `{name}` does not fill its place");
            return Err(WeightsError::Corrupt(problem));
        }
        tensors.insert(name, tensor);
    }
    Ok((tensors, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        WeightsFile::from_bytes("model.safetensors", bytes.to_vec()).unwrap_err().to_string()
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn what_people_have_instead_is_named() {
        assert!(error(b"PK\x03\x04aaaaaaaa").contains("pickle"));
        assert!(error(b"\x80\x02}q\x00X\x01").contains("pickle"));
        assert!(error(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
        assert!(error(b"<!DOCTYPE html>").contains("web page"));
        assert!(error(b"").contains("no header"));
    }

    #[test]
    fn half_a_download_says_how_much_is_there() {
        let whole = file(r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#, &[0; 16]);
        let message = error(&whole[..whole.len() - 6]);
        let (found, expected) = (whole.len() - 6, whole.len());
        assert!(message.contains(&format!("{found} of {expected} bytes")), "{message}");
        assert!(message.starts_with("model.safetensors: "), "{message}");
    }

    #[test]
    fn impossible_headers_are_refused() {
        for header in [
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 15]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 8], "data_offsets": [0, 16]}}"#,
            r#"{"a": 3}"#,
            "[]",
        ] {
            assert!(error(&file(header, &[0; 16])).contains("corrupt"), "{header}");
        }
    }
}
