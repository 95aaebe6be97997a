//! Running the real binary.
#![allow(dead_code, reason = "every test file takes what it needs")]

use serde_json::Value;
use std::process::Command;

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
