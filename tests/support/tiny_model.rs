//! Copies of the tiny models, to change.

use super::{atelier, error_of};
use atelier_core::weights::{Metadata, Precision, TensorValues, WeightsFile, read_tensors, write_tensors};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The weights of the denoiser of Stable Diffusion.
pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// The weights of the first text encoder.
pub const TEXT_ENCODER: &str = "text_encoder/model.safetensors";

/// Tensors by name.
pub type Tensors = BTreeMap<String, TensorValues>;

/// A private copy of a tiny model.
pub struct TinyModel {
    folder: TempDir,
}

impl TinyModel {
    /// A copy of the folder `name` in `fixtures/pipelines`: `sd`, `sd21`, `sdxl`, `sd3` or `flux`.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&fixtures("pipelines").join(name), folder.path()).expect("copied");
        Self { folder }
    }

    /// The path of a file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The path of the folder, as text.
    pub fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Changes the bytes of a file.
    pub fn spoil(&self, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let bytes = fs::read(self.path(file)).expect("a file of the model");
        fs::write(self.path(file), change(bytes)).expect("written");
    }

    /// Sets keys of a configuration.
    pub fn set(&self, file: &str, keys: Value) {
        self.spoil(file, |json| {
            let mut config: Value = serde_json::from_slice(&json).expect("JSON");
            let Value::Object(keys) = keys else { panic!("keys are wanted, not {keys}") };
            config.as_object_mut().expect("an object").extend(keys);
            config.to_string().into_bytes()
        });
    }

    /// The tensors of a safetensors file.
    pub fn tensors(&self, file: &str) -> Tensors {
        let file = WeightsFile::open(&self.path(file)).expect("weights");
        read_tensors(&file).expect("finite").0
    }

    /// Writes a safetensors file.
    pub fn write(&self, file: &str, tensors: &Tensors, precision: Precision) {
        let bytes = write_tensors(tensors, precision, &Metadata::new()).expect("finite");
        fs::write(self.path(file), bytes).expect("written");
    }

    /// Takes a part from another tiny model.
    pub fn take(&self, part: &str, other: &str) {
        fs::remove_dir_all(self.path(part)).expect("removed");
        copy(&fixtures("pipelines").join(other).join(part), &self.path(part)).expect("copied");
    }

    /// What `atelier sample` says of it, which must refuse it.
    #[track_caller]
    pub fn refused(&self, more: &[&str]) -> String {
        let (model, out) = (self.folder(), self.path("pictures"));
        let out_text = out.display().to_string();
        let (code, message) = error_of(&mut atelier(&[&sample(&model, &out_text)[..], more].concat()));
        assert_eq!(code, Some(1), "{message}");
        assert!(!out.exists(), "nothing is painted");
        message
    }

    /// Paints a picture; gives its latents and what is said beside.
    #[track_caller]
    pub fn paints(&self) -> (Vec<f32>, String) {
        paints(&self.folder(), &self.path("latents.safetensors"))
    }
}

/// Paints a picture with the model in `folder`; gives its latents, which are written to `file`, and what is said beside.
#[track_caller]
pub fn paints(folder: &str, file: &Path) -> (Vec<f32>, String) {
    let (out, latents) = (file.with_file_name("pictures"), file.display().to_string());
    let out = out.display().to_string();
    let words = [&sample(folder, &out)[..], &["--save-latents", &latents]].concat();
    let output = atelier(&words).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{folder}: {said}");
    let latents = WeightsFile::open(file).expect("weights").read("latents").expect("latents");
    (latents, said)
}

fn sample<'a>(model: &'a str, out: &'a str) -> [&'a str; 13] {
    [
        "sample",
        "--model",
        model,
        "--prompt",
        "a harbour",
        "--steps",
        "1",
        "--size",
        "16x16",
        "--device",
        "cpu",
        "--out",
        out,
    ]
}

/// The folder `name` in the fixtures.
pub fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures").join(name)
}

/// Copies a folder.
///
/// # Errors
/// What the system says.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Whether a message says all of it.
#[track_caller]
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}
