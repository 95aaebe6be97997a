//! The pictures of the README: `cargo test --release --workspace --test browser -- --ignored screenshots`.

use crate::{page::Page, webdriver::WebGpu};
use image::{
    DynamicImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use serde_json::json;
use std::{fs, path::Path};

/// Writes what the window shows into `docs/screenshots/`.
fn shoot(page: &Page, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/screenshots");
    fs::create_dir_all(&folder).expect("a folder");
    let mut picture = image::load_from_memory(&page.browser.screenshot()).expect("a picture").into_rgb8();
    // Levels that nobody tells apart take a third of the file.
    picture.iter_mut().for_each(|value| *value = (*value & 0xfc) | (*value >> 6));
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::Adaptive);
    DynamicImage::from(picture).write_with_encoder(encoder).expect("encoded");
    fs::write(folder.join(format!("{name}.png")), file).expect("written");
}

fn resize(page: &Page, width: u32, height: u32) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
    page.browser.devtools("Emulation.setDeviceMetricsOverride", size);
}

fn set_scheme(page: &Page, scheme: &str) {
    let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    page.browser.devtools("Emulation.setEmulatedMedia", features);
}

#[test]
#[ignore = "writes docs/screenshots"]
fn screenshots() {
    let page = Page::open(WebGpu::None);
    // As on a computer whose owner prefers the processor: the software adapter would take an hour.
    page.browser.run("localStorage.setItem('atelier.device', JSON.stringify('cpu'))", json!([]));
    page.reload();
    page.browser.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
    set_scheme(&page, "light");
    resize(&page, 1280, 880);
    page.set("#seed", "3");
    page.click("#paint");
    page.wait(
        "half a picture",
        "return Number(document.querySelector('figure[data-model=aligned] canvas.preview')?.dataset.step) >= 20",
    );
    shoot(&page, "painting");
    page.wait("both pictures", "return document.querySelectorAll('figure.picture').length === 2");
    page.click("button.explain-both");
    for model in ["base", "aligned"] {
        let script = "return document.querySelector(`section.explanation[data-model=${arguments[0]}][data-done=true]`) !== null";
        page.wait_with("a whole explanation", script, json!([model]));
    }
    // High enough for pictures, maps and the first leaves.
    resize(&page, 1280, 1400);
    page.browser.run(
        "document.querySelector('section.explanations').scrollIntoView();
         document.querySelector('section.explanation li.leaf button').focus({ preventScroll: true })",
        json!([]),
    );
    page.wait("maps", "return document.querySelector('canvas.map') !== null");
    shoot(&page, "explanation");
    set_scheme(&page, "dark");
    shoot(&page, "explanation-dark");
    resize(&page, 360, 740);
    page.browser.run("document.querySelector('.row').scrollIntoView()", json!([]));
    shoot(&page, "narrow");
    set_scheme(&page, "light");
    resize(&page, 1280, 880);
    page.go("#criteria");
    page.wait("the search", "return document.querySelector('#criteria-search') !== null");
    page.set("#criteria-search", "colour");
    let leaf = "#criteria li.leaf[data-leaf='color-relations.purity.mixture.cleanliness.clean']";
    page.click(&format!("{leaf} summary"));
    page.wait_with(
        "two examples",
        "return ['positive', 'negative'].every((side) => document.querySelector(`${arguments[0]} img.${side}-example`)?.naturalWidth > 0)",
        json!([leaf]),
    );
    page.browser
        .run("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", json!([leaf]));
    shoot(&page, "criteria");
}
