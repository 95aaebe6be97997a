//! Stable Diffusion 3 through the binary, on the tiny random model of the parity tests: a plan, adapters in both stages,
//! sampling, and bad input.

mod support;

use std::fs;
use support::{atelier, captioned_alike, error_of, json_of, losses, succeed};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../atelier-core/tests/fixtures/pipelines/sd3");

#[test]
fn sd3_is_taught_and_aligned_and_paints() {
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
    train(
        "sft",
        "auxiliary",
        &["--max-train-steps", "4", "--learning-rate", "1e-2", "--validation-steps", "0"],
    );
    assert_eq!(losses(&path("auxiliary")).len(), 4);
    let adapter = path("auxiliary/pytorch_lora_weights.safetensors").display().to_string();
    train("align", "cpo", &["--auxiliary", &adapter, "--max-train-steps", "2", "--validation-steps", "0"]);
    assert_eq!(losses(&path("cpo")).len(), 2);
    let bytes = fs::read(path("cpo/pytorch_lora_weights.safetensors")).expect("an adapter");
    let key = b"transformer.transformer_blocks.0.attn.to_q.lora_A.weight";
    assert!(bytes.windows(key.len()).any(|window| window == key), "diffusers knows it by this prefix");
    let pictures = path("pictures").display().to_string();
    let adapter = path("cpo/pytorch_lora_weights.safetensors").display().to_string() + ":0.5";
    let words = ["sample", "--model", MODEL, "--lora", &adapter, "--prompt", "a quiet harbour"];
    succeed(
        &[&words[..], &["--size", "32x16", "--steps", "2", "--device", "cpu", "--out", &pictures]].concat(),
    );
    let bytes = fs::read(path("pictures/00000-0.png")).expect("a picture");
    let text = "Sampler: Euler, CFG scale: 7, Seed: 0, Size: 32x16, Model: sd3";
    assert!(String::from_utf8_lossy(&bytes).contains(text));
}

#[test]
fn a_plan_counts_all_text_encoders() {
    let words =
        ["plan", "--model", MODEL, "--size", "16", "--lora-rank", "2", "--device", "cpu", "--no-probe"];
    let plan = json_of(&mut atelier(&[&words[..], &["--json"]].concat()));
    for name in ["weights of the text encoder", "weights of the third text encoder", "activations"] {
        let parts = plan["parts"].as_array().expect("parts");
        let part = parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {plan}"));
        assert!(part["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{name}");
    }
}

#[test]
fn what_sd3_cannot_do_is_said() {
    let sample = ["sample", "--model", MODEL, "--prompt", "a harbour", "--steps", "2", "--device", "cpu"];
    let train =
        ["train", "sft", "--data", "none", "--model", MODEL, "--output-dir", "none", "--device", "cpu"];
    for (words, more, expected) in [
        (&sample[..], &["--size", "16x12"][..], "both sides must be multiples of 8"),
        (&sample, &["--size", "72x16"], "sides up to 64 pixels"),
        (&train, &["--size", "72"], "sides up to 64 pixels"),
        (&train, &["--size", "48", "--aspect-ratio-buckets"], "sides up to 64 pixels"),
        (&train, &["--size", "16", "--lora-rank", "2", "--gradient-checkpointing"], "works for UNets"),
    ] {
        let (found, message) = error_of(&mut atelier(&[words, more].concat()));
        assert!(found == Some(2) && message.contains(expected), "{found:?} {message}");
    }
}
