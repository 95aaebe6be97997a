//! Where the program's words go: pipes that close, devices that are full, files and terminals.
#![cfg(target_os = "linux")]

mod support;

use std::{
    fs::{self, File, OpenOptions},
    io,
    process::{Command, Stdio},
};
use support::{atelier, shipped, succeed};

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")
}

/// Exit code and standard error.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Commands that print a result without painting first.
const RESULTS: [&[&str]; 10] = [
    &["--help"],
    &["--version"],
    &["train", "align", "--help"],
    &["criteria", "show"],
    &["criteria", "show", "--json"],
    &["criteria", "search", "colour"],
    &["criteria", "stats"],
    &["criteria", "lint"],
    &["devices"],
    &["devices", "--json"],
];

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for arguments in RESULTS {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let found = run(atelier(arguments).stdout(writer));
        assert_eq!(found, (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    for arguments in RESULTS {
        let (code, message) = run(atelier(arguments).stdout(full()));
        assert_eq!(code, Some(1), "{arguments:?}: {message}");
        assert!(
            message.starts_with("error: the result cannot be written to the standard output: "),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn pictures_are_there_though_their_names_cannot_be_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().display().to_string();
    let sample =
        ["sample", "--prompt", "boat", "--steps", "1", "--size", "64x64", "--device", "cpu", "--out", &out];
    let (code, message) = run(atelier(&sample).stdout(full()));
    assert!(code == Some(1) && message.contains("standard output"), "{code:?} {message}");
    assert!(folder.path().join("00000-0.png").is_file());
}

#[test]
fn messages_that_nobody_can_read_are_no_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().display().to_string();
    // A warning: there is no such word. With -v, logs as well.
    let sample = [
        "-v", "sample", "--prompt", "xyzzy", "--steps", "1", "--size", "64x64", "--device", "cpu", "--out",
        &out,
    ];
    let status = atelier(&sample).stderr(full()).stdout(Stdio::null()).status().expect("runs");
    assert_eq!(status.code(), Some(0));
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let status =
        atelier(&["sample", "--model", "nowhere", "--prompt", "x"]).stderr(writer).status().expect("runs");
    assert_eq!(status.code(), Some(1));
    for arguments in [&["paint"][..], &["sample", "--prompt", "x", "--steps", "nan"], &[]] {
        let status = atelier(arguments).stderr(full()).status().expect("runs");
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn logs_and_errors_in_files_have_no_escape_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    succeed(&["studio", "paint", "--count", "10", "--size", "32", "--out", &path("data")]);
    let (model, data) = (shipped("painter"), path("data"));
    let train = |out: &str, variables: &[(&str, &str)]| {
        // A warm-up that is longer than the run is worth a warning.
        let mut command = atelier(&[
            "-v",
            "train",
            "sft",
            "--data",
            &data,
            "--model",
            &model,
            "--size",
            "32",
            "--max-train-steps",
            "1",
            "--train-batch-size",
            "2",
            "--validation-steps",
            "0",
            "--lora-rank",
            "1",
            "--device",
            "cpu",
            "--lr-warmup-steps",
            "0",
            "--output-dir",
            &path(out),
        ]);
        let (code, log) = run(command.envs(variables.iter().copied()).env_remove("CLICOLOR_FORCE"));
        assert_eq!(code, Some(0), "{log}");
        log
    };
    for (out, variables) in
        [("plain", &[][..]), ("none", &[("NO_COLOR", "1")]), ("dumb", &[("TERM", "dumb")])]
    {
        let log = train(out, variables);
        assert!(log.contains("INFO") && log.contains("WARN"), "{log}");
        assert!(!log.contains('\u{1b}'), "{log:?}");
    }
    let (_, message) = run(&mut atelier(&["sample", "--model", "nowhere", "--prompt", "x"]));
    assert!(!message.contains('\u{1b}'), "{message:?}");
    let log = train("unreadable", &[("RUST_LOG", "nonsense=x,,=")]);
    assert!(log.starts_with("warning: RUST_LOG=nonsense=x,,= is ignored"), "{log}");
    assert!(log.contains("INFO"), "-v counts all the same: {log}");
    let log = train("quiet", &[("RUST_LOG", "off")]);
    assert_eq!(log, "");
    assert!(fs::exists(path("quiet")).expect("asked"));
}

#[test]
fn colours_are_for_those_who_ask_for_them() {
    let coloured = |variables: &[(&str, &str)]| {
        let output = atelier(&["criteria", "stats"]).envs(variables.iter().copied()).output().expect("runs");
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]), "the writer takes colours away, not the caller");
}
