//! The page where one paints.

mod controls;
mod easels;
mod progress;

use super::{caption::CaptionBuilder, explanation, form::Form, painting::Painting};
use leptos::prelude::*;

#[component]
pub fn PaintPage() -> impl IntoView {
    let painting: Painting = expect_context();
    let form: Form = expect_context();
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        painting.start();
    };
    view! {
        <div class="workshop">
            <form class="order" aria-label="What to paint" novalidate on:submit=submit>
                <p id="link-notice" class="notice" hidden=move || !form.is_from_link.get()>
                    {move || {
                        form.is_from_link.get().then_some("This comes from a link: press Paint for the same picture.")
                    }}
                </p>
                <controls::ModelChoice />
                <CaptionBuilder />
                <controls::Seed />
                <controls::Advanced />
                <div class="foot">
                    <controls::Buttons />
                    <progress::Progress />
                </div>
            </form>
            <section class="wall" aria-label="Pictures">
                <easels::Easels />
                <explanation::PaintedExplanations />
            </section>
        </div>
    }
}
