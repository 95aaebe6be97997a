//! Why did alignment change this? The leaves whose probability changed most between base and aligned.

use super::state::{Explanation, Explanations, Place, Stage};
use crate::{
    logic::{
        decisiveness::{Change, largest_changes},
        figures::capitalised,
        verdict::{Verdict, percent},
    },
    ui::canvas::LeafMap,
};
use atelier_criteria::{CriteriaTree, Side};
use atelier_web_messages::Model;
use leptos::prelude::*;

/// Changes that are shown.
const SHOWN: usize = 6;

/// The explanations of the base's and of the aligned model's picture.
type Pair = [Explanation; 2];

#[component]
pub fn Changes(place: Place) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let pair = move || -> Option<Pair> {
        let mut all = explanations.at(place).into_iter();
        let pair = [all.next()?, all.next()?];
        (pair[0].subject.model == Some(Model::Base)).then_some(pair)
    };
    let is_pair = Memo::new(move |_| pair().is_some());
    let largest = Memo::new(move |_| {
        let pair = pair()?;
        let leaves: Vec<usize> = largest(&pair).into_iter().map(|change| change.leaf).collect();
        Some((leaves, pair.iter().all(is_over)))
    });
    // While somebody looks at the list, it stands still.
    let is_held = RwSignal::new(false);
    let leaves = RwSignal::new(Vec::new());
    Effect::new(move |_| {
        let found = largest.get().map(|(leaves, _)| leaves).unwrap_or_default();
        if !is_held.get() {
            leaves.set(found);
        }
    });
    let row = move |leaf: usize| untrack(pair).map(|pair| view! { <ChangeRow leaf pair /> });
    let note = move || match largest.get()? {
        (_, false) => Some("As far as both pictures are read:"),
        (leaves, true) if leaves.is_empty() => Some("Nothing that the model can read has changed."),
        (_, true) => None,
    };
    view! {
        <section class="why" hidden=move || !is_pair.get() aria-label="Why did alignment change this?">
            <h2>"Why did alignment change this?"</h2>
            <p class="hint">{note}</p>
            <ul
                id="changes"
                on:pointerenter=move |_| is_held.set(true)
                on:pointerleave=move |_| is_held.set(false)
            >
                <For each=move || leaves.get() key=|leaf| *leaf let:leaf>
                    {row(leaf)}
                </For>
            </ul>
        </section>
    }
}

fn is_over(explanation: &Explanation) -> bool {
    matches!(explanation.stage.get(), Stage::Done | Stage::Stopped)
}

/// The largest changes of what is certain in both pictures; once they are read, of everything.
fn largest(pair: &Pair) -> Vec<Change> {
    let [before, after] = pair.each_ref().map(|explanation| {
        let is_over = is_over(explanation);
        let readings = explanation
            .each(|leaf, reading| (is_over || reading.certain).then_some((leaf, reading.probability)));
        readings.into_iter().flatten().collect::<Vec<_>>()
    });
    let changes = before.into_iter().filter_map(|(leaf, before)| {
        let (_, after) = after.iter().find(|(other, _)| *other == leaf)?;
        Some(Change { leaf, before, after: *after })
    });
    largest_changes(changes.collect(), SHOWN)
}

/// A leaf with both maps and both numbers. Its title is the side that gained.
#[component]
fn ChangeRow(
    /// The leaf's place in the tree.
    leaf: usize,
    pair: Pair,
) -> impl IntoView {
    let own = &CriteriaTree::embedded().leaves()[leaf];
    let readings =
        pair.each_ref().map(|explanation| untrack(|| explanation.reading(leaf)).map(RwSignal::from));
    let side = Memo::new(move |_| {
        let [before, after] =
            readings.map(|reading| reading.map(|reading| reading.with(|now| now.probability)));
        if after > before { Side::Positive } else { Side::Negative }
    });
    let figures = pair.into_iter().zip(readings).filter_map(|(explanation, reading)| {
        let reading = reading?;
        let name = explanation.subject.name.clone();
        let description = {
            let name = name.clone();
            move || {
                reading.with(|now| {
                    let sentence = Verdict::of(now.probability).sentence(own, now.probability_error);
                    format!("{name}: {sentence}")
                })
            }
        };
        let share = move || {
            reading.with(|now| {
                let positive = now.probability;
                let of_side = if side.get() == Side::Positive { positive } else { 1.0 - positive };
                percent(of_side, now.probability_error)
            })
        };
        Some(view! {
            <figure>
                <div class="plate">
                    <img src=explanation.subject.url.get() alt=description />
                    <LeafMap reading />
                </div>
                <figcaption>{name} " " <strong>{share}</strong></figcaption>
            </figure>
        })
    });
    view! {
        <li data-leaf=own.id.as_str() data-side=move || side.get().as_str()>
            <h3>{move || capitalised(&own.attribute(side.get()).phrase)}</h3>
            <p class="sentence">{move || own.attribute(side.get()).explanation.as_str()}</p>
            <div class="two">{figures.collect::<Vec<_>>()}</div>
        </li>
    }
}
