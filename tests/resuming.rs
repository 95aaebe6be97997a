//! What a run goes on from: its own newest checkpoint, or a new folder from any, with the same model, LoRA and stage.

mod support;

use std::{fs, path::PathBuf};
use support::workshop::{Workshop, painter, tensors};

const LORA: &str = "pytorch_lora_weights.safetensors";

fn workshop() -> Workshop {
    let defaults = [
        ["--train-batch-size", "2"],
        ["--model", painter()],
        ["--lora-rank", "2"],
        ["--max-train-steps", "4"],
        ["--checkpointing-steps", "2"],
        ["--lr-warmup-steps", "0"],
    ];
    Workshop::with_paintings("10", &defaults)
}

/// Names of the checkpoints in a run's folder.
fn checkpoints(workshop: &Workshop, run: &str) -> Vec<String> {
    let entries = fs::read_dir(workshop.path(run)).expect("a run").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("checkpoint-")).collect();
    names.sort();
    names
}

/// A run that must be refused before it does anything, for these reasons.
fn refused(workshop: &Workshop, run: &str, out: &str, more: &[&str], needles: &[&str]) {
    let before = fs::read(workshop.path(out).join("metrics.jsonl")).ok();
    let (code, message) = workshop.error(run, out, &[more, &["--resume"]].concat());
    assert_eq!(code, Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for needle in needles {
        assert!(message.contains(needle), "{needle} is not in: {message}");
    }
    assert_eq!(fs::read(workshop.path(out).join("metrics.jsonl")).ok(), before);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let workshop = workshop();
    workshop.train("sft", "lora", &[]);
    let result = fs::read(workshop.path("lora").join(LORA)).expect("the result");
    let lora = |more: &[&str], needles: &[&str]| refused(&workshop, "sft", "lora", more, needles);
    lora(&["--lora-rank", "4"], &["checkpoint-000002", "rank 2", "rank 4"]);
    lora(&["--lora-rank", "0"], &["rank 2", "the whole model"]);
    lora(&["--lora-alpha", "7"], &["--lora-alpha was 2, and is 7"]);
    lora(&["--target-module", "to_q"], &["--target-module was to_k, to_out.0, to_q, to_v, and is to_q"]);
    lora(&["--max-train-steps", "1"], &["step 2", "step 1"]);
    let more = ["--objective", "sft", "--lora-rank", "4"];
    refused(&workshop, "align", "lora", &more, &["rank 2", "rank 4"]);
    let pairs = ["--objective", "diffusion-kto"];
    refused(&workshop, "align", "lora", &pairs, &["was written by sft, this run is diffusion-kto"]);
    refused(&workshop, "pretrain", "lora", &[], &["was written by sft"]);
    // The same layers with other weights.
    let other = workshop.path("other");
    support::succeed(&["convert", "--model", painter(), "--out", &other.display().to_string()]);
    let unet = other.join("unet/diffusion_pytorch_model.safetensors");
    let mut weights = fs::read(&unet).expect("weights");
    // The lowest digit of the first value.
    let first = 8 + u64::from_le_bytes(weights[..8].try_into().expect("eight bytes")) as usize;
    weights[first] ^= 1;
    fs::write(&unet, weights).expect("written");
    lora(&["--model", &workshop.text("other")], &["painter", "other", "other weights"]);
    assert!(fs::read(workshop.path("lora").join(LORA)).expect("the result") == result);
    workshop.train("sft", "whole", &["--lora-rank", "0", "--max-train-steps", "3"]);
    refused(&workshop, "sft", "whole", &[], &["the whole model", "rank 2"]);
}

#[test]
fn a_run_goes_on_from_its_own_newest_checkpoint_alone() {
    let workshop = workshop();
    workshop.train("sft", "run", &["--max-train-steps", "7", "--checkpoints-total-limit", "2"]);
    assert_eq!(checkpoints(&workshop, "run"), ["checkpoint-000004", "checkpoint-000006"]);
    let earlier = tensors(&workshop.path("run/checkpoint-000004/model.safetensors"));
    // From an older one only elsewhere.
    let older = ["--resume", "checkpoint-000004", "--max-train-steps", "8"];
    let (code, message) = workshop.error("sft", "run", &older);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("is not the newest") && message.contains("--output-dir"), "{message}");
    let older = workshop.text("run/checkpoint-000004");
    workshop.train("sft", "branch", &["--resume", &older, "--max-train-steps", "5"]);
    assert_eq!(checkpoints(&workshop, "branch"), Vec::<String>::new());
    assert!(earlier == tensors(&workshop.path("run/checkpoint-000004/model.safetensors")));
    let (_, message) = workshop.error("sft", "branch", &["--resume", &older, "--max-train-steps", "5"]);
    assert!(message.contains("already holds a run"), "{message}");
    // A checkpoint of another run in the folder is neither taken nor deleted, and neither are folders of people.
    workshop.train("sft", "stranger", &["--seed", "9", "--max-train-steps", "3"]);
    fs::rename(workshop.path("stranger/checkpoint-000002"), workshop.path("run/checkpoint-000099"))
        .expect("moved");
    fs::create_dir(workshop.path("run/checkpoint-000001")).expect("made");
    fs::write(workshop.path("run/checkpoint-000001/notes.txt"), "mine").expect("written");
    workshop.train("sft", "run", &["--resume", "--max-train-steps", "9", "--checkpoints-total-limit", "1"]);
    assert_eq!(
        checkpoints(&workshop, "run"),
        ["checkpoint-000001", "checkpoint-000008", "checkpoint-000099"]
    );
    let steps = fs::read_to_string(workshop.path("run/metrics.jsonl")).expect("metrics");
    assert_eq!(steps.lines().count(), 9, "{steps}");
    // One that would be in the way is named before the work.
    let (_, message) = workshop.error("sft", "run", &["--resume", "--max-train-steps", "100"]);
    assert!(message.contains("checkpoint-000099") && message.contains("in the way"), "{message}");
}

