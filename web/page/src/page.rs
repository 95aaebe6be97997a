//! What the visitor sees.

use crate::trial;
use atelier_criteria::CriteriaTree;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Puts the page in the place of the notice that `index.html` shows while the module loads.
pub fn mount() {
    let place = document().get_element_by_id("page").and_then(|element| element.dyn_into().ok());
    let place: web_sys::HtmlElement = place.unwrap_or_else(body);
    place.set_text_content(None);
    leptos::mount::mount_to(place, Page).forget();
}

fn body() -> web_sys::HtmlElement {
    document().body().expect("index.html has a body")
}

#[component]
fn Page() -> impl IntoView {
    let trial = LocalResource::new(trial::run);
    let criteria = CriteriaTree::embedded().leaves().len();
    view! {
        <h1>"Atelier"</h1>
        <p>"A painter that learns from " <strong id="criteria">{criteria}</strong> " pairs of painting criteria."</p>
        <Suspense fallback=|| view! { <p>"Looking for a device to compute on …"</p> }>
            {move || Suspend::new(async move {
                let trial = trial.await;
                view! {
                    <p id="device">{trial.device}</p>
                    <p id="result">{trial.result}</p>
                }
            })}
        </Suspense>
    }
}
