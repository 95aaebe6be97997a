//! Tensors that are costly to compute, kept in safetensors files from run to run.
//!
//! ```text
//! DIR/latents-ENCODER/KEY.safetensors    ENCODER stands for all weights that computed them,
//! DIR/text-ENCODER/KEY.safetensors       KEY for what they are of: a part of a picture, or a prompt
//! ```
//!
//! The strings in a file's header say in full what it was computed from. A file that says something else, or that is not
//! whole, is not used.

use crate::{atomic, error::TrainError, optimizer::named_parameters};
use atelier_core::weights::{self, Metadata, Precision, TensorValues, WeightsFile};
use burn::module::Module;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::Xxh3;

/// Changes whenever the same sources would give other tensors: another filter for resized pictures, for instance.
const FORMAT: &str = "2";

/// One folder of the cache: the tensors of one encoder.
#[derive(Debug)]
pub struct TensorCache {
    folder: PathBuf,
    encoder: String,
}

/// What tensors were computed from, beside the encoder.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// What they are of: there is one file for each.
    pub identity: Metadata,
    /// What makes a file stale when it changes.
    pub state: Metadata,
}

impl TensorCache {
    /// The folder in `dir` for tensors of the `kind` that the encoder with this fingerprint computes.
    pub fn new(dir: &Path, kind: &str, encoder: &Fingerprint) -> Self {
        let encoder = encoder.to_hex();
        Self { folder: dir.join(format!("{kind}-{encoder}")), encoder }
    }

    /// Where the tensors of `source` are kept.
    pub fn path(&self, source: &Source) -> PathBuf {
        let mut name = Fingerprint::default();
        for (key, value) in &source.identity {
            name.add(key.as_bytes());
            name.add(value.as_bytes());
        }
        self.folder.join(format!("{}.safetensors", name.to_hex()))
    }

    /// What `take` makes of the file with the tensors of `source`; none if there is no file. One that cannot be used, or in
    /// which `take` finds fault, is logged and counts as none.
    pub fn open<T>(
        &self,
        source: &Source,
        take: impl FnOnce(&WeightsFile) -> Result<T, String>,
    ) -> Option<T> {
        let path = self.path(source);
        if !path.exists() {
            return None;
        }
        let taken = WeightsFile::open(&path).map_err(|error| error.to_string()).and_then(|file| {
            let expected = self.metadata(source);
            match expected.iter().find(|(key, value)| file.metadata().get(*key) != Some(*value)) {
                None => take(&file),
                Some((key, value)) => Err(match file.metadata().get(key) {
                    Some(found) => format!("its {key} is {found:?}, not {value:?}"),
                    None => format!("it does not say its {key}: another program wrote it"),
                }),
            }
        });
        let warn = |reason: &String| {
            tracing::warn!(file = %path.display(), reason, "a cached file cannot be used; it is made anew");
        };
        taken.inspect_err(warn).ok()
    }

    /// Keeps `tensors` of `source`, in one move; gives the file.
    ///
    /// # Errors
    /// [`TrainError::Weights`] for values that are not finite, [`TrainError::Atomic`] for a disk that is full.
    pub fn write(
        &self,
        source: &Source,
        tensors: &BTreeMap<String, TensorValues>,
    ) -> Result<PathBuf, TrainError> {
        let path = self.path(source);
        let bytes = weights::write_tensors(tensors, Precision::F32, &self.metadata(source))?;
        atomic::write_file(&path, |writer| writer.write_all(&bytes))?;
        Ok(path)
    }

    fn metadata(&self, source: &Source) -> Metadata {
        let own = [("cache-format", FORMAT), ("encoder", &self.encoder)];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        source.identity.clone().into_iter().chain(source.state.clone()).chain(own).collect()
    }
}

