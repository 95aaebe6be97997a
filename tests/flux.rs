//! FLUX through the binary, on the tiny random model of the parity tests: sampling, adapters in both stages, and bad input.

mod support;

use std::fs;
use support::{atelier, captioned_alike, error_of, losses, succeed};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../atelier-core/tests/fixtures/pipelines/flux");

#[test]
fn flux_is_taught_and_aligned_and_paints() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let data = captioned_alike(&path("data"));
    let train = |run: &str, out: &str, more: &[&str]| {
        let out = path(out).display().to_string();
        let common =
            ["train", run, "--data", &data, "--model", MODEL, "--output-dir", &out, "--device", "cpu"];
        let small = ["--size", "16", "--train-batch-size", "4", "--lr-warmup-steps", "1", "--lora-rank", "4"];
        succeed(&[&common[..], &small, more].concat());
    };
    let taught = ["--max-train-steps", "4", "--learning-rate", "1e-2", "--validation-steps", "4"];
    train("sft", "auxiliary", &[&taught[..], &["--num-validation-images", "2"]].concat());
    assert_eq!(losses(&path("auxiliary")).len(), 4);
    assert!(path("auxiliary/samples/step-000004.png").is_file());
    let adapter = path("auxiliary/pytorch_lora_weights.safetensors").display().to_string();
    for objective in ["cpo", "diffusion-dpo"] {
        let mut more = vec!["--objective", objective, "--max-train-steps", "3", "--validation-steps", "0"];
        if objective == "cpo" {
            more.extend(["--auxiliary", &adapter]);
        }
        train("align", objective, &more);
        assert_eq!(losses(&path(objective)).len(), 3);
        let bytes = fs::read(path(objective).join("pytorch_lora_weights.safetensors")).expect("an adapter");
        let key = b"transformer.transformer_blocks.0.attn.to_q.lora_A.weight";
        assert!(bytes.windows(key.len()).any(|window| window == key), "diffusers knows it by this prefix");
    }
    let pictures = path("pictures").display().to_string();
    let adapter = path("cpo/pytorch_lora_weights.safetensors").display().to_string() + ":0.5";
    succeed(&[
        "sample",
        "--model",
        MODEL,
        "--lora",
        &adapter,
        "--prompt",
        "a quiet harbour",
        "--size",
        "32x16",
        "--steps",
        "2",
        "--device",
        "cpu",
        "--out",
        &pictures,
    ]);
    let bytes = fs::read(path("pictures/00000-0.png")).expect("a picture");
    let text = "Sampler: Euler, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 0, Size: 32x16, Model: flux";
    assert!(String::from_utf8_lossy(&bytes).contains(text));
}

#[test]
fn what_flux_cannot_do_is_said() {
    let sample = ["sample", "--model", MODEL, "--prompt", "a harbour", "--steps", "2", "--device", "cpu"];
    for (more, code, expected) in [
        (&["--size", "16x12"][..], 2, "both sides must be multiples of 8"),
        (&["--size", "16x16", "--scheduler", "ddim"], 1, "trained by flow matching; choose flow-match-euler"),
    ] {
        let (found, message) = error_of(&mut atelier(&[&sample[..], more].concat()));
        assert!(found == Some(code) && message.contains(expected), "{found:?} {message}");
    }
}
