//! Asking for any leaf of the tree.

use super::state::{Explanations, Place};
use atelier_criteria::{CriteriaTree, Leaf};
use leptos::prelude::*;

/// Leaves that are offered at once.
const OFFERED: usize = 8;

#[component]
pub fn AskLeaf(place: Place) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let tree = CriteriaTree::embedded();
    let query = RwSignal::new(String::new());
    let found = Memo::new(move |_| {
        query.with(|query| tree.search(query).into_iter().take(OFFERED).collect::<Vec<_>>())
    });
    let ask = move |leaf: &'static Leaf| {
        if let Some(index) = tree.leaf_index(&leaf.id) {
            explanations.ask(place, index);
        }
        query.set(String::new());
    };
    let on_key = move |event: web_sys::KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            event.prevent_default();
            if let Some(leaf) = found.with_untracked(|found| found.first().copied()) {
                ask(leaf);
            }
        }
        "Escape" => query.set(String::new()),
        _ => {}
    };
    let offer = move |leaf: &'static Leaf| {
        view! {
            <li>
                <button type="button" data-leaf=leaf.id.as_str() on:click=move |_| ask(leaf)>
                    <span>{leaf.positive.phrase.as_str()} " or " {leaf.negative.phrase.as_str()}</span>
                    <span class="hint">{tree.dimension_of(leaf).name.as_str()}</span>
                </button>
            </li>
        }
    };
    view! {
        <div class="field ask">
            <label for="ask-leaf">{format!("Ask for any of {} attributes", tree.leaves().len())}</label>
            <input
                id="ask-leaf"
                type="search"
                autocomplete="off"
                placeholder="muddy, horizon, shadow …"
                prop:value=move || query.get()
                on:input=move |event| query.set(event_target_value(&event))
                on:keydown=on_key
            />
            <ul class="offers" hidden=move || found.with(Vec::is_empty)>
                {move || found.get().into_iter().map(offer).collect::<Vec<_>>()}
            </ul>
        </div>
    }
}
