//! The gallery, the criteria, the benchmark, and what holds for every part of the page.

use crate::{
    page::{Page, none},
    recipe,
    webdriver::WebGpu,
};
use atelier_web_messages::{Choice, Model, Recipe};
use serde_json::json;

const PARTS: [&str; 5] = ["#paint", "#explain", "#criteria", "#gallery", "#bench"];

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn the_gallery_keeps_pictures_until_they_are_deleted() {
    let page = Page::open(WebGpu::None);
    let entries = |count: u64| {
        let script = "return document.querySelectorAll('#gallery li.entry img').length === arguments[0]
            && document.querySelectorAll('#gallery li.entry').length === arguments[0]";
        page.wait_with(&format!("a gallery of {count}"), script, json!([count]));
    };
    let one = Recipe { steps: 1, ..recipe() };
    page.paint(&Recipe { count: 2, ..one.clone() }, Choice::Base);
    page.download(Model::Base, 8);
    page.go("#gallery");
    entries(2);
    page.reload();
    page.go("#gallery");
    entries(2);
    // The newest first.
    page.click("#gallery li.entry button.again");
    page.wait("its seed", "return document.querySelector('#seed')?.value === '8' && document.querySelector('#steps').value === '1'");
    page.go("#gallery");
    entries(2);
    page.click("#gallery li.entry button.delete");
    entries(1);
    page.click("#clear-gallery");
    entries(0);
    page.reload();
    page.go("#gallery");
    entries(0);
    page.finish(none);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn criteria_are_found_and_shown() {
    let page = Page::open(WebGpu::None);
    page.go("#criteria");
    page.wait("the search", "return document.querySelector('#criteria-search') !== null");
    assert!(page.count("#criteria li.leaf[data-leaf]") == 246, "{}", page.count("#criteria li.leaf"));
    page.set("#criteria-search", "muddy");
    page.wait(
        "what was found",
        "const found = document.querySelectorAll('#criteria li.leaf').length; return found > 0 && found < 20",
    );
    let leaf = "#criteria li.leaf[data-leaf='color-relations.purity.mixture.cleanliness.clean']";
    page.click(&format!("{leaf} summary"));
    let pictures = page.wait_with(
        "two examples",
        "const pictures = ['positive', 'negative'].map((side) => document.querySelector(`${arguments[0]} img.${side}-example`));
         return pictures.every((picture) => picture?.naturalWidth > 0) && pictures.map((picture) => picture.src)",
        json!([leaf]),
    );
    assert_ne!(pictures[0], pictures[1]);
    page.set("#criteria-search", "no such attribute anywhere");
    page.wait(
        "a sentence",
        "return /Nothing found/.test(document.querySelector('.lead [role=status]').textContent)",
    );
    page.finish(none);
}

/// Controls that a screen reader cannot name, and pictures without a description.
const NAMELESS: &str = "
    const named = (element) => {
        const by = (element.getAttribute('aria-labelledby') ?? '').split(' ').filter(Boolean);
        const labels = [...(element.labels ?? []), ...by.map((id) => document.getElementById(id))];
        const texts = [element.getAttribute('aria-label'), element.title, element.textContent, element.alt];
        return [...texts, ...labels.map((label) => label?.textContent)].some((text) => text?.trim());
    };
    const controls = 'a[href], button, input, select, textarea, summary, canvas, [role=progressbar], [tabindex], img';
    const seen = (element) => element.checkVisibility() && !element.closest('[aria-hidden=true]');
    return [...document.querySelectorAll(controls)]
        .filter((element) => seen(element) && element.type !== 'hidden' && !named(element))
        .map((element) => element.outerHTML.slice(0, 120));";

/// What stands out to the right of the window.
const TOO_WIDE: &str = "
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    return [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 120));";

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn every_part_is_usable_by_everybody() {
    let page = Page::open(WebGpu::None);
    let recipe = Recipe { steps: 1, ..recipe() };
    page.paint(&recipe, Choice::Both);
    let nothing = json!([]);
    for width in [360, 768, 1280, 3840] {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        page.browser.devtools("Emulation.setDeviceMetricsOverride", size);
        for part in PARTS {
            page.go(part);
            page.wait_with(
                "the part",
                "return document.querySelector(`nav a[href='${arguments[0]}'][aria-current=page]`) !== null",
                json!([part]),
            );
            assert_eq!(page.browser.run(NAMELESS, json!([])), nothing, "{part}: nameless");
            assert_eq!(page.browser.run(TOO_WIDE, json!([])), nothing, "{part}: wider than {width} pixels");
        }
    }
    let landmarks = page.browser.run(
        "return [document.documentElement.lang, document.querySelectorAll('main').length, document.querySelectorAll('h1').length,
            document.querySelector('#live').ariaLive, document.querySelector('#alert').role]",
        json!([]),
    );
    assert_eq!(landmarks, json!(["en", 1, 1, "polite", "alert"]));

    // By keyboard alone.
    page.go("#paint");
    page.wait("the prompt", "return document.querySelector('#prompt') !== null");
    page.browser.run("document.querySelector('#seed').focus()", json!([]));
    page.browser.type_into("#seed", "\u{e007}");
    page.wait("a painting", "return document.querySelector('figure.painting, figure.waiting') !== null");
    page.finish(none);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn the_benchmark_prints_a_report() {
    let page = Page::open(WebGpu::None);
    page.go("#bench");
    page.click("#run-benchmark");
    let report = page.wait(
        "the report",
        "const report = document.querySelector('#benchmark-report');
        return report && !report.hidden && report.textContent",
    );
    let report = report.as_str().expect("text");
    // For who asks with `--nocapture`.
    println!("{report}");
    for expected in ["processor", "ms", "MB", "Chrome"] {
        assert!(report.contains(expected), "{expected} is missing in:\n{report}");
    }
    page.finish(none);
}
