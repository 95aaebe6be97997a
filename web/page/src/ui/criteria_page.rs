//! The tree of criteria, with examples of the studio.

use super::{alert::Notices, blob::BlobUrl, worker::Worker};
use crate::logic::figures::{capitalised, count};
use atelier_criteria::{CriteriaTree, Leaf, Node, Side};
use atelier_studio::STUDIO_LEAVES;
use atelier_web_messages::{Reply, Request};
use leptos::prelude::*;
use std::collections::HashMap;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDetailsElement};

/// The examples that were painted, positive and negative, of each leaf.
#[derive(Clone, Copy)]
struct Examples(RwSignal<HashMap<&'static str, Option<[BlobUrl; 2]>>>);

#[component]
pub fn CriteriaPage() -> impl IntoView {
    let tree = CriteriaTree::embedded();
    provide_context(Examples(RwSignal::new(HashMap::new())));
    let query = RwSignal::new(String::new());
    let is_searching = Memo::new(move |_| query.with(|query| !query.trim().is_empty()));
    let found = Memo::new(move |_| query.with(|query| tree.search(query)));
    view! {
        <div class="reading-room">
            <header class="lead">
                <h2>"The criteria"</h2>
                <p>
                    {format!(
                        "{} dimensions, {} pairs: what a painter's teacher looks for, and what is seen when it fails. {} of them the studio can paint on either side.",
                        tree.dimensions().len(),
                        tree.leaves().len(),
                        STUDIO_LEAVES.len(),
                    )}
                </p>
                <div class="field">
                    <label for="criteria-search">"Search"</label>
                    <input
                        id="criteria-search"
                        type="search"
                        autocomplete="off"
                        placeholder="muddy, horizon, shadow …"
                        prop:value=move || query.get()
                        on:input=move |event| query.set(event_target_value(&event))
                    />
                    <p class="hint" role="status">
                        {move || is_searching.get().then(|| match found.with(Vec::len) {
                            0 => "Nothing found: try fewer or shorter words.".to_owned(),
                            number => format!("{} found", count(number, "pair")),
                        })}
                    </p>
                </div>
            </header>
            <div id="criteria">
                {move || {
                    if is_searching.get() {
                        view! {
                            <ul class="criteria-leaves">
                                <For each=move || found.get() key=|leaf| leaf.id.as_str() let:leaf>
                                    <LeafEntry leaf place=path(leaf) />
                                </For>
                            </ul>
                        }
                            .into_any()
                    } else {
                        tree.roots().map(|root| view! { <DimensionEntry root /> }).collect::<Vec<_>>().into_any()
                    }
                }}
            </div>
        </div>
    }
}

/// A dimension, which opens to its levels.
#[component]
fn DimensionEntry(root: Node<'static>) -> impl IntoView {
    let tree = CriteriaTree::embedded();
    let summary = root.leaves().first().map(|leaf| tree.dimension_of(leaf).summary.as_str());
    let levels = root.children().map(|level| {
        let groups = level.children().map(|group| {
            let leaves = group.leaves().iter().map(|leaf| view! { <LeafEntry leaf place=String::new() /> });
            view! {
                <section>
                    <h4>{group.name()}</h4>
                    <ul class="criteria-leaves">{leaves.collect::<Vec<_>>()}</ul>
                </section>
            }
        });
        view! {
            <section class="level">
                <h3>{level.name()}</h3>
                {groups.collect::<Vec<_>>()}
            </section>
        }
    });
    view! {
        <details class="dimension">
            <summary>
                <span class="title">{root.name()}</span> " "
                <span class="hint">{count(root.leaves().len(), "pair")}</span>
                <p>{summary}</p>
            </summary>
            {levels.collect::<Vec<_>>()}
        </details>
    }
}

/// The names above a leaf: `Color Relations › Purity › Mixture`.
fn path(leaf: &Leaf) -> String {
    let tree = CriteriaTree::embedded();
    let mut names = Vec::new();
    for (end, _) in leaf.id.match_indices('.').take(3) {
        names.extend(tree.node(&leaf.id[..end]).map(|node| node.name().to_owned()));
    }
    names.join(" › ")
}

/// A leaf, which opens to both sides and, if the studio can paint it, an example of each.
#[component]
fn LeafEntry(leaf: &'static Leaf, place: String) -> impl IntoView {
    let has_example = STUDIO_LEAVES.contains(&leaf.id.as_str());
    let is_open = RwSignal::new(false);
    let on_toggle = move |event: Event| {
        let details = event.target().and_then(|target| target.dyn_into::<HtmlDetailsElement>().ok());
        is_open.set(details.is_some_and(|details| details.open()));
    };
    view! {
        <li class="leaf" data-leaf=leaf.id.as_str()>
            <details on:toggle=on_toggle>
                <summary>
                    <span class="good">{capitalised(&leaf.positive.phrase)}</span>
                    <span class="versus">" or "</span>
                    <span class="bad">{leaf.negative.phrase.as_str()}</span>
                    {has_example.then(|| view! { <span class="hint">" with examples"</span> })}
                    {(!place.is_empty()).then(|| view! { <span class="path">{place}</span> })}
                </summary>
                {move || is_open.get().then(|| view! { <Sides leaf has_example /> })}
            </details>
        </li>
    }
}

/// Both sides with their sentences.
#[component]
fn Sides(leaf: &'static Leaf, has_example: bool) -> impl IntoView {
    let worker: Worker = expect_context();
    let notices: Notices = expect_context();
    let examples: Examples = expect_context();
    let known = examples.0.with_untracked(|known| known.contains_key(leaf.id.as_str()));
    if has_example && !known {
        let job = worker.next_job();
        let request = Request::StudioExample { job, leaf: leaf.id.clone(), genres: leaf.genres.clone() };
        worker.run(job, &request, move |reply| match reply {
            Reply::StudioExample { pngs, .. } => {
                let urls = pngs.map(|pngs| pngs.map(|png| BlobUrl::of_png(&png)));
                // The page may have been left.
                let _ = examples.0.try_update(|known| known.insert(leaf.id.as_str(), urls));
            }
            Reply::Failed { message, .. } => notices.alert(message),
            _ => {}
        });
    }
    let example = move |side: Side| {
        let class = match side {
            Side::Positive => "positive-example",
            Side::Negative => "negative-example",
        };
        let picture = move || {
            let urls = examples.0.with(|known| known.get(leaf.id.as_str()).cloned());
            match urls {
                None => Some(view! { <span class="hint">"The studio paints …"</span> }.into_any()),
                Some(None) => None,
                Some(Some([positive, negative])) => {
                    let url = if side == Side::Positive { positive } else { negative };
                    let alt = format!("A studio painting with {}", leaf.attribute(side).phrase);
                    Some(view! { <img class=class src=url.get() alt=alt /> }.into_any())
                }
            }
        };
        has_example.then(|| view! { <div class="plate">{picture}</div> })
    };
    let side = move |side: Side| {
        view! {
            <div class="side" data-side=side.as_str()>
                {example(side)}
                <h5>{capitalised(&leaf.attribute(side).phrase)}</h5>
                <p>{leaf.attribute(side).explanation.as_str()}</p>
            </div>
        }
    };
    view! { <div class="two">{Side::BOTH.map(side).to_vec()}</div> }
}
