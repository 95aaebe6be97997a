//! `atelier plan` with the small painter and with a tiny SDXL: memory by part, advice, a probe, and bad input.

mod support;

use serde_json::Value;
use std::{fs, path::Path};
use support::{atelier, error_of, json_of, tiny_model::TinyModel};

const SDXL: &str = "crates/atelier-core/tests/fixtures/pipelines/sdxl";

fn folder(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name).display().to_string()
}

fn plan(model: &str, more: &[&str]) -> Value {
    let model = folder(model);
    json_of(&mut atelier(&[&["plan", "--model", &model, "--device", "cpu", "--json"], more].concat()))
}

fn bytes(plan: &Value, name: &str) -> u64 {
    let parts = plan["parts"].as_array().expect("parts");
    let part = parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {plan}"));
    part["bytes"].as_u64().expect("a number")
}

/// Bytes of the tensors in a file of f32.
fn bytes_on_disk(model: &str, file: &str) -> u64 {
    let file = fs::read(Path::new(&folder(model)).join(file)).expect("weights");
    let header = u64::from_le_bytes(file[..8].try_into().expect("eight bytes"));
    file.len() as u64 - 8 - header
}

#[test]
fn parts_are_those_of_the_files() {
    let whole = plan("models/painter", &["--no-probe"]);
    let unet = bytes_on_disk("models/painter", "unet/diffusion_pytorch_model.safetensors");
    // The shipped painter's files are in f16 or f32; on the device its weights are in f32.
    let found = bytes(&whole, "weights of the denoiser");
    assert!(found == unet || found == 2 * unet, "{found} of {unet}");
    assert_eq!(bytes(&whole, "moments of AdamW"), 2 * found);
    let total: u64 =
        whole["parts"].as_array().expect("parts").iter().filter_map(|it| it["bytes"].as_u64()).sum();
    assert_eq!(whole["total_bytes"], total);
    assert!(whole["seconds_per_step"].is_null());

    let more = ["--no-probe", "--lora-rank", "4", "--size", "64", "--train-batch-size", "1"];
    let adapter = plan(SDXL, &more);
    assert!(bytes(&adapter, "weights of the second text encoder") > 0);
    assert_eq!(bytes(&adapter, "moments of AdamW"), 2 * bytes(&adapter, "adapter"));
    assert!(bytes(&adapter, "adapter") < bytes(&adapter, "weights of the denoiser"));
    let half = plan(SDXL, &[&more[..], &["--base-precision", "f16", "--gradient-checkpointing"]].concat());
    assert!(bytes(&half, "weights of the denoiser") < bytes(&adapter, "weights of the denoiser"));
    assert!(bytes(&half, "activations") < bytes(&adapter, "activations"));
}

#[test]
fn a_probe_measures_steps_of_every_kind() {
    for more in [&[][..], &["--lora-rank", "2"], &["--lora-rank", "2", "--gradient-checkpointing"]] {
        let small = ["--size", "64", "--train-batch-size", "2"];
        for model in ["models/painter", SDXL] {
            let seconds = plan(model, &[&small[..], more].concat())["seconds_per_step"].as_f64();
            assert!(seconds.is_some_and(|seconds| seconds > 0.0), "{model} {more:?}");
        }
    }
}

#[test]
fn what_does_not_fit_gets_advice() {
    let model = folder("models/painter");
    let words = ["plan", "--model", &model, "--device", "cpu", "--memory", "0.2", "--train-batch-size", "8"];
    let output = atelier(&words).output().expect("runs");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    for expected in ["It does not fit: the device has 204.8 MiB", "--lora-rank 16", "in all", "not measured"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let enough = plan("models/painter", &["--memory", "64", "--no-probe"]);
    assert_eq!((&enough["fits"], enough["advice"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    let pointless = ["--no-probe", "--lora-rank", "4", "--base-precision", "f16"];
    let advice = plan("models/painter", &pointless)["advice"].to_string();
    assert!(advice.contains("--gradient-checkpointing"), "{advice}");
}

#[test]
fn what_cannot_be_planned_is_said() {
    let painter = folder("models/painter");
    for (more, code, expected) in [
        (&[][..], 2, "--model is missing"),
        (&["--model", "nowhere"], 1, "a diffusers model folder is expected"),
        (&["--model", &painter, "--memory", "-1"], 2, "-1"),
        (&["--model", &painter, "--lora-rank", "2", "--target-module", "query"], 1, "query"),
        (&["--model", &painter, "--base-precision", "f16"], 2, "add --lora-rank"),
    ] {
        let (found, message) = error_of(&mut atelier(&[&["plan", "--device", "cpu"], more].concat()));
        assert!(found == Some(code) && message.contains(expected), "{found:?} {message}");
    }
    // Parts that do not belong together.
    let model = TinyModel::new("sd");
    model.take("vae", "sd3");
    let folder = model.folder();
    let (code, message) =
        error_of(&mut atelier(&["plan", "--no-probe", "--model", &folder, "--device", "cpu"]));
    assert!(code == Some(1) && message.contains("4 channels, but vae has 16"), "{message}");
    // Half a download is noticed without reading the rest.
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        fs::create_dir_all(copy.path().join("unet")).expect("made");
        let bytes = fs::read(Path::new(&painter).join(file)).expect("a file");
        let end = if file.ends_with("json") { bytes.len() } else { bytes.len() / 2 };
        fs::write(copy.path().join(file), &bytes[..end]).expect("written");
    }
    let folder = copy.path().display().to_string();
    let (code, message) = error_of(&mut atelier(&["plan", "--model", &folder, "--device", "cpu"]));
    assert_eq!(code, Some(1));
    assert!(message.contains("unet/diffusion_pytorch_model.safetensors"), "{message}");
}
