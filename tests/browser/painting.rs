//! Painting, against the command line.

use crate::{
    page::{Page, none},
    recipe,
    support::succeed,
    webdriver::WebGpu,
};
use atelier_web_messages::{Choice, Model, Recipe};
use image::RgbImage;
use serde_json::json;

/// Levels of 255 by which a colour may differ between the command line and the page. Both compute in single precision,
/// but add the terms of sums in another order, which changes the seventh digit; four steps and the decoder amplify that
/// to less than one level, and rounding to levels may turn it into one.
const LEVELS: u8 = 1;

fn decoded(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).expect("a picture").into_rgb8()
}

/// What `atelier sample` paints on the processor.
fn painted_natively(recipe: &Recipe, model: &str) -> RgbImage {
    let folder = tempfile::tempdir().expect("a folder");
    let (steps, guidance, seed) =
        (recipe.steps.to_string(), recipe.guidance.to_string(), recipe.seed.to_string());
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/");
    succeed(&[
        "sample",
        "--model",
        &format!("{models}{model}"),
        "--device",
        "cpu",
        "--prompt",
        &recipe.prompt,
        "--steps",
        &steps,
        "--guidance",
        &guidance,
        "--scheduler",
        recipe.sampler.key(),
        "--seed",
        &seed,
        "--out",
        &folder.path().display().to_string(),
    ]);
    image::open(folder.path().join(format!("00000-{seed}.png"))).expect("a picture").into_rgb8()
}

fn assert_matches(painted: &RgbImage, native: &RgbImage) {
    assert_eq!(painted.dimensions(), native.dimensions());
    let differences: Vec<u8> = painted.iter().zip(native.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let largest = differences.iter().max().expect("pixels");
    let beyond = differences.iter().filter(|difference| **difference > LEVELS).count();
    assert!(*largest <= LEVELS, "{beyond} of {} colours differ, by up to {largest}", differences.len());
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn web_gpu_paints_what_the_command_line_paints() {
    let page = Page::open(WebGpu::Software);
    assert!(!page.text("#device[data-kind=webgpu]").is_empty(), "{}", page.text("#device"));
    let recipe = recipe();
    page.start_painting(&recipe, Choice::Base);
    page.wait(
        "a progress bar of bytes",
        "return document.querySelector('#progress[data-phase=download]')?.ariaValueMax !== '1'",
    );
    page.wait(
        "a preview",
        "return document.querySelector('figure.painting canvas.preview[data-step]')?.width > 0",
    );
    page.wait(
        "a progress bar of steps",
        "return document.querySelector('#progress[data-phase=paint]') !== null",
    );
    let png = page.download(Model::Base, recipe.seed);
    assert_matches(&decoded(&png), &painted_natively(&recipe, "painter"));
    let text = String::from_utf8_lossy(&png);
    assert!(text.contains(&recipe.prompt) && text.contains("Steps: 4, Sampler: DDIM, CFG scale: 2, Seed: 7"));

    // The link under the picture, in a new visit, paints the same bytes.
    let clipboard = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    page.browser.devtools("Browser.grantPermissions", clipboard);
    page.click("figure.picture button.copy-link");
    page.wait(
        "thanks",
        "return document.querySelector('figure.picture button.copy-link').textContent === 'Copied'",
    );
    let link = page.browser.run_async("return await navigator.clipboard.readText()", json!([]));
    let link = link.as_str().expect("text");
    assert!(link.starts_with(&page.server.address()), "{link}");
    page.browser.open("about:blank");
    page.browser.open(link);
    page.wait_for_device();
    page.wait("a notice", "return document.querySelector('#link-notice')?.checkVisibility()");
    page.click("#paint");
    let again = page.download(Model::Base, recipe.seed);
    assert!(png == again, "the link paints another file");
    page.finish(none);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn the_processor_paints_without_web_gpu() {
    let page = Page::open(WebGpu::None);
    let device = page.text("#device[data-kind=cpu][data-fallback]");
    assert!(device.contains("no WebGPU"), "{device}");
    let recipe = recipe();
    let pngs = page.paint(&recipe, Choice::Both);
    let [base, aligned] = [decoded(&pngs[0]), decoded(&pngs[1])];
    assert_matches(&base, &painted_natively(&recipe, "painter"));
    assert_matches(&aligned, &painted_natively(&recipe, "aligned"));
    assert_eq!(modules(&page), ["relaxed-simd/atelier-web-worker_bg.wasm"]);
    // Side by side, and not the same.
    let tops = page.browser.run(
        "return [...document.querySelectorAll('.row:first-of-type figure.picture')].map((figure) => figure.getBoundingClientRect().top)",
        json!([]),
    );
    assert_eq!(tops[0], tops[1]);
    let differences = base.iter().zip(aligned.iter()).filter(|(a, b)| a.abs_diff(**b) > 8).count();
    assert!(differences > 1000, "{differences} colours differ");
    page.finish(none);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn browsers_without_relaxed_vectors_load_the_plain_module_and_paint_the_same() {
    let page = Page::open_without_relaxed_vectors();
    let recipe = recipe();
    let pngs = page.paint(&recipe, Choice::Base);
    assert_matches(&decoded(&pngs[0]), &painted_natively(&recipe, "painter"));
    assert_eq!(modules(&page), ["atelier-web-worker_bg.wasm"]);
    // What is stored for visits without a network is checked, and the changed script found out.
    page.finish(|entry| entry.is_network);
}

/// The modules of the worker that the browser asked for.
fn modules(page: &Page) -> Vec<String> {
    let mut modules: Vec<_> =
        page.server.take_requests().into_iter().filter(|file| file.ends_with("worker_bg.wasm")).collect();
    modules.sort();
    modules.dedup();
    modules
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn a_painting_can_be_cancelled() {
    let page = Page::open(WebGpu::None);
    let long = Recipe { steps: Recipe::MAX_STEPS, ..recipe() };
    page.start_painting(&long, Choice::Both);
    page.wait("a step", "return Number(document.querySelector('canvas.preview')?.dataset.step) >= 1");
    let step = || {
        let step =
            page.browser.run("return Number(document.querySelector('#progress').ariaValueNow)", json!([]));
        step.as_f64().expect("a number")
    };
    let before = step();
    page.click("#cancel");
    page.wait(
        "the end of it",
        "return document.querySelector('.progress').hidden && !document.querySelector('#paint').disabled",
    );
    // Within a step, besides the one that ended while the button was pressed.
    assert!(step() <= before + 2.0, "{} steps after {before}", step());
    assert_eq!(page.count("figure.picture"), 0);
    let short = Recipe { steps: 2, ..recipe() };
    assert_matches(&decoded(&page.paint(&short, Choice::Base)[0]), &painted_natively(&short, "painter"));
    page.finish(none);
}
