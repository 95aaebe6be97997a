//! Running the real binary.
#![allow(dead_code, reason = "every test file takes what it needs")]

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
