//! One reading.

use super::state::Explanations;
use crate::logic::verdict::{Sureness, Verdict};
use atelier_criteria::{CriteriaTree, Side};
use atelier_web_messages::LeafReading;
use leptos::prelude::*;

/// What was read of one leaf, in plain words. While it is pointed at or has the focus, its map is shown.
#[component]
pub fn LeafRow(
    /// The leaf's place in the tree.
    leaf: usize,
    reading: ArcRwSignal<LeafReading>,
) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let own = &CriteriaTree::embedded().leaves()[leaf];
    let reading = RwSignal::from(reading);
    let verdict = Memo::new(move |_| reading.with(|reading| Verdict::of(reading.probability)));
    let sentence = move || {
        let error = reading.with(|reading| reading.probability_error);
        let verdict = verdict.get();
        (verdict.subject(own), verdict.odds(error))
    };
    let attribute = move |map: fn(&LeafReading) -> String| move || reading.with(map);
    let side = move || {
        let verdict = verdict.get();
        match (verdict.sureness, verdict.side) {
            (Sureness::Undecided, _) => "either",
            (_, Side::Positive) => "positive",
            (_, Side::Negative) => "negative",
        }
    };
    let leave = move |signal: RwSignal<Option<usize>>| {
        move || signal.update(|shown| *shown = shown.filter(|shown| *shown != leaf))
    };
    let (leave_hover, leave_focus) = (leave(explanations.hovered), leave(explanations.focused));
    let is_shown = Memo::new(move |_| explanations.shown() == Some(leaf));
    on_cleanup(move || {
        leave_hover();
        leave_focus();
    });
    view! {
        <li
            class="leaf"
            class:shown=is_shown
            data-leaf=own.id.as_str()
            data-side=side
            data-probability=attribute(|reading| format!("{:.3}", reading.probability))
            data-error=attribute(|reading| format!("{:.3}", reading.probability_error))
            data-draws=attribute(|reading| reading.draws.to_string())
            data-certain=attribute(|reading| reading.certain.to_string())
            data-taught=attribute(|reading| reading.taught.to_string())
            on:pointerenter=move |_| explanations.hovered.set(Some(leaf))
            on:pointerleave=move |_| leave_hover()
        >
            <button
                type="button"
                on:focus=move |_| explanations.focused.set(Some(leaf))
                on:blur=move |_| leave_focus()
                on:click=move |_| explanations.focused.set(Some(leaf))
            >
                <span class="subject">{move || sentence().0}</span>
                " "
                <span class="odds">{move || sentence().1}</span>
                <Scale reading />
            </button>
            <p class="sentence">{move || own.attribute(verdict.get().side).explanation.as_str()}</p>
            {move || {
                let is_guess = reading.with(|reading| !reading.taught);
                is_guess.then(|| view! {
                    <p class="guess">"The model was never taught this: the number is a guess."</p>
                })
            }}
        </li>
    }
}

/// The probability with its range on a scale from the negative to the positive side.
#[component]
fn Scale(reading: RwSignal<LeafReading>) -> impl IntoView {
    let percent = move |number: f64| format!("{:.1}%", 100.0 * number.clamp(0.0, 1.0));
    let low = move || reading.with(|reading| (reading.probability - reading.probability_error).max(0.0));
    let high = move || reading.with(|reading| (reading.probability + reading.probability_error).min(1.0));
    view! {
        <span class="scale" aria-hidden="true">
            <span class="range" style:left=move || percent(low()) style:width=move || percent(high() - low())></span>
            <span class="mark" style:left=move || percent(reading.with(|reading| reading.probability))></span>
        </span>
    }
}
