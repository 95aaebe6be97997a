//! Folders of pictures as people have them: labels of their own, one file for all splits, broken pictures.

mod support;

use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, codecs::jpeg::JpegEncoder};
use serde_json::{Value, json};
use std::{fs, path::Path};
use support::{
    atelier, error_of,
    workshop::{Workshop, painter},
};

const CLEAN: &str = "color-relations.purity.mixture.cleanliness.clean";

/// Noise, of which every part of a file tells something.
fn noise(seed: u32) -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| {
        let value = (x * 64 + y + seed).wrapping_mul(2_654_435_761);
        Rgb([(value >> 24) as u8, (value >> 16) as u8, (value >> 8) as u8])
    })
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.write_image(noise(0).as_raw(), 64, 64, ExtendedColorType::Rgb8).expect("a JPEG");
    bytes
}

fn paint(path: &Path, seed: u32) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    noise(seed).save(path).expect("written");
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("metadata");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What `atelier annotate` prints.
fn annotate(data: &str, more: &[&str]) -> String {
    let output = atelier(&[&["annotate", "--data", data], more].concat()).output().expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn measured_labels_never_replace_those_of_a_person() {
    let workshop = Workshop::empty(&[]);
    for (seed, name) in ["a.png", "b.png", "c.png", "unlisted.png"].into_iter().enumerate() {
        paint(&workshop.path("data").join(name), seed as u32);
    }
    let metadata = workshop.path("data/metadata.jsonl");
    let own = json!({"file_name": "b.png", "rating": 1e-7, "negative": [CLEAN], "text": "the harbour"});
    let mut before = format!("{own}\n");
    before += &(json!({"text": "a", "positive": null, "file_name": "a.png"}).to_string() + "\n");
    before +=
        &(json!({"file_name": "c.png", "text": "c", "positive": [], "negative": []}).to_string() + "\n");
    fs::write(&metadata, &before).expect("written");
    let said = annotate(&workshop.text("data"), &[]);
    assert!(
        said.contains("pictures measured: 2,") && said.contains("keep the labels they have: 1;"),
        "{said}"
    );
    assert!(said.contains("that it does not name: 1;"), "{said}");
    let after = fs::read_to_string(&metadata).expect("metadata");
    assert_eq!(after.lines().next(), before.lines().next(), "to the byte");
    let rows = lines(&metadata);
    assert_eq!(rows.len(), 3, "nothing was added");
    for row in &rows[1..] {
        assert!(row["positive"].as_array().is_some_and(|ids| !ids.is_empty()), "{row}");
    }

    // Once more changes nothing; --replace keeps what was there.
    annotate(&workshop.text("data"), &[]);
    assert_eq!(fs::read_to_string(&metadata).expect("metadata"), after);
    let said = annotate(&workshop.text("data"), &["--replace"]);
    assert!(said.contains("metadata.jsonl.backup-1") && said.contains("pictures measured: 3,"), "{said}");
    let copy = workshop.path("data/metadata.jsonl.backup-1");
    assert_eq!(fs::read_to_string(&copy).expect("a copy"), after);
    let rows = lines(&metadata);
    assert!(rows[0]["text"] == "the harbour" && rows[0]["rating"] == 1e-7, "{}", rows[0]);
    assert_ne!(rows[0]["negative"], json!([CLEAN]));
}

#[test]
fn one_file_for_all_splits_is_kept_and_its_test_rows_are_not_trained_on() {
    let workshop = Workshop::empty(&[["--train-batch-size", "1"]]);
    let mut metadata = String::new();
    for (index, name) in ["train/a.png", "train/b.png", "test/c.png"].into_iter().enumerate() {
        paint(&workshop.path("data").join(name), index as u32);
        metadata += &(json!({"file_name": name, "text": format!("boat {index}")}).to_string() + "\n");
    }
    fs::write(workshop.path("data/metadata.jsonl"), metadata).expect("written");
    let examples = |out: &str| {
        let more = ["--model", painter(), "--max-train-steps", "1", "--lora-rank", "1"];
        let mut command = workshop.command("sft", out, &more);
        let output =
            command.env("RUST_LOG", "atelier=info").env("NO_COLOR", "1").output().expect("the binary runs");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        log.contains("examples=2")
    };
    assert!(examples("before"));
    annotate(&workshop.text("data"), &[]);
    let rows = lines(&workshop.path("data/metadata.jsonl"));
    assert_eq!(rows.iter().map(|row| &row["text"]).collect::<Vec<_>>(), ["boat 0", "boat 1", "boat 2"]);
    for split in ["train", "test"] {
        assert!(!workshop.path("data").join(split).join("metadata.jsonl").exists(), "{split}");
    }
    assert!(examples("after"));
}

#[test]
fn broken_pictures_are_all_named_before_the_first_step_and_before_labels_are_written() {
    let workshop = Workshop::empty(&[["--train-batch-size", "1"]]);
    let path = |name: &str| workshop.path("data").join(name);
    paint(&path("whole.png"), 1);
    let jpeg = jpeg();
    fs::write(path("tail.jpg"), [&jpeg[..], b"a tail that does no harm"].concat()).expect("written");
    let broken = ["cut.jpg", "cut_end.jpg", "zeros.jpg", "empty.jpg", "page.jpg", "picture.heic.png"];
    fs::write(path(broken[0]), &jpeg[..jpeg.len() * 3 / 5]).expect("written");
    fs::write(path(broken[1]), &jpeg[..jpeg.len() - 4]).expect("written");
    let mut zeros = jpeg.clone();
    zeros[jpeg.len() / 2..].fill(0);
    fs::write(path(broken[2]), zeros).expect("written");
    fs::write(path(broken[3]), "").expect("written");
    fs::write(path(broken[4]), "<!doctype html>Access denied").expect("written");
    fs::write(path(broken[5]), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").expect("written");
    let line = |name: &&str| json!({"file_name": name, "text": "a boat"}).to_string() + "\n";
    let metadata: String = [&["whole.png", "tail.jpg"], &broken[..]].concat().iter().map(line).collect();
    fs::write(path("metadata.jsonl"), &metadata).expect("written");
    let model = ["--model", painter(), "--max-train-steps", "1", "--lora-rank", "1"];
    let (code, message) = workshop.error("sft", "out", &model);
    assert_eq!(code, Some(1), "{message}");
    let (_, annotated) = error_of(&mut atelier(&["annotate", "--data", &workshop.text("data")]));
    for message in [message, annotated] {
        assert!(message.contains("6 of 8 pictures"), "{message}");
        assert!(broken.iter().all(|name| message.contains(name)), "{message}");
        for reason in ["cut off", "the file is empty", "web page", "HEIC"] {
            assert!(message.contains(reason), "{reason}: {message}");
        }
    }
    assert_eq!(fs::read_to_string(path("metadata.jsonl")).expect("there"), metadata);

    // Without those whose headers are broken, the cut ones are found all the same.
    let metadata: String = ["whole.png", "tail.jpg", broken[0], broken[1]].iter().map(line).collect();
    fs::write(path("metadata.jsonl"), metadata).expect("written");
    let (code, message) = workshop.error("sft", "out", &model);
    assert!(code == Some(1) && message.contains("2 of 4 pictures"), "{message}");
    // The others are sound.
    let metadata: String = ["whole.png", "tail.jpg"].iter().map(line).collect();
    fs::write(path("metadata.jsonl"), metadata).expect("written");
    workshop.train("sft", "out", &model);
}

#[test]
fn pictures_of_other_formats_are_counted_and_hidden_files_passed_over() {
    let workshop = Workshop::empty(&[]);
    let path = |name: &str| workshop.path("data").join(name);
    paint(&path("b.Png"), 1);
    fs::write(path("IMG.JPG"), jpeg()).expect("written");
    for name in ["._IMG.JPG", ".DS_Store", "Thumbs.db", "c.bmp", "d.tif", "e.gif", "f.gif"] {
        fs::write(path(name), b"\0\x05\x16\x07").expect("written");
    }
    fs::write(path("IMG.txt"), "a boat").expect("written");
    let said = annotate(&workshop.text("data"), &["--caption", "a study"]);
    assert!(said.contains("1 bmp, 2 gif, 1 tif") && said.contains("pictures measured: 2,"), "{said}");
    let rows = lines(&path("metadata.jsonl"));
    let names: Vec<_> = rows.iter().map(|row| (&row["file_name"], &row["text"])).collect();
    assert_eq!(names, [(&json!("IMG.JPG"), &json!("a boat")), (&json!("b.Png"), &json!("a study"))]);
}