#[test]
fn results_and_options_that_people_changed_stay() {
    let workshop = workshop();
    workshop.train("sft", "run", &[]);
    let config = workshop.path("run/config.toml");
    let edited = fs::read_to_string(&config).expect("options") + "# the good one\n";
    fs::write(&config, &edited).expect("written");
    let more = ["--resume", "--max-train-steps", "5", "--learning-rate", "5e-5"];
    let output = workshop.command("sft", "run", &more).output().expect("runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    // Some options may change; it is said.
    assert!(message.contains("learning-rate was 0.0001, and is 0.00005 now"), "{message}");
    assert_eq!(fs::read_to_string(&config).expect("there"), edited);
    let next = fs::read_to_string(workshop.path("run/config-000002.toml")).expect("the new options");
    assert!(next.contains("max-train-steps = 5") && !next.contains("resume"), "{next}");
    let lora = workshop.path("run").join(LORA);
    fs::write(&lora, "another file").expect("written");
    refused(&workshop, "sft", "run", &["--max-train-steps", "6"], &[LORA]);
    assert_eq!(fs::read_to_string(&lora).expect("there"), "another file");
    let whole = ["--lora-rank", "0", "--max-train-steps", "3"];
    workshop.train("sft", "whole", &whole);
    let model = workshop.path("whole/model");
    workshop.train("sft", "whole", &[&whole[..2], &["--max-train-steps", "4", "--resume"]].concat());
    fs::write(model.join("notes.txt"), "mine").expect("written");
    let more = [&whole[..2], &["--max-train-steps", "5"]].concat();
    refused(&workshop, "sft", "whole", &more, &["notes.txt"]);
    assert!(model.join("unet/config.json").is_file() && model.join("notes.txt").is_file());
}

#[test]
fn a_broken_checkpoint_is_named() {
    let workshop = workshop();
    workshop.train("sft", "run", &[]);
    let file = |name: &str| -> PathBuf { workshop.path("run/checkpoint-000002").join(name) };
    for name in ["state.json", "model.safetensors", "optimizer.safetensors"] {
        let whole = fs::read(file(name)).expect("there");
        let cut = whole[..whole.len() * 2 / 3].to_vec();
        let mut garbled = whole.clone();
        let middle = garbled.len() - 9;
        garbled[middle] ^= 0xff;
        for broken in [cut, garbled, Vec::new()] {
            fs::write(file(name), broken).expect("written");
            refused(&workshop, "sft", "run", &[], &["checkpoint-000002", name]);
        }
        fs::remove_file(file(name)).expect("removed");
        refused(&workshop, "sft", "run", &[], &["checkpoint-000002", name]);
        fs::write(file(name), whole).expect("written");
    }
    workshop.train("sft", "run", &["--resume"]);
}

#[test]
fn pretraining_goes_on_where_it_was_also_elsewhere() {
    let workshop = Workshop::with_paintings(
        "10",
        &[["--train-batch-size", "2"], ["--autoencoder-steps", "3"], ["--checkpointing-steps", "2"]],
    );
    workshop.train("pretrain", "straight", &["--max-train-steps", "3"]);
    let result = |run: &str| {
        let weights = |part| format!("{run}/model/{part}/diffusion_pytorch_model.safetensors");
        ["unet", "vae"].map(|part| tensors(&workshop.path(&weights(part))))
    };
    let checkpoint = workshop.text("straight/checkpoint-000002");
    workshop.train("pretrain", "branch", &["--max-train-steps", "3", "--resume", &checkpoint]);
    assert!(result("straight") == result("branch"));
    let first = workshop.text("straight/autoencoder/checkpoint-000002");
    let (code, message) = workshop.error("pretrain", "straight", &["--resume", &first]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("is over"), "{message}");
    workshop.train("pretrain", "again", &["--max-train-steps", "3", "--resume", &first]);
    assert!(result("straight") == result("again"));
    let (code, message) = workshop.error("pretrain", "nothing", &["--resume"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("no checkpoint-… folder"), "{message}");
    assert!(!workshop.path("nothing").exists());
}
