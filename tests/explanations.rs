//! `atelier calibrate`, `explain` and `convert` with the shipped models.

mod support;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{atelier, error_of, json_of, shipped, succeed};

const CLEAN: &str = "color-relations.purity.mixture.cleanliness.clean";

/// Few draws: the tests look at the way, not at the answer.
const QUICK: [&str; 4] = ["--draws", "4", "--device", "cpu"];

/// Paintings with known attributes.
fn paintings(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    succeed(&["studio", "paint", "--count", "10", "--seed", "9", "--out", &data.display().to_string()]);
    data.join("train")
}

fn picture_in(folder: &Path) -> String {
    let picture = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_picture = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "png");
    picture.filter(is_picture).min().expect("a picture").display().to_string()
}

#[test]
fn what_is_calibrated_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = paintings(folder.path());
    let text = |name: &str| folder.path().join(name).display().to_string();
    let (model, data_text, calibration) =
        (shipped("auxiliary"), data.display().to_string(), text("calibration.json"));
    let arguments =
        ["calibrate", "--model", &model, "--data", &data_text, "--count", "4", "--out", &calibration];
    succeed(&[&arguments[..], &QUICK].concat());
    let found: Value = serde_json::from_slice(&fs::read(&calibration).expect("a file")).expect("JSON");
    let (leaves, areas) = (&found["leaves"], found["areas_under_curve"].as_object().expect("areas"));
    assert!(!areas.is_empty(), "no leaf with both sides on four paintings");
    for (leaf, area) in areas {
        let area = area.as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&area), "{leaf} {area}");
        assert_eq!(leaves[leaf].is_object(), area >= 0.6, "{leaf} {area}");
    }

    let (picture, report) = (picture_in(&data), text("report"));
    let explain = ["explain", &picture, "--model", &model, "--calibration", &calibration, "--out", &report];
    let two = [
        "--caption",
        "a seascape",
        "--leaf",
        CLEAN,
        "--leaf",
        "composition.division.horizon.levelness.level",
    ];
    let found = json_of(&mut atelier(&[&explain[..], &two, &QUICK, &["--json"]].concat()));
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    let leaves = found[0]["leaves"].as_array().expect("leaves");
    let distance = |leaf: &Value| (leaf["probability"].as_f64().expect("a probability") - 0.5).abs();
    assert_eq!(leaves.len(), 2);
    assert!(distance(&leaves[0]) >= distance(&leaves[1]), "the most decisive comes first");
    for leaf in leaves {
        assert!(distance(leaf) <= 0.5);
        assert_eq!(leaf["map_size"], serde_json::json!([32, 32]));
        assert_eq!(leaf["map"].as_array().map(Vec::len), Some(32 * 32));
    }
    let page = fs::read_to_string(folder.path().join("report/explanations.html")).expect("a page");
    assert!(page.contains("clean colour") || page.contains("muddy colour"), "words for people");
    assert!(!page.contains("http") && !page.contains("<script"), "not self-contained");
    let written: Value =
        serde_json::from_slice(&fs::read(folder.path().join("report/explanations.json")).expect("a file"))
            .expect("JSON");
    assert_eq!(written, found);
}

#[test]
fn a_denoiser_alone_is_completed_and_stays_the_same_when_written_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = paintings(folder.path());
    let (whole, alone, picture) =
        (folder.path().join("whole"), folder.path().join("alone"), picture_in(&data));
    let (whole_text, alone_text) = (whole.display().to_string(), alone.display().to_string());
    succeed(&["convert", "--model", &shipped("auxiliary"), "--out", &whole_text]);
    assert!(whole.join("model_index.json").is_file() && whole.join("vae/config.json").is_file());
    succeed(&["convert", "--model", &whole_text, "--part", "unet", "--out", &alone_text]);
    let names = fs::read_dir(&alone).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    // Beside the hidden ledger of what was written.
    let visible: Vec<_> = names.filter(|name| !name.to_string_lossy().starts_with('.')).collect();
    assert_eq!(visible, ["unet"]);
    let weights = "unet/diffusion_pytorch_model.safetensors";
    let of = |folder: &str| fs::read(Path::new(folder).join(weights)).expect("weights");
    // Half-precise weights survive f32 in between.
    assert_eq!(of(&shipped("auxiliary")), of(&alone_text));
    let calibration = Path::new(&shipped("auxiliary")).join("calibration.json").display().to_string();
    let explained = |model: &str| {
        let explain =
            ["explain", &picture, "--model", model, "--calibration", &calibration, "--leaf", CLEAN, "--json"];
        json_of(&mut atelier(&[&explain[..], &QUICK].concat()))
    };
    assert_eq!(explained(&whole_text), explained(&alone_text));
}

#[test]
fn what_is_missing_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, message) = error_of(&mut atelier(&["explain", "picture.png"]));
    assert_eq!(code, Some(2));
    assert!(message.contains("--model is missing") && message.contains("models/auxiliary"), "{message}");
    let (_, message) = error_of(&mut atelier(&["explain", "picture.png", "--model", &shipped("painter")]));
    assert!(message.contains("calibration.json") && message.contains("atelier calibrate"), "{message}");
    let explain = ["explain", "picture.png", "--model", &shipped("auxiliary"), "--device", "cpu"];
    let (_, message) = error_of(&mut atelier(&[&explain[..], &["--leaf", "no.such.leaf"]].concat()));
    assert!(message.contains("no.such.leaf"), "{message}");
    let (_, message) = error_of(&mut atelier(&explain));
    assert!(message.contains("picture.png"), "{message}");
    let out = folder.path().join("out").display().to_string();
    let convert = ["convert", "--model", &shipped("auxiliary"), "--part", "unte", "--out", &out];
    let (code, message) = error_of(&mut atelier(&convert));
    assert_eq!(code, Some(2));
    assert!(message.contains("unte") && message.contains("unet") && !Path::new(&out).exists(), "{message}");
}

#[test]
fn wrong_questions_are_refused_before_the_model_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    // A calibration with an empty model: whatever needs the model comes too late.
    fs::write(folder.path().join("model_index.json"), "{}").expect("written");
    let text = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(Path::new(&shipped("auxiliary")).join("calibration.json"), text("calibration.json"))
        .expect("copied");
    let picture = text("a.png");
    image::RgbImage::new(64, 64).save(&picture).expect("written");
    fs::write(text("broken.png"), "no picture").expect("written");
    let model = folder.path().display().to_string();
    let explain = |picture: &str, more: &[&str]| {
        error_of(&mut atelier(
            &[&["explain", picture, "--model", &model, "--device", "cpu"][..], more].concat(),
        ))
    };
    for (draws, expected) in
        [("0", "0 is not in 2..="), ("1", "1 is not in 2..="), ("-3", "'-3'"), ("nan", "'nan'")]
    {
        let (code, message) = explain(&picture, &["--draws", draws]);
        assert!(code == Some(2) && message.contains(expected), "{draws}: {code:?} {message}");
        assert!(!message.contains("device") && !message.contains("checkpoint"), "{message}");
    }
    let (code, message) = explain(&picture, &["--leaf", "no.such.leaf"]);
    assert!(
        code == Some(2) && message.contains("--leaf: unknown criteria id `no.such.leaf`"),
        "{code:?} {message}"
    );
    for picture in ["gone.png", "broken.png"] {
        let (code, message) = explain(&text(picture), &[]);
        assert!(code == Some(1) && message.contains(picture), "{code:?} {message}");
    }
    let (code, message) = explain(&picture, &[]);
    assert!(
        code == Some(1) && message.contains("model_index.json"),
        "the model comes last: {code:?} {message}"
    );
}
