//! Whether the browser has a WebGPU adapter, what it is called, and what it can.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A WebGPU adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Such as `nvidia ampere`.
    pub name: String,
    /// Whether shaders can compute in half precision (`shader-f16`).
    pub has_half_precision: bool,
}

/// The adapter; `None` in a browser without one.
///
/// `navigator.gpu` alone proves nothing: browsers offer it on machines whose graphics they then refuse.
pub async fn find() -> Option<Adapter> {
    let navigator = property(&js_sys::global(), "navigator")?;
    let gpu = property(&navigator, "gpu")?;
    let request: Function = property(&gpu, "requestAdapter")?.dyn_into().ok()?;
    let promise: Promise = request.call0(&gpu).ok()?.dyn_into().ok()?;
    let adapter = JsFuture::from(promise).await.ok().filter(JsValue::is_object)?;
    let name = property(&adapter, "info").as_ref().map_or_else(unnamed, describe);
    Some(Adapter { name, has_half_precision: has_feature(&adapter, "shader-f16") })
}

fn has_feature(adapter: &JsValue, feature: &str) -> bool {
    let ask = || {
        let features = property(adapter, "features")?;
        let has: Function = property(&features, "has")?.dyn_into().ok()?;
        has.call1(&features, &feature.into()).ok()?.as_bool()
    };
    ask().unwrap_or(false)
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
