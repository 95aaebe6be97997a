//! The three runs on tiny pictures: results, resuming, interrupts, and bad input.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};
use support::{
    losses, make_weights_overflow,
    workshop::{Workshop, tensors},
};

/// Tiny data and a tiny model.
fn workshop() -> Workshop {
    let workshop = Workshop::with_paintings("20", &[["--train-batch-size", "2"]]);
    workshop.train("pretrain", "base", &["--autoencoder-steps", "2", "--max-train-steps", "2"]);
    workshop
}

fn file(output: &Path, part: &str) -> PathBuf {
    output.join("model").join(part).join("diffusion_pytorch_model.safetensors")
}

fn weights(output: &Path, part: &str) -> Vec<u8> {
    fs::read(file(output, part)).expect("weights")
}

#[test]
fn a_model_is_pretrained_taught_and_aligned() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    workshop.train(
        "sft",
        "auxiliary",
        &["--model", &base, "--max-train-steps", "3", "--validation-steps", "3"],
    );
    assert!(workshop.path("auxiliary/samples/step-000003.png").is_file());
    workshop.train("sft", "reader", &["--model", &base, "--max-train-steps", "3", "--granularity", "leaf"]);
    assert_ne!(weights(&workshop.path("reader"), "unet"), weights(&workshop.path("auxiliary"), "unet"));
    let auxiliary = workshop.text("auxiliary/model");
    let more = ["--model", base.as_str(), "--auxiliary", &auxiliary, "--max-train-steps", "4"];
    for stabilisation in ["none", "constant", "safeguard", "norm-ratio"] {
        workshop.train("cpo", stabilisation, &[&more[..], &["--stabilisation", stabilisation]].concat());
    }
    workshop.train(
        "cpo",
        "leaf",
        &[&more[..], &["--granularity", "leaf", "--dimension-weight", "composition=0"]].concat(),
    );
    assert_ne!(weights(&workshop.path("norm-ratio"), "unet"), weights(&workshop.path("base"), "unet"));
    let metrics = fs::read_to_string(workshop.path("norm-ratio/metrics.jsonl")).expect("metrics");
    assert_eq!(metrics.lines().count(), 4);
    let logged = [
        "loss",
        "u",
        "sigmoid_u",
        "implicit_accuracy",
        "gradient_norm_winning",
        "gradient_norm_losing",
        "gradient_cosine",
        "lambda",
        "mse_winning",
        "mse_reference",
        "learning_rate",
        "samples_per_second",
    ];
    for line in metrics.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for name in logged {
            assert!(record[name].is_f64(), "{name} is missing: {line}");
        }
    }
    assert!(fs::read_dir(workshop.path("norm-ratio/logs")).expect("logs").count() == 1);
}

/// Every objective trains on the same data by its flag, and each teaches something of its own. That it teaches what it should
/// is tested on one batch with one noise, beside the run.
#[test]
fn every_objective_trains() {
    let workshop = workshop();
    // Pairs need pictures of one caption.
    let metadata = workshop.path("data/train/metadata.jsonl");
    let lines = fs::read_to_string(&metadata).expect("metadata");
    let alike = lines.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["text"] = "a seascape".into();
        record.to_string() + "\n"
    });
    fs::write(&metadata, alike.collect::<String>()).expect("written");
    let base = workshop.text("base/model");
    workshop.train("sft", "auxiliary", &["--model", &base, "--max-train-steps", "4"]);
    let auxiliary = workshop.text("auxiliary/model");
    let mut results = vec![weights(&workshop.path("base"), "unet")];
    for objective in
        ["cpo", "sft", "diffusion-dpo", "diffusion-sdpo", "ddspo", "diffusion-kto", "mapo", "diffusion-npo"]
    {
        let mut more = vec!["--model", &base, "--objective", objective, "--max-train-steps", "4"];
        more.extend(["--learning-rate", "1e-3", "--lr-warmup-steps", "1", "--train-batch-size", "4"]);
        if matches!(objective, "cpo" | "ddspo") {
            more.extend(["--auxiliary", &auxiliary]);
        }
        workshop.train("align", objective, &more);
        assert_eq!(losses(&workshop.path(objective)).len(), 4, "{objective}");
        let result = weights(&workshop.path(objective), "unet");
        assert!(!results.contains(&result), "{objective} taught what another objective did, or nothing");
        results.push(result);
    }
}

#[test]
fn objectives_of_pairs_say_when_there_are_none() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let metadata = workshop.path("data/train/metadata.jsonl");
    let lines = fs::read_to_string(&metadata).expect("metadata");
    let different = lines.lines().enumerate().map(|(index, line)| {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["text"] = format!("picture {index}").into();
        record.to_string() + "\n"
    });
    fs::write(&metadata, different.collect::<String>()).expect("written");
    let (code, message) = workshop.error("align", "pairs", &["--model", &base, "--objective", "mapo"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("--objective mapo needs pairs"), "{message}");
}

