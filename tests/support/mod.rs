//! Running the real binary.
#![allow(dead_code, reason = "every test file takes what it needs")]

pub mod tiny_model;
pub mod workshop;

use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// The binary with arguments.
pub fn atelier(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atelier"));
    command.args(arguments);
    command
}

/// What a command prints as JSON; it must succeed.
pub fn json_of(command: &mut Command) -> Value {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Exit code and message of a command that must fail.
pub fn error_of(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the binary runs");
    assert!(!output.status.success(), "{command:?} should have failed");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The folder of a shipped model, such as `painter`.
pub fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name).display().to_string()
}

/// Makes all weights of a safetensors file in f32 so large that whatever is computed with them is infinite; each by itself is
/// a number that no reader objects to.
pub fn make_weights_overflow(file: &Path) {
    let mut bytes = fs::read(file).expect("weights");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    for value in bytes[8 + header..].chunks_exact_mut(4) {
        value.copy_from_slice(&1e38_f32.to_le_bytes());
    }
    fs::write(file, bytes).expect("written");
}

/// Runs a command that must succeed.
pub fn succeed(arguments: &[&str]) {
    let output = atelier(arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Twelve painted pictures in `folder`, all with one caption: pairs need that. Gives the folder's name.
pub fn captioned_alike(folder: &Path) -> String {
    let name = folder.display().to_string();
    succeed(&["studio", "paint", "--count", "12", "--size", "32", "--seed", "1", "--out", &name]);
    let metadata = folder.join("train/metadata.jsonl");
    let alike = fs::read_to_string(&metadata).expect("metadata");
    let alike = alike.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        record["text"] = "a harbour at dusk".into();
        record.to_string() + "\n"
    });
    fs::write(&metadata, alike.collect::<String>()).expect("written");
    name
}

/// The loss of every step of the run in a folder.
pub fn losses(run: &Path) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let record = |line| serde_json::from_str::<Value>(line).expect("JSON");
    metrics.lines().map(|line| record(line)["loss"].as_f64().expect("a loss")).collect()
}
