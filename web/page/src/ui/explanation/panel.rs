//! The explanations of pictures that are looked at together.

use super::{
    ask::AskLeaf,
    changes::Changes,
    list::{LeafList, LeafTree},
    radar::Radar,
    state::{Explanation, Explanations, Place, Stage},
};
use crate::{
    logic::{figures, verdict::Verdict},
    ui::canvas::LeafMap,
};
use atelier_criteria::CriteriaTree;
use leptos::prelude::*;

/// Explanations of painted pictures.
#[component]
pub fn PaintedExplanations() -> impl IntoView {
    let explanations: Explanations = expect_context();
    let place = Memo::new(move |_| explanations.open_place().filter(|place| *place != Place::Uploaded));
    move || place.get().map(|place| view! { <Panel place /> })
}

/// The explanation of the uploaded picture.
#[component]
pub fn UploadedExplanation() -> impl IntoView {
    let explanations: Explanations = expect_context();
    let is_there = Memo::new(move |_| !explanations.at(Place::Uploaded).is_empty());
    move || is_there.get().then(|| view! { <Panel place=Place::Uploaded /> })
}

#[component]
fn Panel(place: Place) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let by_dimension = RwSignal::new(false);
    let all = move || explanations.at(place);
    view! {
        <section class="explanations" aria-label="What the model sees">
            <header>
                <h2>"What the model sees"</h2>
                <p class="hint">
                    "Point at a line, or tap it, to see where it is read: "
                    <span class="warm">"warm"</span>
                    " where the good side shows, "
                    <span class="blue">"blue"</span>
                    " where the bad one does."
                </p>
            </header>
            <Radar place />
            <div class="tools">
                <AskLeaf place />
                <div class="segments" role="group" aria-label="Order">
                    <button type="button" aria-pressed=move || (!by_dimension.get()).to_string() on:click=move |_| by_dimension.set(false)>
                        "Most decisive first"
                    </button>
                    <button type="button" aria-pressed=move || by_dimension.get().to_string() on:click=move |_| by_dimension.set(true)>
                        "By dimension"
                    </button>
                </div>
            </div>
            <div class="columns">
                <For each=all key=|explanation| explanation.id let:explanation>
                    <Section explanation by_dimension />
                </For>
            </div>
            <Changes place />
        </section>
    }
}

/// One picture with what is read in it.
#[component]
fn Section(explanation: Explanation, by_dimension: RwSignal<bool>) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let (subject, stage) = (explanation.subject.clone(), explanation.stage.clone());
    let shown = {
        let explanation = explanation.clone();
        Memo::new(move |_| explanations.shown().filter(|leaf| explanation.reading(*leaf).is_some()))
    };
    let map = {
        let explanation = explanation.clone();
        move || {
            shown
                .get()
                .and_then(|leaf| explanation.reading(leaf))
                .map(|reading| view! { <LeafMap reading /> })
        }
    };
    let legend =
        {
            let explanation = explanation.clone();
            move || {
                let leaf = shown.get()?;
                let reading = explanation.reading(leaf)?;
                let leaf = &CriteriaTree::embedded().leaves()[leaf];
                Some(reading.with(|reading| {
                    Verdict::of(reading.probability).sentence(leaf, reading.probability_error)
                }))
            }
        };
    let is_done = {
        let explanation = explanation.clone();
        move || explanation.is_done().to_string()
    };
    let list = {
        let explanation = explanation.clone();
        move || {
            let explanation = explanation.clone();
            if by_dimension.get() {
                view! { <LeafTree explanation /> }.into_any()
            } else {
                view! { <LeafList explanation /> }.into_any()
            }
        }
    };
    view! {
        <section class="explanation" data-model=subject.key() data-done=is_done aria-label=subject.name.clone()>
            <div class="viewer">
                <h3>{subject.name.clone()}</h3>
                <div class="plate">
                    <img src=subject.url.get() alt="The picture that is explained" />
                    {map}
                </div>
                <p class="legend">{legend}</p>
                <StageLine stage explanation=explanation.clone() />
            </div>
            {list}
        </section>
    }
}

/// How far it is, and what can be done about it.
#[component]
fn StageLine(stage: ArcRwSignal<Stage>, explanation: Explanation) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let now = Memo::new(move |_| stage.get());
    let sentence = move || match now.get() {
        Stage::Waiting | Stage::Reading(_, 0) => "Waiting …".to_owned(),
        Stage::Download(received, total) => {
            format!("Downloading the model: {}", figures::megabytes(received, total))
        }
        Stage::Reading(done, total) => {
            format!("Reading … {:.0} %", 100.0 * f64::from(done) / f64::from(total))
        }
        Stage::Done => "Everything is read.".to_owned(),
        Stage::Stopped => "Stopped.".to_owned(),
    };
    let action = move || {
        let explanation = explanation.clone();
        match now.get() {
            Stage::Done => None,
            Stage::Stopped => {
                let go_on = move |_| explanations.explain(explanation.subject.clone());
                Some(view! { <button class="quiet" type="button" on:click=go_on>"Go on"</button> }.into_any())
            }
            _ => {
                let stop = move |_| explanations.stop(&explanation);
                Some(view! { <button class="quiet" type="button" on:click=stop>"Stop"</button> }.into_any())
            }
        }
    };
    let is_working = move || !matches!(now.get(), Stage::Done | Stage::Stopped);
    view! {
        <p class="stage hint"><span>{sentence}</span> {
            let kind = Memo::new(move |_| (is_working(), now.get() == Stage::Stopped));
            move || {
                kind.get();
                untrack(&action)
            }
        }</p>
    }
}
