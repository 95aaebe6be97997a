//! The service worker, with which the page opens offline.

use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// Registers the service worker, where the browser has any: not from insecure addresses, nor in some private windows.
pub fn register() {
    let navigator = window().navigator();
    let container = js_sys::Reflect::get(&navigator, &"serviceWorker".into());
    if container.is_ok_and(|container| container.is_object()) {
        leptos::task::spawn_local(async move {
            let registered = JsFuture::from(navigator.service_worker().register("service-worker.js")).await;
            if let Err(error) = registered {
                web_sys::console::debug_2(&JsValue::from("no service worker:"), &error);
            }
        });
    }
}