#[test]
fn adapters_are_trained_in_both_stages() {
    const FILE: &str = "pytorch_lora_weights.safetensors";
    let workshop = workshop();
    let base = workshop.text("base/model");
    let common = ["--model", base.as_str(), "--lora-rank", "2", "--max-train-steps", "4"];
    let adapter = ["--lora-dropout", "0.2", "--target-module", "to_q", "--target-module", "conv1"];
    workshop.train("sft", "auxiliary", &[&common[..], &adapter].concat());
    let auxiliary = tensors(&workshop.path("auxiliary").join(FILE));
    assert!(
        auxiliary.contains_key("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight")
    );
    assert!(auxiliary.contains_key("unet.mid_block.resnets.0.conv1.lora_B.weight"));
    let learned = |tensors: &BTreeMap<String, Vec<u8>>| {
        tensors.iter().any(|(name, bytes)| name.contains("lora_B") && bytes.iter().any(|byte| *byte != 0))
    };
    assert!(learned(&auxiliary));
    // The auxiliary model may be the folder of a run, or the file in it.
    let (folder, file) = (workshop.text("auxiliary"), workshop.path("auxiliary").join(FILE));
    workshop.train(
        "cpo",
        "aligned",
        &[&common[..], &["--auxiliary", &folder, "--validation-steps", "4"]].concat(),
    );
    assert!(workshop.path("aligned/samples/step-000004.png").is_file());
    let file = file.display().to_string();
    let half =
        [&common[..4], &["--auxiliary", &file, "--max-train-steps", "4", "--checkpointing-steps", "2"]];
    workshop.train("cpo", "resumed", &half.concat());
    fs::remove_file(workshop.path("resumed").join(FILE)).expect("the result");
    workshop.train("cpo", "resumed", &[&half.concat()[..], &["--resume"]].concat());
    let result = |name: &str| tensors(&workshop.path(name).join(FILE));
    assert!(learned(&result("aligned")));
    assert!(result("aligned") == result("resumed"), "resuming is exact");
}

#[test]
fn adapters_of_another_kind_are_refused() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let more = ["--model", base.as_str(), "--lora-rank", "2"];
    let (code, message) = workshop.error("sft", "out", &[&more[..], &["--target-module", "query"]].concat());
    assert_eq!(code, Some(1));
    assert!(message.contains("no layer of the model has query in its name"), "{message}");
    let file = format!("{base}/unet/diffusion_pytorch_model.safetensors");
    let (code, message) = workshop.error("cpo", "out", &[&more[..], &["--auxiliary", &file]].concat());
    assert_eq!(code, Some(1));
    assert!(message.contains("is no key of a plain LoRA"), "{message}");
}

#[test]
fn only_target_modules_are_trained() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let more = ["--model", base.as_str(), "--auxiliary", &base, "--max-train-steps", "2"];
    let only = ["--granularity", "pairs", "--target-module", "attn2", "--target-guidance", "3"];
    workshop.train("cpo", "aligned", &[&more[..], &only].concat());
    let before = tensors(&file(&workshop.path("base"), "unet"));
    let changed: Vec<String> = tensors(&file(&workshop.path("aligned"), "unet"))
        .into_iter()
        .filter(|(name, value)| before[name] != *value)
        .map(|(name, _)| name)
        .collect();
    assert!(!changed.is_empty() && changed.iter().all(|name| name.contains(".attn2.")), "{changed:?}");

    let unknown = [&more[..], &["--target-module", "attn9"]].concat();
    let (code, message) = workshop.error("cpo", "unknown", &unknown);
    assert_eq!(code, Some(2));
    assert!(message.contains("attn9") && message.contains("down_blocks"), "{message}");
}

