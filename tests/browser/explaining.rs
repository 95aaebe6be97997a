//! Explanations, against the command line.

use crate::{
    page::{Page, none},
    recipe,
    support::{atelier, json_of},
    webdriver::WebGpu,
};
use atelier_web_messages::{Choice, Recipe};
use serde_json::{Value, json};
use std::fs;

/// How far probabilities may differ. The draws are the same; single precision and the page's three decimals are what is left.
const TOLERANCE: f64 = 0.01;

/// What the page shows of the leaves that are certain, as soon as there are three of `model`.
fn certain_leaves(page: &Page, model: &str) -> Vec<Value> {
    let leaves = page.wait_with(
        "three certain leaves",
        "const leaves = document.querySelectorAll(`section.explanation[data-model=${arguments[0]}] li.leaf[data-certain=true]`);
         return leaves.length >= 3 && [...leaves].map((leaf) => ({ ...leaf.dataset }))",
        json!([model]),
    );
    leaves.as_array().expect("a list").clone()
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn explanations_stream_and_are_those_of_the_command_line() {
    let page = Page::open(WebGpu::None);
    let recipe = Recipe { steps: 8, ..recipe() };
    let png = page.paint(&recipe, Choice::Base).remove(0);
    page.click("figure.picture button.explain");
    page.wait(
        "a first leaf",
        "return document.querySelector('section.explanation li.leaf[data-leaf]') !== null",
    );
    assert_eq!(page.count("section.explanation[data-done=false]"), 1, "leaves come one by one");
    assert_eq!(page.count("svg.radar"), 1);
    let leaves = certain_leaves(&page, "base");

    // Where it is read, by keyboard and by pointer.
    page.browser.run("document.querySelector('li.leaf[data-leaf] button').focus()", json!([]));
    page.wait("a map", "return document.querySelector('section.explanation canvas.map')?.width > 0");

    // A leaf of the reader's choice is read before the others.
    page.set("#ask-leaf", "tilted horizon");
    page.wait("an offer", "return document.querySelector('.offers button[data-leaf]') !== null");
    let asked = page.browser.run(
        "const offer = document.querySelector('.offers button[data-leaf]'); offer.click(); return offer.dataset.leaf",
        json!([]),
    );
    page.wait_with(
        "the leaf that was asked for",
        "return document.querySelector(`section.explanation li.leaf[data-leaf='${arguments[0]}'][data-draws]`) !== null",
        json!([asked]),
    );

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("picture.png");
    fs::write(&file, png).expect("written");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/auxiliary");
    let mut explain =
        atelier(&["explain", "--json", "--device", "cpu", "--model", model, "--caption", &recipe.prompt]);
    explain.arg(file);
    for leaf in &leaves {
        explain.args(["--leaf", leaf["leaf"].as_str().expect("an id")]);
    }
    let native = json_of(&mut explain);
    let native = native[0]["leaves"].as_array().expect("a list");
    for leaf in &leaves {
        let expected = native.iter().find(|found| found["leaf"] == leaf["leaf"]).expect("the same leaves");
        assert_eq!(
            number(&leaf["draws"]),
            expected["draws"].as_f64().expect("a number"),
            "{leaf} {expected}"
        );
        for (shown, key) in [("probability", "probability"), ("error", "probability_error")] {
            let difference = number(&leaf[shown]) - expected[key].as_f64().expect("a number");
            assert!(difference.abs() <= TOLERANCE, "{leaf} {}", expected[key]);
        }
        assert_eq!(leaf["taught"], "true");
    }
    page.finish(none);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn what_alignment_changed_is_listed() {
    let page = Page::open(WebGpu::None);
    page.paint(&Recipe { steps: 2, ..recipe() }, Choice::Both);
    page.click("button.explain-both");
    certain_leaves(&page, "base");
    certain_leaves(&page, "aligned");
    page.wait("a change", "return document.querySelector('#changes li[data-leaf]') !== null");
    page.finish(none);
}
