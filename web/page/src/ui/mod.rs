//! What the visitor sees and touches.

mod alert;
mod bench_page;
mod blob;
mod canvas;
mod caption;
mod clipboard;
mod criteria_page;
mod database;
mod explain_page;
mod explanation;
mod form;
mod gallery;
mod gallery_page;
mod masthead;
mod paint_page;
mod painting;
mod router;
mod service_worker;
mod settings;
mod worker;

use crate::logic::route::Page;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Puts the page in the place of what `index.html` shows while the module loads.
pub fn mount() {
    let place = document().get_element_by_id("page").and_then(|element| element.dyn_into().ok());
    let place: web_sys::HtmlElement =
        place.unwrap_or_else(|| document().body().expect("index.html has a body"));
    place.set_text_content(None);
    leptos::mount::mount_to(place, Site).forget();
    service_worker::register();
}

/// The whole page: what all its parts share, and the part that the address names.
#[component]
fn Site() -> impl IntoView {
    let notices = alert::Notices::provide();
    let router = router::Router::provide();
    let worker = worker::Worker::provide(notices);
    let gallery = gallery::Gallery::provide(notices);
    let form = form::Form::provide(router, notices);
    let explanations = explanation::Explanations::provide(worker, notices);
    painting::Painting::provide(worker, notices, gallery, form, explanations);
    explain_page::Uploads::provide(worker, notices, explanations);
    worker.open(settings::saved_device());

    view! {
        <masthead::Masthead />
        <alert::Alert />
        <div class="content">
            {move || match router.page.get() {
                Page::Paint => view! { <paint_page::PaintPage /> }.into_any(),
                Page::Explain => view! { <explain_page::ExplainPage /> }.into_any(),
                Page::Criteria => view! { <criteria_page::CriteriaPage /> }.into_any(),
                Page::Gallery => view! { <gallery_page::GalleryPage /> }.into_any(),
                Page::Bench => view! { <bench_page::BenchPage /> }.into_any(),
            }}
        </div>
    }
}
