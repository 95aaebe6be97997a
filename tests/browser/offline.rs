//! Later visits.

use crate::{page::Page, recipe, server::Fault, webdriver::WebGpu};
use atelier_web_messages::{Choice, Recipe};
use serde_json::{Value, json};
use std::fs;

/// Returns when the service worker has stored the page.
fn wait_until_stored(page: &Page) {
    let state =
        page.browser.run_async("return (await navigator.serviceWorker.ready).active !== null", json!([]));
    assert_eq!(state, true);
}

/// The names of the browser's caches.
fn caches(page: &Page) -> Vec<String> {
    let names = page.browser.run_async("return await caches.keys()", json!([]));
    let names = names.as_array().expect("a list").iter();
    names.map(|name| name.as_str().expect("text").to_owned()).collect()
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn a_second_visit_needs_no_network() {
    let page = Page::open(WebGpu::None);
    let recipe = Recipe { steps: 1, ..recipe() };
    let png = page.paint(&recipe, Choice::Base).remove(0);
    wait_until_stored(&page);

    // With a network, the models come from the browser all the same.
    page.server.take_requests();
    page.browser.open("about:blank");
    page.browser.open(&format!("{}?from=a-friend#paint", page.server.address()));
    page.wait_for_device();
    assert!(page.paint(&recipe, Choice::Base).remove(0) == png);
    let models: Vec<_> =
        page.server.take_requests().into_iter().filter(|file| file.ends_with(".safetensors")).collect();
    assert_eq!(models, Vec::<String>::new());

    // Without one, the page opens and paints.
    page.server.set_network(false);
    page.browser.open("about:blank");
    page.browser.open(&page.server.address());
    page.wait_for_device();
    assert!(page.paint(&recipe, Choice::Base).remove(0) == png);
    page.server.set_network(true);

    // What was downloaded can be deleted, and comes again.
    page.click("details.settings summary");
    page.click("#clear-models");
    page.wait(
        "a confirmation",
        "return /deleted/.test(document.querySelector('.settings [role=status]').textContent)",
    );
    assert!(!caches(&page).iter().any(|name| name == "atelier-models"));
    page.reload();
    page.server.take_requests();
    page.paint(&recipe, Choice::Base);
    assert!(
        page.server
            .take_requests()
            .iter()
            .any(|file| file.ends_with("unet/diffusion_pytorch_model.safetensors"))
    );
    page.finish(|entry| entry.is_network);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn a_new_deployment_replaces_the_old_one_whole() {
    let page = Page::open(WebGpu::None);
    wait_until_stored(&page);
    // The first visit came from the server; the second one comes from the service worker.
    page.reload();
    let old = caches(&page);
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/");
    let read = |name: &str| fs::read_to_string(format!("{dist}{name}")).expect("a file of the page");
    // The next version has one more element, and its service worker another version and digest.
    let index = read("index.html").replace("</head>", "<meta name=\"next\"></head>");
    let digest = page.browser.run_async(
        "const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(values[0]));
         return btoa(String.fromCharCode(...new Uint8Array(digest)))",
        json!([index]),
    );
    let digest = digest.as_str().expect("text");
    let deploy = |version: &str, digest: &str| {
        let lines = read("service-worker.js")
            .lines()
            .map(|line| match line.trim() {
                line if line.starts_with("const version") => format!("const version = \"{version}\";\n"),
                line if line.starts_with("\"index.html\"") => {
                    format!("\"index.html\": \"sha256-{digest}\",\n")
                }
                line => format!("{line}\n"),
            })
            .collect::<String>();
        page.server.break_file("index.html", Fault::Replaced(index.clone().into()));
        page.server.break_file("service-worker.js", Fault::Replaced(lines.into()));
    };
    let update = "const registration = await navigator.serviceWorker.getRegistration();
        await registration.update().catch(() => {});
        const installing = registration.installing;
        if (installing) await new Promise((installed) => installing.addEventListener('statechange', installed, { once: true }));
        return registration.waiting !== null";
    let is_next = "return document.querySelector('meta[name=next]') !== null";
    // A page of which a file is not yet there is not taken.
    deploy("half-there", &format!("{}=", "A".repeat(43)));
    assert_eq!(page.browser.run_async(update, json!([])), false);
    // A whole one waits until the last window is closed.
    deploy("next", digest);
    assert_eq!(page.browser.run_async(update, json!([])), true);
    page.reload();
    assert_eq!(page.browser.run(is_next, json!([])), false);
    page.browser.open("about:blank");
    page.browser.open(&page.server.address());
    page.wait("the next version", is_next);
    let pages: Vec<_> = caches(&page).into_iter().filter(|name| name.starts_with("atelier-page")).collect();
    assert!(pages.len() == 1 && pages[0].ends_with(" next") && !old.contains(&pages[0]), "{old:?} {pages:?}");
    let controller = page.browser.run("return navigator.serviceWorker.controller !== null", json!([]));
    assert_eq!(controller, Value::Bool(true));
    page.finish(|entry| entry.is_network || entry.message.contains("integrity"));
}