/// A number of 128 bits for everything that was added (XXH3): another one for other weights, to all that can be expected
/// of weights that nobody made to collide.
#[derive(Clone, Default)]
pub struct Fingerprint(Xxh3);

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Fingerprint").field(&self.to_hex()).finish()
    }
}

impl Fingerprint {
    /// Adds `bytes`, and their number, lest what follows could belong to them.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds names, types and values of all parameters.
    ///
    /// # Errors
    /// [`TrainError::DeviceLost`] if they cannot be read back.
    pub fn add_parameters<M: Module>(&mut self, module: &M) -> Result<(), TrainError> {
        for (name, value) in named_parameters(module) {
            let data = value.try_into_data().map_err(|error| TrainError::DeviceLost(error.to_string()))?;
            self.add(name.as_bytes());
            self.add(format!("{:?}", data.dtype()).as_bytes());
            self.add(data.as_bytes());
        }
        Ok(())
    }

    /// The number in 32 digits.
    pub fn to_hex(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn source(picture: &str, modified: &str) -> Source {
        let entry = |key: &str, value: &str| Metadata::from([(key.to_owned(), value.to_owned())]);
        Source { identity: entry("picture", picture), state: entry("modified", modified) }
    }

    fn encoder(name: &str) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(name.as_bytes());
        fingerprint
    }

    fn tensors(value: f32) -> BTreeMap<String, TensorValues> {
        let values = TensorValues::new(vec![2], vec![value; 2]).expect("two values");
        BTreeMap::from([("latents".to_owned(), values)])
    }

    fn read(cache: &TensorCache, source: &Source) -> Option<Vec<f32>> {
        cache.open(source, |file| file.read("latents").map_err(|error| error.to_string()))
    }

    fn cache() -> (TempDir, TensorCache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = TensorCache::new(folder.path(), "latents", &encoder("vae"));
        (folder, cache)
    }

    #[test]
    fn what_was_written_is_found_by_its_source_alone() {
        let (folder, cache) = cache();
        assert_eq!(read(&cache, &source("a.png", "1")), None);
        cache.write(&source("a.png", "1"), &tensors(0.5)).expect("written");
        cache.write(&source("b.png", "1"), &tensors(1.5)).expect("written");
        assert_eq!(read(&cache, &source("a.png", "1")), Some(vec![0.5; 2]));
        assert_eq!(read(&cache, &source("b.png", "1")), Some(vec![1.5; 2]));
        assert_eq!(read(&cache, &source("a.png", "2")), None, "the picture has changed");
        let other = TensorCache::new(folder.path(), "latents", &encoder("another vae"));
        assert_eq!(read(&other, &source("a.png", "1")), None);
    }

    #[test]
    fn broken_and_foreign_files_are_no_files_and_are_replaced() {
        let (folder, cache) = cache();
        let source = source("a.png", "1");
        let path = cache.write(&source, &tensors(0.5)).expect("written");
        let whole = fs::read(&path).expect("there");
        let other = TensorCache::new(folder.path(), "latents", &encoder("another vae"));
        let foreign = fs::read(other.write(&source, &tensors(2.5)).expect("written")).expect("there");
        let plain = weights::write_tensors(&tensors(3.5), Precision::F32, &Metadata::new()).expect("bytes");
        let mut not_finite = whole.clone();
        let last = not_finite.len() - 4;
        not_finite[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        for bytes in [&whole[..whole.len() - 1], b"", b"no safetensors", &foreign, &plain, &not_finite] {
            fs::write(&path, bytes).expect("written");
            assert_eq!(read(&cache, &source), None);
            assert_eq!(cache.write(&source, &tensors(0.5)).expect("written"), path);
            assert_eq!(read(&cache, &source), Some(vec![0.5; 2]));
        }
    }

    #[test]
    fn a_fingerprint_depends_on_where_texts_end() {
        let of = |texts: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            texts.iter().for_each(|text| fingerprint.add(text.as_bytes()));
            fingerprint.to_hex()
        };
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
