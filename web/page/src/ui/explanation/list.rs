//! The readings of one picture: in the order of their decisiveness, or as the tree of criteria has them.

use super::{
    leaf::LeafRow,
    state::{Explanation, Explanations},
};
use crate::logic::figures;
use atelier_criteria::{CriteriaTree, Node};
use leptos::prelude::*;

/// Readings that are shown without being asked for.
const SHORT: usize = 12;

/// The most decisive readings first; above them those that were asked for.
#[component]
pub fn LeafList(explanation: Explanation) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let is_long = RwSignal::new(false);
    let (readings, order, asked) =
        (explanation.readings.clone(), explanation.order.clone(), explanation.asked.clone());
    let count = Memo::new(move |_| readings.with(Vec::len));
    let asked_for = {
        let explanation = explanation.clone();
        Memo::new(move |_| {
            asked.with(|asked| {
                asked.iter().copied().filter(|&leaf| explanation.reading(leaf).is_some()).collect::<Vec<_>>()
            })
        })
    };
    let others = Memo::new(move |_| {
        let asked = asked_for.get();
        order.with(|order| order.iter().copied().filter(|leaf| !asked.contains(leaf)).collect::<Vec<_>>())
    });
    let row = {
        let explanation = explanation.clone();
        move |leaf: usize| explanation.reading(leaf).map(|reading| view! { <LeafRow leaf reading /> })
    };
    let asked_row = row.clone();
    let hold = move |is_held: bool| explanations.held.set(is_held);
    on_cleanup(move || hold(false));
    view! {
        <div
            class="readings"
            on:pointerenter=move |_| hold(true)
            on:pointerleave=move |_| hold(false)
            on:focusin=move |_| hold(true)
            on:focusout=move |_| hold(false)
        >
            <Show when=move || asked_for.with(|asked| !asked.is_empty())>
                <h4>"You asked for"</h4>
            </Show>
            <ul class="asked">
                <For each=move || asked_for.get() key=|leaf| *leaf let:leaf>{asked_row(leaf)}</For>
            </ul>
            <ul class="leaves" class:short=move || !is_long.get()>
                <For each=move || others.get() key=|leaf| *leaf let:leaf>{row(leaf)}</For>
            </ul>
            <Show when=move || { count.get() > SHORT && !is_long.get() }>
                <button class="quiet" type="button" on:click=move |_| is_long.set(true)>
                    {move || format!("Show all {}", figures::count(count.get(), "reading"))}
                </button>
            </Show>
        </div>
    }
}

/// Dimensions that open to levels and leaves.
#[component]
pub fn LeafTree(explanation: Explanation) -> impl IntoView {
    let dimensions = CriteriaTree::embedded().roots().map(|root| {
        let explanation = explanation.clone();
        let count = {
            let (explanation, range) = (explanation.clone(), root.leaf_range());
            Memo::new(move |_| {
                explanation
                    .readings
                    .with(|readings| readings.iter().filter(|state| range.contains(&state.leaf)).count())
            })
        };
        let levels = root.children().map(|level| view! { <Level level explanation=explanation.clone() /> });
        view! {
            <details class="dimension" hidden=move || count.get() == 0>
                <summary>
                    {root.name()} " "
                    <span class="hint">{move || figures::count(count.get(), "reading")}</span>
                </summary>
                {levels.collect::<Vec<_>>()}
            </details>
        }
    });
    view! { <div class="readings">{dimensions.collect::<Vec<_>>()}</div> }
}

#[component]
fn Level(level: Node<'static>, explanation: Explanation) -> impl IntoView {
    let range = level.leaf_range();
    let read = {
        let explanation = explanation.clone();
        Memo::new(move |_| {
            let mut leaves: Vec<usize> = explanation.readings.with(|readings| {
                readings.iter().map(|state| state.leaf).filter(|leaf| range.contains(leaf)).collect()
            });
            leaves.sort_unstable();
            leaves
        })
    };
    let row = move |leaf: usize| explanation.reading(leaf).map(|reading| view! { <LeafRow leaf reading /> });
    view! {
        <div hidden=move || read.with(Vec::is_empty)>
            <h4>{level.name()}</h4>
            <ul class="leaves"><For each=move || read.get() key=|leaf| *leaf let:leaf>{row(leaf)}</For></ul>
        </div>
    }
}
