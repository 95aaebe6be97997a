//! Model folders as people have them when something went wrong: each is said in a message of its own, and nothing is
//! painted.

mod support;

use std::{
    fs, io,
    path::{Path, PathBuf},
};
use support::{atelier, error_of};
use tempfile::TempDir;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A copy of a tiny Stable Diffusion to spoil.
struct Model {
    folder: TempDir,
}

impl Model {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&fixtures("pipelines/sd"), folder.path()).expect("copied");
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn spoil(&self, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let bytes = fs::read(self.path(file)).expect("a file of the model");
        fs::write(self.path(file), change(bytes)).expect("written");
    }

    /// What `atelier sample` says of it.
    fn refused(&self, more: &[&str]) -> String {
        let (model, out) = (self.folder.path().display().to_string(), self.path("pictures"));
        let out_text = out.display().to_string();
        let sample =
            ["sample", "--model", &model, "--prompt", "a harbour", "--steps", "1", "--size", "16x16"];
        let rest = ["--device", "cpu", "--out", &out_text];
        let (code, message) = error_of(&mut atelier(&[&sample[..], &rest[..], more].concat()));
        assert_eq!(code, Some(1), "{message}");
        assert!(!out.exists(), "nothing is painted");
        message
    }
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../atelier-core/tests/fixtures").join(name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
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

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn weights_that_are_no_weights() {
    let half = Model::new();
    half.spoil(UNET, |bytes| bytes[..bytes.len() / 2].to_vec());
    assert_says(&half.refused(&[]), &[UNET, "the download was cut off"]);

    let pickle = Model::new();
    pickle.spoil(UNET, |_| b"\x80\x02}q\x00X\x06".to_vec());
    assert_says(&pickle.refused(&[]), &[UNET, "pickle file"]);

    let pointer = Model::new();
    pointer.spoil(UNET, |_| b"version https://git-lfs.github.com/spec/v1\n".to_vec());
    assert_says(&pointer.refused(&[]), &[UNET, "git lfs pull"]);

    // The last tensor ends with the file.
    let nan = Model::new();
    nan.spoil(UNET, |mut bytes| {
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    });
    assert_says(&nan.refused(&[]), &[UNET, "holds the value NaN"]);

    let missing = Model::new();
    fs::remove_file(missing.path(UNET)).expect("removed");
    assert_says(&missing.refused(&[]), &["unet/diffusion_pytorch_model"]);
}

#[test]
fn configurations_of_other_models() {
    let misspelt = Model::new();
    misspelt.spoil("unet/config.json", |json| replaced(&json, "\"act_fn\"", "\"activation\""));
    assert_says(&misspelt.refused(&[]), &["unet/config.json", "no `activation`"]);

    let wider = Model::new();
    wider.spoil("unet/config.json", |json| {
        let mut config: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        config["cross_attention_dim"] =
            (2 * config["cross_attention_dim"].as_u64().expect("a number")).into();
        config.to_string().into_bytes()
    });
    assert_says(&wider.refused(&[]), &[UNET, "attn2.to_k.weight", "but the model needs"]);

    let other = Model::new();
    other.spoil("unet/config.json", |json| replaced(&json, "UNet2DConditionModel", "StableCascadeUNet"));
    assert_says(&other.refused(&[]), &["unet/config.json", "StableCascadeUNet"]);
}

#[test]
fn adapters_for_other_models() {
    let model = Model::new();
    let lora = fixtures("lora/diffusers.safetensors").display().to_string();
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter").display().to_string();
    let sample = ["sample", "--prompt", "a harbour", "--model", &painter, "--lora", &lora, "--device", "cpu"];
    let out = model.path("pictures").display().to_string();
    let (code, message) = error_of(&mut atelier(&[&sample[..], &["--out", &out]].concat()));
    assert_eq!(code, Some(1), "{message}");
    assert_says(&message, &["lora/diffusers.safetensors"]);
    assert!(!model.path("pictures").exists());
    // Weights are no adapter.
    let file = model.path(UNET).display().to_string();
    assert_says(&model.refused(&["--lora", &file]), &[UNET, "is no key of a plain LoRA"]);
}

fn replaced(json: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(json).expect("UTF-8");
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}
