//! The page where one paints.

mod controls;
mod easels;
mod progress;

use super::{caption::CaptionBuilder, explanation, form::Form, painting::Painting};
use leptos::{html::Section, prelude::*};

#[component]
pub fn PaintPage() -> impl IntoView {
    let painting: Painting = expect_context();
    let form: Form = expect_context();
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        painting.start();
    };
    let wall = NodeRef::<Section>::new();
    Effect::new(move |_| {
        if painting.job.get().is_some() {
            show(wall);
        }
    });
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
            <section node_ref=wall class="wall" aria-label="Pictures">
                <easels::Easels />
                <explanation::PaintedExplanations />
            </section>
        </div>
    }
}

/// Brings the pictures into view where they lie below the form: on a telephone.
fn show(wall: NodeRef<Section>) {
    let height = window().inner_height().ok().and_then(|height| height.as_f64());
    if let (Some(wall), Some(height)) = (wall.get_untracked(), height)
        && wall.get_bounding_client_rect().top() > 0.7 * height
    {
        wall.scroll_into_view();
    }
}