#[test]
fn a_painter_is_trained_further_on_the_latents_it_knows() {
    let workshop = workshop();
    let more =
        ["--model", &workshop.text("base/model"), "--autoencoder-steps", "2", "--max-train-steps", "1"];
    workshop.train("pretrain", "further", &more);
    let [before, after] = ["base", "further"].map(|output| tensors(&file(&workshop.path(output), "vae")));
    for (name, value) in after {
        assert_eq!(before[&name] == value, name.starts_with("encoder."), "{name}");
    }
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let more = [
        "--model",
        base.as_str(),
        "--max-train-steps",
        "12",
        "--ema-decay",
        "0.9",
        "--checkpointing-steps",
        "5",
    ];
    workshop.train("sft", "straight", &more);
    let checkpoint = workshop.path("straight/checkpoint-000005");
    assert!(checkpoint.is_dir() && workshop.path("straight/checkpoint-000010").is_dir());
    fs::create_dir(workshop.path("resumed")).expect("made");
    fs::rename(checkpoint, workshop.path("resumed/checkpoint-000005")).expect("moved");
    workshop.train("sft", "resumed", &[&more[..], &["--resume"]].concat());
    assert!(weights(&workshop.path("straight"), "unet") == weights(&workshop.path("resumed"), "unet"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_a_checkpoint_and_exits_with_130() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let mut run = workshop.command("sft", "stopped", &["--model", &base, "--max-train-steps", "100000"]);
    let mut child = run.stderr(Stdio::null()).spawn().expect("starts");
    let metrics = workshop.path("stopped/metrics.jsonl");
    while !fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 0) {
        assert!(child.try_wait().expect("asked").is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let folder = fs::read_dir(workshop.path("stopped")).expect("a folder");
    assert!(folder.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("checkpoint-")));
}

#[test]
fn bad_input_is_named_and_loses_nothing() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let unet = workshop.path("base/model/unet/diffusion_pytorch_model.safetensors");
    workshop.train("sft", "auxiliary", &["--model", &base, "--max-train-steps", "2"]);
    let earlier = weights(&workshop.path("auxiliary"), "unet");
    let whole = fs::read(&unet).expect("weights");
    let fails = |needles: &[&str]| {
        let (code, message) = workshop.error("sft", "again", &["--model", &base, "--max-train-steps", "2"]);
        assert_eq!(code, Some(1), "{message}");
        for needle in needles {
            assert!(message.contains(needle), "{needle} is not in: {message}");
        }
        assert!(weights(&workshop.path("auxiliary"), "unet") == earlier, "the earlier result was touched");
        assert!(!workshop.path("again").exists(), "a run that did not begin is in nobody's way");
    };
    fs::write(&unet, &whole[..whole.len() / 2]).expect("written");
    fails(&["unet/diffusion_pytorch_model.safetensors"]);
    fs::remove_file(&unet).expect("removed");
    fails(&["unet/diffusion_pytorch_model.safetensors", "model folder"]);
    fs::write(&unet, &whole).expect("written");
    let metadata = workshop.path("data/train/metadata.jsonl");
    let lines = fs::read_to_string(&metadata).expect("metadata");
    fs::write(&metadata, &lines[..lines.len() - 20]).expect("written");
    fails(&["metadata.jsonl, line 16"]);
    fs::write(&metadata, lines.replacen("color-relations.", "colour-relations.", 1)).expect("written");
    fails(&["metadata.jsonl, line", "colour-relations."]);
    fs::write(&metadata, "").expect("written");
    fails(&["metadata.jsonl"]);
    fs::write(&metadata, &lines).expect("written");
    fs::write(workshop.path("data/train/000003.png"), b"not a picture").expect("written");
    fails(&["000003.png"]);
}

#[test]
fn a_loss_that_is_no_number_leaves_no_result() {
    let workshop = workshop();
    make_weights_overflow(&file(&workshop.path("base"), "unet"));
    let base = workshop.text("base/model");
    // Sample grids are asked for: the run must say that it diverged, not that nothing could be painted.
    let more = ["--model", base.as_str(), "--max-train-steps", "3", "--validation-steps", "1"];
    for (out, adapter) in [("whole", &[][..]), ("adapter", &["--lora-rank", "2"])] {
        let (code, message) = workshop.error("sft", out, &[&more[..], adapter].concat());
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains("is not finite (NaN or infinity) at step 1"), "{message}");
        assert!(!message.contains("checkpoint"), "there is none: {message}");
        let left = fs::read_dir(workshop.path(out)).expect("a folder").flatten();
        let names: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert!(names.iter().all(|name| !name.starts_with("model") && !name.contains("lora")), "{names:?}");
    }
}

#[test]
fn a_configuration_file_teaches_and_flags_win() {
    let workshop = workshop();
    let base = workshop.text("base/model");
    let file = workshop.path("run.toml");
    fs::write(&file, "max-train-steps = 3\nlearning-rate = 0.001\n").expect("written");
    let config = file.display().to_string();
    workshop.train("sft", "configured", &["--model", &base, "--config", &config, "--learning-rate", "0.002"]);
    let written = fs::read_to_string(workshop.path("configured/config.toml")).expect("written");
    assert!(
        written.contains("max-train-steps = 3") && written.contains("learning-rate = 0.002"),
        "{written}"
    );
    fs::write(&file, "max-train-steps = 3\nlearning-rat = 0.001\n").expect("written");
    let (code, message) = workshop.error("sft", "configured", &["--model", &base, "--config", &config]);
    assert_eq!(code, Some(2));
    assert!(message.contains("run.toml") && message.contains("learning-rat"), "{message}");
    fs::write(&file, "max-train-steps = 3\nlearning-rate = nan\n").expect("written");
    let (code, message) = workshop.error("sft", "configured", &["--model", &base, "--config", &config]);
    assert_eq!(code, Some(2));
    assert!(message.contains("run.toml") && message.contains("learning-rate must be above 0"), "{message}");
}
