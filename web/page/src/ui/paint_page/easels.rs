//! The pictures, in work and finished.

use super::super::{
    canvas::Preview,
    clipboard::CopyButton,
    explanation::{Explanations, Subject},
    painting::{Easel, EaselState, Painting, Picture, model_name},
    router,
};
use leptos::{either::EitherOf3, prelude::*};
use std::sync::Arc;

/// One row for each seed.
#[component]
pub fn Easels() -> impl IntoView {
    let painting: Painting = expect_context();
    let rows = Memo::new(move |_| {
        painting.easels.with(|easels| {
            let mut rows: Vec<(u32, u32)> = easels.iter().map(|easel| (easel.job, easel.index)).collect();
            rows.dedup();
            rows
        })
    });
    view! {
        <Show when=move || rows.with(|rows| !rows.is_empty()) fallback=EmptyWall>
            <div class="rows">
                <For each=move || rows.get() key=|row| *row let:row>
                    <Row job=row.0 index=row.1 />
                </For>
            </div>
        </Show>
    }
}

/// What is there before the first picture: the same as in `index.html`.
#[component]
fn EmptyWall() -> impl IntoView {
    view! {
        <div class="empty-wall">
            <h2>"A small painter, taught by a teacher’s criteria"</h2>
            <p>
                "It paints in your browser, before and after its lessons, and shows what it sees in a picture: balanced composition, muddy colour, lifeless brushwork."
            </p>
            <div class="row pair" aria-hidden="true">
                <div class="plate"></div>
                <div class="plate"></div>
            </div>
        </div>
    }
}

/// The pictures of one seed: one, or base and aligned side by side.
#[component]
fn Row(job: u32, index: u32) -> impl IntoView {
    let painting: Painting = expect_context();
    let explanations: Explanations = expect_context();
    let easels = Memo::new(move |_| {
        let easels = painting.easels.get();
        SameSeed(easels.into_iter().filter(|easel| (easel.job, easel.index) == (job, index)).collect())
    });
    let finished = move || -> Vec<Arc<Picture>> {
        let picture = |easel: &Easel| match easel.state.get() {
            EaselState::Finished(picture) => Some(picture),
            _ => None,
        };
        easels.with(|easels| easels.0.iter().filter_map(picture).collect())
    };
    let explain_both = move |_| {
        for picture in untrack(finished) {
            explanations.explain(Subject::painted(job, index, &picture));
        }
    };
    view! {
        <div class="row" class:pair=move || easels.with(|easels| easels.0.len() > 1)>
            <For each=move || easels.get().0 key=|easel| easel.model let:easel>
                <Figure easel />
            </For>
            <Show when=move || finished().len() == 2>
                <p class="row-actions">
                    <button class="explain-both" type="button" on:click=explain_both>"Explain both"</button>
                    <span class="hint">"and see why alignment changed it"</span>
                </p>
            </Show>
        </div>
    }
}

/// Easels, which are the same if they are the same places.
#[derive(Clone)]
struct SameSeed(Vec<Easel>);

impl PartialEq for SameSeed {
    fn eq(&self, other: &Self) -> bool {
        let place = |easel: &Easel| (easel.job, easel.model, easel.index);
        self.0.iter().map(place).eq(other.0.iter().map(place))
    }
}

#[component]
fn Figure(easel: Easel) -> impl IntoView {
    let class = {
        let state = easel.state.clone();
        move || {
            state.with(|state| match state {
                EaselState::Waiting => "waiting",
                EaselState::InWork(..) => "painting",
                EaselState::Finished(_) => "picture",
            })
        }
    };
    let stage = {
        let class = class.clone();
        Memo::new(move |_| class())
    };
    let (model, seed, state) = (easel.model, easel.seed, easel.state.clone());
    let content = move || match stage.get() {
        "waiting" => EitherOf3::A(view! {
            <div class="plate"></div>
            <figcaption><strong>{model_name(model)}</strong> <span class="hint">"waits for its turn"</span></figcaption>
        }),
        "painting" => {
            let state = state.clone();
            let preview = Signal::derive(move || match state.get() {
                EaselState::InWork(step, pixels) => (step, Some(pixels)),
                _ => (0, None),
            });
            EitherOf3::B(view! {
                <div class="plate"><Preview state=preview /></div>
                <figcaption>
                    <strong>{model_name(model)}</strong>
                    <span class="hint">{move || format!("step {}", preview.with(|(step, _)| *step))}</span>
                </figcaption>
            })
        }
        _ => EitherOf3::C(match state.get_untracked() {
            EaselState::Finished(picture) => Some(view! { <Finished easel=easel.clone() picture /> }),
            _ => None,
        }),
    };
    view! { <figure class=class data-model=model.key() data-seed=seed.to_string()>{content}</figure> }
}

/// A finished picture with what can be done with it.
#[component]
fn Finished(easel: Easel, picture: Arc<Picture>) -> impl IntoView {
    let painting: Painting = expect_context();
    let explanations: Explanations = expect_context();
    let query = picture.query();
    let explain = {
        let (job, index, picture) = (easel.job, easel.index, picture.clone());
        move |_| explanations.explain(Subject::painted(job, index, &picture))
    };
    let name = model_name(picture.model);
    let description = format!("{}, painted by the {} model", picture.recipe.prompt, name.to_lowercase());
    view! {
        <div class="plate"><img src=picture.url.get() alt=description /></div>
        <figcaption>
            <strong>{name}</strong>
            <span class="hint">{format!("seed {}", picture.recipe.seed)}</span>
        </figcaption>
        <p class="actions">
            <button class="explain" type="button" on:click=explain>"Explain"</button>
            <a class="download" href=picture.url.get() download=picture.file_name()>"Download"</a>
            <CopyButton label="Copy link" class="copy-link" text=Callback::new(move |()| router::link(&query)) />
            <button class="delete" type="button" on:click=move |_| painting.remove(&easel)>"Remove"</button>
        </p>
    }
}
