//! Options that save memory change nothing else: half-precise bases, and gradient checkpointing.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use support::{atelier, error_of, succeed};

/// Tiny pictures, on which the small painter is trained.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().expect("a folder") };
        let data = workshop.text("data");
        succeed(&["studio", "paint", "--count", "10", "--size", "32", "--seed", "1", "--out", &data]);
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn arguments(&self, run: &str, out: &str, more: &[&str]) -> Vec<String> {
        let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
        let (data, out, painter) = (self.text("data"), self.text(out), painter.display().to_string());
        let mut arguments = vec!["train", run, "--data", &data, "--output-dir", &out, "--model", &painter];
        arguments.extend(["--device", "cpu", "--size", "32", "--train-batch-size", "2"]);
        arguments.extend(["--validation-steps", "0", "--lr-warmup-steps", "0", "--max-train-steps", "2"]);
        arguments.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    }

    fn train(&self, run: &str, out: &str, more: &[&str]) {
        succeed(&self.arguments(run, out, more).iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn error(&self, run: &str, more: &[&str]) -> (Option<i32>, String) {
        let arguments = self.arguments(run, "failed", more);
        error_of(&mut atelier(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// The adapter that a run gave.
    fn adapter(&self, out: &str) -> BTreeMap<String, Vec<f32>> {
        values(&self.path(out).join("pytorch_lora_weights.safetensors"))
    }
}

/// All tensors of a safetensors file in f32.
fn values(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let file = fs::read(path).expect("weights");
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let (header, data) = rest.split_at(usize::try_from(length).expect("a length"));
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).expect("JSON");
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, info)| {
            let offset = |i: usize| info["data_offsets"][i].as_u64().expect("an offset") as usize;
            let bytes = &data[offset(0)..offset(1)];
            (name, bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
        })
        .collect()
}

/// The largest difference of two files' values.
fn distance(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f32 {
    assert!(a.keys().eq(b.keys()));
    let pairs = a.values().flatten().zip(b.values().flatten());
    pairs.fold(0.0, |max, (a, b)| f32::max(max, (a - b).abs()))
}

#[test]
fn a_base_in_half_precision_trains_the_adapter_that_its_weights_give() {
    let workshop = Workshop::new();
    let common = ["--lora-rank", "2", "--target-module", "to_q", "--target-module", "conv1"];
    for precision in ["f32", "f16", "bf16"] {
        workshop.train("sft", precision, &[&common[..], &["--base-precision", precision]].concat());
        let config = fs::read_to_string(workshop.path(precision).join("config.toml")).expect("written");
        assert!(config.contains(&format!("base-precision = \"{precision}\"")), "{config}");
    }
    let exact = workshop.adapter("f32");
    let learned = |(name, values): (&String, &Vec<f32>)| {
        name.ends_with("lora_B.weight") && values.iter().any(|value| *value != 0.0)
    };
    assert!(exact.iter().any(learned));
    // The files of the small painter are in f16: nothing of them is lost, and widening them is exact.
    assert_eq!(distance(&exact, &workshop.adapter("f16")), 0.0);
    // Two steps of AdamW move a value by at most 2e-4, whatever its gradient is; rounding the base does not turn all.
    let distance = distance(&exact, &workshop.adapter("bf16"));
    assert!(distance > 0.0 && distance <= 4.1e-4, "{distance}");
    let auxiliary = workshop.text("f16");
    let more = ["--lora-rank", "2", "--auxiliary", &auxiliary, "--base-precision", "f16"];
    workshop.train("align", "aligned", &more);
    assert!(workshop.adapter("aligned").iter().any(learned));
}

#[test]
fn half_precision_is_for_what_is_not_trained() {
    let workshop = Workshop::new();
    let (code, message) = workshop.error("sft", &["--base-precision", "f16"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("add --lora-rank"), "{message}");
    let more = ["--lora-rank", "2", "--base-precision", "bf16"];
    let (code, message) = workshop.error("pretrain", &more);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("`train sft`"), "{message}");
    let (code, message) = workshop.error("sft", &["--lora-rank", "2", "--base-precision", "f8"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("bf16"), "{message}");
}

/// The gradients are the same sums in another order. AdamW divides them by their own size, so that values whose gradient is
/// nearly nothing go either way: 1e-5, a tenth of one step, for what a whole run comes to.
#[test]
fn gradient_checkpointing_trains_the_same() {
    const TOLERANCE: f32 = 1e-5;
    let workshop = Workshop::new();
    let compare = |run: &str, name: &str, more: &[&str], result: &str| {
        let again = format!("{name}-again");
        workshop.train(run, name, more);
        workshop.train(run, &again, &[more, &["--gradient-checkpointing"]].concat());
        let read = |out: &str| values(&workshop.path(out).join(result));
        let distance = distance(&read(name), &read(&again));
        assert!(distance <= TOLERANCE, "{name}: {distance}");
    };
    const ADAPTER: &str = "pytorch_lora_weights.safetensors";
    const UNET: &str = "model/unet/diffusion_pytorch_model.safetensors";
    let lora = ["--lora-rank", "2", "--lora-dropout", "0.2"];
    compare("sft", "adapter", &lora, ADAPTER);
    compare("sft", "half", &["--lora-rank", "2", "--base-precision", "f16"], ADAPTER);
    compare("sft", "whole", &["--target-module", "attn2"], UNET);
    let auxiliary = workshop.text("adapter");
    compare("align", "aligned", &[&lora[..], &["--auxiliary", &auxiliary]].concat(), ADAPTER);
}
