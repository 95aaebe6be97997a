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

use super::header::{self, Header};
use super::{Metadata, TensorValues, WeightsError};

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
        let header = header::read(length, |from, length| storage.read(from, length))
            .map_err(|source| WeightsError::InFile { path: path.clone(), source: Box::new(source) })?;
        let Header { tensors, metadata, start } = header;
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

    /// The tensor `name` with its shape, all values finite, in f32.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_tensor(&self, name: &str) -> Result<TensorValues, WeightsError> {
        let values = self.read(name)?;
        let shape = self.tensors.get(name).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        TensorValues::new(shape, values)
    }

    /// The only value of the tensor `name`, which is finite, in f32; it may be a whole number, too.
    ///
    /// # Errors
    /// As [`Self::read`], and [`WeightsError::Rank`] for several values.
    pub fn read_number(&self, name: &str) -> Result<f32, WeightsError> {
        self.number(name)
            .map_err(|source| WeightsError::InFile { path: self.path.clone(), source: Box::new(source) })
    }

    fn number(&self, name: &str) -> Result<f32, WeightsError> {
        if let Some(TensorInfo { dtype, shape, data_offsets: (from, to) }) = self.tensors.get(name) {
            if shape.iter().product::<usize>() != 1 {
                return Err(WeightsError::Rank { expected: 0, shape: shape.clone() });
            }
            let is_signed = matches!(dtype, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
            if is_signed || matches!(dtype, Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64) {
                let bytes = self.storage.read(self.start + *from as u64, (to - from) as u64)?;
                return Ok(whole_number(&bytes, is_signed) as f32);
            }
        }
        let values = self.values(name)?;
        values.first().copied().ok_or_else(|| WeightsError::Elements { shape: Vec::new(), found: 0 })
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
            Dtype::F64 => bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
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

/// The whole number in `bytes`, at most 16 of them, the lowest first.
fn whole_number(bytes: &[u8], is_signed: bool) -> i128 {
    let is_negative = is_signed && bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if is_negative { 0xff } else { 0 }; 16];
    for (wide, byte) in wide.iter_mut().zip(bytes) {
        *wide = *byte;
    }
    i128::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn numbers_of_any_type_are_read() {
        let read = |dtype: &str, shape: &str, data: &[u8]| {
            let end = data.len();
            let header = format!(
                r#"{{"alpha": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": [0, {end}]}}}}"#
            );
            WeightsFile::from_bytes("alpha", file(&header, data))
                .unwrap()
                .read_number("alpha")
                .map_err(|e| e.to_string())
        };
        assert_eq!(read("F32", "[]", &2.5_f32.to_le_bytes()), Ok(2.5));
        assert_eq!(read("F64", "[1]", &(-2.5_f64).to_le_bytes()), Ok(-2.5));
        assert_eq!(read("F16", "[1, 1]", &f16::from_f32(0.5).to_le_bytes()), Ok(0.5));
        assert_eq!(read("BF16", "[]", &bf16::from_f32(0.5).to_le_bytes()), Ok(0.5));
        assert_eq!(read("I64", "[]", &(-3_i64).to_le_bytes()), Ok(-3.0));
        assert_eq!(read("I8", "[]", &(-3_i8).to_le_bytes()), Ok(-3.0));
        assert_eq!(read("U16", "[]", &65535_u16.to_le_bytes()), Ok(65535.0));
        assert!(read("BOOL", "[]", &[1]).unwrap_err().contains("type BOOL"));
        assert!(read("I8", "[2]", &[1, 1]).unwrap_err().contains("[2]"));
        assert!(read("F64", "[]", &1e300_f64.to_le_bytes()).unwrap_err().contains("not finite"));
        assert!(read("F16", "[]", &f16::NAN.to_le_bytes()).unwrap_err().contains("NaN"));
    }
}
