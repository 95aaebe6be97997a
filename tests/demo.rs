//! The demo from end to end, in its short form.

mod support;

use atelier_studio::Annotator;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{atelier, error_of, succeed};

#[test]
fn the_quick_demo_reports_what_it_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("demo");
    let path = out.display().to_string();
    succeed(&["demo", "--quick", "--device", "cpu", "--out", &path]);
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).expect("a report")).expect("JSON");
    assert!(report["pictures"].as_u64().is_some_and(|count| count >= 64));
    // What it says of the pictures is what the annotator finds in those that it wrote.
    let of = |name: &str, model: &str| report[name][model].as_f64().expect("a number");
    for model in ["base", "aligned"] {
        let found = negatives_in(&out.join("pictures"), model);
        let counted = of("negatives_per_image_with_unjudged", model);
        assert!((found - counted).abs() < 1e-9, "{model}: {counted} was reported, {found} are there");
        assert!(of("negatives_per_image", model) <= counted && of("positives_per_image", model) > 0.0);
    }
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.contains("<svg") && page.contains("data:image/png;base64,"));
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("<script"),
        "not self-contained"
    );
    for model in ["base", "auxiliary/model", "aligned/model"] {
        assert!(out.join(model).join("model_index.json").is_file(), "{model}");
    }
    assert!(out.join("auxiliary/model/calibration.json").is_file());
    let base = image::open(out.join("pictures/000-base.png")).expect("a picture").to_rgb8();
    let aligned = image::open(out.join("pictures/000-aligned.png")).expect("a picture").to_rgb8();
    assert_eq!(base.dimensions(), (128, 128));
    assert_ne!(base, aligned);
}

/// Negative attributes per picture of a model, counted anew.
fn negatives_in(folder: &Path, model: &str) -> f64 {
    let entries = fs::read_dir(folder).expect("pictures").map(|entry| entry.expect("an entry").path());
    let own = format!("-{model}.png");
    let pictures: Vec<_> = entries.filter(|path| path.display().to_string().ends_with(&own)).collect();
    let negatives = |path: &PathBuf| {
        let picture = image::open(path).expect("a picture").to_rgb8();
        Annotator::embedded().annotate(&picture).negative.len()
    };
    pictures.iter().map(negatives).sum::<usize>() as f64 / pictures.len() as f64
}

#[test]
fn the_demo_does_not_write_into_a_folder_of_something_else() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine.txt"), "mine").expect("written");
    let (code, message) =
        error_of(&mut atelier(&["demo", "--quick", "--out", &folder.path().display().to_string()]));
    assert_eq!(code, Some(2));
    assert!(message.contains("not empty"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}
