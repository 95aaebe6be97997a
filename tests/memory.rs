//! Options that save memory change nothing else: half-precise bases, and gradient checkpointing.

mod support;

use std::{collections::BTreeMap, fs, path::Path};
use support::workshop::{Workshop, painter, tensors};

const LORA: &str = "pytorch_lora_weights.safetensors";

/// Tiny pictures, on which the small painter is trained.
fn workshop() -> Workshop {
    Workshop::with_paintings(
        "10",
        &[
            ["--model", painter()],
            ["--train-batch-size", "2"],
            ["--lr-warmup-steps", "0"],
            ["--max-train-steps", "2"],
        ],
    )
}

/// All tensors of a safetensors file in f32.
fn values(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let floats = |bytes: Vec<u8>| bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect();
    tensors(path).into_iter().map(|(name, bytes)| (name, floats(bytes))).collect()
}

/// The largest difference of two files' values.
fn distance(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f32 {
    assert!(a.keys().eq(b.keys()));
    let pairs = a.values().flatten().zip(b.values().flatten());
    pairs.fold(0.0, |max, (a, b)| f32::max(max, (a - b).abs()))
}

#[test]
fn a_base_in_half_precision_trains_the_adapter_that_its_weights_give() {
    let workshop = workshop();
    let common = ["--lora-rank", "2", "--target-module", "to_q", "--target-module", "conv1"];
    for precision in ["f32", "f16", "bf16"] {
        workshop.train("sft", precision, &[&common[..], &["--base-precision", precision]].concat());
        let config = fs::read_to_string(workshop.path(precision).join("config.toml")).expect("written");
        assert!(config.contains(&format!("base-precision = \"{precision}\"")), "{config}");
    }
    let exact = values(&workshop.path("f32").join(LORA));
    let learned = |(name, values): (&String, &Vec<f32>)| {
        name.ends_with("lora_B.weight") && values.iter().any(|value| *value != 0.0)
    };
    assert!(exact.iter().any(learned));
    // The files of the small painter are in f16: nothing of them is lost, and widening them is exact.
    assert_eq!(distance(&exact, &values(&workshop.path("f16").join(LORA))), 0.0);
    // Two steps of AdamW move a value by at most 2e-4, whatever its gradient is; rounding the base does not turn all.
    let distance = distance(&exact, &values(&workshop.path("bf16").join(LORA)));
    assert!(distance > 0.0 && distance <= 4.1e-4, "{distance}");
    let auxiliary = workshop.text("f16");
    let more = ["--lora-rank", "2", "--auxiliary", &auxiliary, "--base-precision", "f16"];
    workshop.train("align", "aligned", &more);
    assert!(values(&workshop.path("aligned").join(LORA)).iter().any(learned));
}

#[test]
fn half_precision_is_for_what_is_not_trained() {
    let workshop = workshop();
    let (code, message) = workshop.error("sft", "failed", &["--base-precision", "f16"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("add --lora-rank"), "{message}");
    let more = ["--lora-rank", "2", "--base-precision", "bf16"];
    let (code, message) = workshop.error("pretrain", "failed", &more);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("`train sft`"), "{message}");
    let (code, message) = workshop.error("sft", "failed", &["--lora-rank", "2", "--base-precision", "f8"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("bf16"), "{message}");
}

/// The gradients are the same sums in another order. AdamW divides them by their own size, so that single values whose
/// gradient is nearly nothing may go either way, by a step each; what a run learns as a whole stays the same.
#[test]
fn gradient_checkpointing_trains_the_same() {
    let workshop = workshop();
    let compare = |run: &str, name: &str, more: &[&str], result: &str| {
        let again = format!("{name}-again");
        workshop.train(run, name, more);
        workshop.train(run, &again, &[more, &["--gradient-checkpointing"]].concat());
        let [kept, computed] = [name, &again].map(|out| first_step(&workshop.path(out)));
        for (kept, computed) in kept.into_iter().zip(computed) {
            // Sums in f32 in another order, over a whole model: some 1e-6, and a wide margin.
            assert!((kept - computed).abs() <= 1e-4 * kept.abs(), "{name}: {kept} is not {computed}");
        }
        let read = |out: &str| values(&workshop.path(out).join(result));
        let (kept, computed) = (read(name), read(&again));
        // Two steps of at most 1e-4 each, either way.
        assert!(distance(&kept, &computed) <= 4.1e-4, "{name}");
        let share = turned(&kept, &computed);
        assert!(share < 0.01, "{name}: {share} of the values went another way");
    };
    const UNET: &str = "model/unet/diffusion_pytorch_model.safetensors";
    let lora = ["--lora-rank", "2", "--lora-dropout", "0.2"];
    compare("sft", "adapter", &lora, LORA);
    compare("sft", "half", &["--lora-rank", "2", "--base-precision", "f16"], LORA);
    compare("sft", "whole", &["--target-module", "attn2"], UNET);
    let auxiliary = workshop.text("adapter");
    compare("align", "aligned", &[&lora[..], &["--auxiliary", &auxiliary]].concat(), LORA);
}

/// The share of values that are more than a tenth of a step apart.
fn turned(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f32 {
    let apart: Vec<bool> =
        a.values().flatten().zip(b.values().flatten()).map(|(a, b)| (a - b).abs() > 1e-5).collect();
    apart.iter().filter(|apart| **apart).count() as f32 / apart.len() as f32
}

/// Loss and norm of the gradients in the first step of a run.
fn first_step(run: &Path) -> [f64; 2] {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let line = metrics.lines().next().expect("a step");
    let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
    ["loss", "gradient_norm"].map(|name| record[name].as_f64().expect("a number"))
}
