//! The gallery.

use super::{
    gallery::{Entry, Gallery},
    painting::{file_name, model_name},
    router::Router,
};
use atelier_web_messages::Recipe;
use leptos::{either::Either, prelude::*};
use wasm_bindgen::JsValue;

/// Pictures that are shown at once.
const SHOWN: usize = 48;

#[component]
pub fn GalleryPage() -> impl IntoView {
    let gallery: Gallery = expect_context();
    let keys = RwSignal::new(None::<Vec<u32>>);
    let limit = RwSignal::new(SHOWN);
    Effect::new(move |_| {
        gallery.version();
        leptos::task::spawn_local(async move {
            let found = gallery.keys().await;
            // The page may have been left.
            let _ = keys.try_set(Some(found));
        });
    });
    let shown =
        move || keys.with(|keys| keys.iter().flatten().take(limit.get()).copied().collect::<Vec<_>>());
    let count = move || keys.with(|keys| keys.as_ref().map(Vec::len));
    view! {
        <div class="reading-room wide">
            <header class="lead">
                <h2>"Gallery"</h2>
                <p>"Everything that you painted in this browser, the newest first. Nobody else sees it."</p>
                <Show when=move || count().is_some_and(|count| count > 0)>
                    <button id="clear-gallery" type="button" on:click=move |_| gallery.clear()>"Delete all"</button>
                </Show>
            </header>
            <Show when=move || count() == Some(0)>
                <p class="empty">"Nothing yet. " <a href="#paint">"Paint something."</a></p>
            </Show>
            <ul id="gallery">
                <For each=shown key=|key| *key let:key><EntryView id=key /></For>
            </ul>
            <Show when=move || count().is_some_and(|count| count > limit.get())>
                <button class="quiet" type="button" on:click=move |_| limit.update(|limit| *limit += SHOWN)>"Show older ones"</button>
            </Show>
        </div>
    }
}

#[component]
fn EntryView(id: u32) -> impl IntoView {
    let gallery: Gallery = expect_context();
    let entry = LocalResource::new(move || gallery.entry(id));
    view! {
        <li class="entry">
            {move || match entry.get() {
                Some(Some(entry)) => Either::Left(view! { <Loaded entry /> }),
                _ => Either::Right(view! { <div class="plate"></div> }),
            }}
        </li>
    }
}

#[component]
fn Loaded(entry: Entry) -> impl IntoView {
    let gallery: Gallery = expect_context();
    let router: Router = expect_context();
    let Entry { key, url, query, model, date } = entry;
    let recipe = Recipe::from_query(&query).map(|(recipe, _)| recipe).unwrap_or_default();
    let day = js_sys::Date::new(&JsValue::from_f64(date));
    let day = String::from(day.to_locale_date_string("default", &JsValue::UNDEFINED));
    view! {
        <div class="plate"><img src=url.get() alt=recipe.prompt.clone() loading="lazy" /></div>
        <p class="title">{recipe.prompt.clone()}</p>
        <p class="hint">{format!("{} · seed {} · {day}", model_name(model), recipe.seed)}</p>
        <p class="actions">
            <button class="again" type="button" on:click=move |_| router.paint(&query)>"Paint again"</button>
            <a class="download" href=url.get() download=file_name(model, recipe.seed)>"Download"</a>
            <button class="delete" type="button" on:click=move |_| gallery.delete(key)>"Delete"</button>
        </p>
    }
}
