//! Whether the browser has a WebGPU adapter, and what it is called.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// The name of the WebGPU adapter, such as `nvidia ampere`; `None` in a browser without one.
///
/// `navigator.gpu` alone proves nothing: browsers offer it on machines whose graphics they then refuse.
pub async fn name() -> Option<String> {
    let navigator = web_sys::window()?.navigator();
    let gpu = property(&navigator, "gpu")?;
    let request: Function = property(&gpu, "requestAdapter")?.dyn_into().ok()?;
    let promise: Promise = request.call0(&gpu).ok()?.dyn_into().ok()?;
    let adapter = JsFuture::from(promise).await.ok().filter(JsValue::is_object)?;
    Some(property(&adapter, "info").as_ref().map_or_else(unnamed, describe))
}

/// Browsers leave out what could identify a visitor, so any of the parts may be empty.
fn describe(information: &JsValue) -> String {
    let parts: Vec<String> = ["vendor", "architecture", "description"]
        .into_iter()
        .filter_map(|key| property(information, key)?.as_string())
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() { unnamed() } else { parts.join(" ") }
}

fn unnamed() -> String {
    "an adapter that the browser does not name".to_owned()
}

fn property(object: &JsValue, key: &str) -> Option<JsValue> {
    Reflect::get(object, &key.into()).ok().filter(|value| !value.is_null() && !value.is_undefined())
}
