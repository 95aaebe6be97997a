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

#[component]
pub fn Changes(place: Place) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let pair = move || -> Option<[Explanation; 2]> {
        let mut all =
            explanations.at(place).into_iter().filter(|explanation| explanation.subject.model.is_some());
        let pair = [all.next()?, all.next()?];
        (pair[0].subject.model == Some(Model::Base)).then_some(pair)
    };
    let is_pair = Memo::new(move |_| pair().is_some());
    // While readings arrive, the list would jump.
    let changes = Memo::new(move |_| {
        let [base, aligned] = pair()?;
        let is_over =
            |explanation: &Explanation| matches!(explanation.stage.get(), Stage::Done | Stage::Stopped);
        (is_over(&base) && is_over(&aligned)).then(|| changes(&base, &aligned))
    });
    let list = move || {
        let Some(pair) = untrack(pair) else { return Vec::new() };
        let changes = changes.get().unwrap_or_default();
        changes.into_iter().map(|change| view! { <ChangeRow change pair=pair.clone() /> }).collect()
    };
    let note = move || match changes.get() {
        None => Some("As soon as both pictures are read, the largest changes stand here."),
        Some(changes) if changes.is_empty() => Some("Nothing that the model can read has changed."),
        Some(_) => None,
    };
    view! {
        <section class="why" hidden=move || !is_pair.get() aria-label="Why did alignment change this?">
            <h2>"Why did alignment change this?"</h2>
            <p class="hint">{note}</p>
            <ul id="changes">{list}</ul>
        </section>
    }
}

fn changes(base: &Explanation, aligned: &Explanation) -> Vec<Change> {
    let before = base.each(|leaf, reading| (leaf, reading.probability));
    let after = aligned.each(|leaf, reading| (leaf, reading.probability));
    let both = before.into_iter().filter_map(|(leaf, before)| {
        let (_, after) = after.iter().find(|(other, _)| *other == leaf)?;
        Some(Change { leaf, before, after: *after })
    });
    largest_changes(both.collect(), SHOWN)
}

/// A leaf with both maps and both numbers. Its title is the side that gained.
#[component]
fn ChangeRow(change: Change, pair: [Explanation; 2]) -> impl IntoView {
    let leaf = &CriteriaTree::embedded().leaves()[change.leaf];
    let side = if change.after > change.before { Side::Positive } else { Side::Negative };
    let towards = |probability: f64| if side == Side::Positive { probability } else { 1.0 - probability };
    let figures = pair.map(|explanation| {
        let reading = explanation.reading(change.leaf)?;
        let (probability, error) = reading.with(|reading| (reading.probability, reading.probability_error));
        let sentence = Verdict::of(probability).sentence(leaf, error);
        Some(view! {
            <figure>
                <div class="plate">
                    <img src=explanation.subject.url.get() alt=format!("{}: {sentence}", explanation.subject.name) />
                    <LeafMap reading />
                </div>
                <figcaption>
                    {explanation.subject.name.clone()} " " <strong>{percent(towards(probability), error)}</strong>
                </figcaption>
            </figure>
        })
    });
    view! {
        <li data-leaf=leaf.id.as_str() data-side=side.as_str()>
            <h3>{capitalised(&leaf.attribute(side).phrase)}</h3>
            <p class="sentence">{leaf.attribute(side).explanation.as_str()}</p>
            <div class="two">{figures.into_iter().collect::<Vec<_>>()}</div>
        </li>
    }
}
