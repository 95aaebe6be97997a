//! A button that copies a text.

use leptos::prelude::*;
use std::time::Duration;
use wasm_bindgen_futures::JsFuture;

/// How long the button says that it did its work.
const THANKS: Duration = Duration::from_secs(2);

#[component]
pub fn CopyButton(
    /// What the button says.
    label: &'static str,
    /// The class of the button.
    class: &'static str,
    /// Makes the text.
    text: Callback<(), String>,
) -> impl IntoView {
    let shown = RwSignal::new(label);
    let copy = move |_| {
        let text = text.run(());
        leptos::task::spawn_local(async move {
            let copied = match clipboard() {
                Some(clipboard) => JsFuture::from(clipboard.write_text(&text)).await.is_ok(),
                None => false,
            };
            shown.set(if copied { "Copied" } else { "The browser refused" });
            set_timeout(move || shown.set(label), THANKS);
        });
    };
    view! { <button class=class type="button" on:click=copy>{move || shown.get()}</button> }
}

/// The clipboard, which browsers offer to pages from secure addresses alone.
fn clipboard() -> Option<web_sys::Clipboard> {
    let clipboard = js_sys::Reflect::get(&window().navigator(), &"clipboard".into()).ok()?;
    clipboard.is_object().then(|| clipboard.into())
}
