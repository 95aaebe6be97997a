//! The command line as a user meets it: output, exit codes, and messages that name what is wrong.

mod support;

use std::fs;
use support::{atelier, error_of, json_of};

#[test]
fn the_embedded_criteria_are_complete() {
    let stats = json_of(&mut atelier(&["criteria", "stats", "--json"]));
    assert_eq!((&stats["roots"], &stats["pairs"], &stats["depth"]), (&7.into(), &246.into(), &5.into()));
    let lint = json_of(&mut atelier(&["criteria", "lint", "--json"]));
    assert_eq!(lint["problems"].as_array().map(Vec::len), Some(0));
    let found = json_of(&mut atelier(&["criteria", "search", "muddy", "--json"]));
    assert_eq!(found[0]["negative"]["phrase"], "muddy colour");
}

#[test]
fn the_tree_is_drawn_without_colours_into_a_pipe() {
    let output = atelier(&["criteria", "show", "color-relations.purity"]).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("Clean mixtures: + clean colour  - muddy colour"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_broken_tree_is_refused_by_file_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "id = \"tone\"\nname = \"Tone\"\norder = 1\nsummary = \"Of tone.\"\n[[leaf]]\nid = \"full\"\nname = \"Full\"\n\
                positive = { phrase = \"full tone\", explanation = \"It is full.\" }\n\
                negative = { phrase = \"thin\", explanation = \"It is thin.\" }\n";
    fs::write(folder.path().join("tone.toml"), text).expect("written");
    let path = folder.path().display().to_string();
    let output = atelier(&["criteria", "lint", "--criteria", &path]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    let found = String::from_utf8(output.stdout).expect("text");
    assert!(found.contains("tone.toml") && found.contains("thin"), "{found}");
}

#[test]
fn a_mistyped_leaf_gets_a_suggestion() {
    let (code, message) = error_of(&mut atelier(&["criteria", "show", "color-relations.purty"]));
    assert_eq!(code, Some(1));
    assert!(message.contains("color-relations.purity"), "{message}");
}

#[test]
fn usage_errors_exit_with_two() {
    for arguments in
        [vec!["paint"], vec!["train", "sft", "--lr", "1"], vec!["train", "sft"], vec!["demo", "--seed", "x"]]
    {
        let (code, _) = error_of(&mut atelier(&arguments));
        assert_eq!(code, Some(2), "{arguments:?}");
    }
}

#[test]
fn the_processor_is_always_listed() {
    let devices = json_of(&mut atelier(&["devices", "--json"]));
    assert_eq!(devices[0]["choice"], "cpu");
    assert_eq!(devices[0]["automatic"], true);
}

#[test]
fn a_data_set_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let metadata: Vec<Vec<u8>> = ["1", "3"]
        .into_iter()
        .map(|threads| {
            let out = folder.path().join(threads);
            let out_text = out.display().to_string();
            let mut command = atelier(&[
                "studio", "paint", "--count", "10", "--size", "32", "--seed", "4", "--out", &out_text,
            ]);
            let output = command.env("RAYON_NUM_THREADS", threads).output().expect("runs");
            assert!(output.status.success(), "{output:?}");
            let picture = fs::read(out.join("test/000009.png")).expect("painted");
            [fs::read(out.join("train/metadata.jsonl")).expect("written"), picture].concat()
        })
        .collect();
    assert!(metadata[0] == metadata[1]);
    let again = folder.path().join("1").display().to_string();
    let (code, message) = error_of(&mut atelier(&["studio", "paint", "--count", "10", "--out", &again]));
    assert_eq!(code, Some(1));
    assert!(message.contains("not empty"), "{message}");
}

#[test]
fn any_folder_of_pictures_can_be_annotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let painted = atelier(&["studio", "paint", "--count", "10", "--out", &data]).output().expect("runs");
    assert!(painted.status.success());
    let train = folder.path().join("data/train");
    fs::remove_file(train.join("metadata.jsonl")).expect("removed");
    let annotated = atelier(&["annotate", "--data", &data, "--caption", "a study"]).output().expect("runs");
    assert!(annotated.status.success(), "{annotated:?}");
    let lines = fs::read_to_string(train.join("metadata.jsonl")).expect("written");
    assert_eq!(lines.lines().count(), 8);
    assert!(lines.lines().all(|line| line.contains("\"text\":\"a study\"")), "{lines}");
    let kept = fs::read_to_string(folder.path().join("data/test/metadata.jsonl")).expect("written");
    assert!(!kept.contains("a study"), "{kept}");
}
