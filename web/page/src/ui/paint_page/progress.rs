//! How far the painting is.

use super::super::painting::{Painting, Phase};
use crate::logic::figures;
use leptos::prelude::*;

#[component]
pub fn Progress() -> impl IntoView {
    let painting: Painting = expect_context();
    let phase = painting.phase;
    let is_painting = move || phase.with(|phase| matches!(phase, Phase::Paint { .. }));
    let bar = Memo::new(move |_| match phase.get() {
        Phase::Waiting => (0, 1),
        Phase::Download { received, total, .. } => (received, total.max(1)),
        Phase::Paint { steps, .. } => (u64::from(steps.done()), u64::from(steps.total().max(1))),
    });
    let width = move || {
        let (value, limit) = bar.get();
        format!("{:.2}%", 100.0 * value as f64 / limit as f64)
    };
    view! {
        <div class="progress" hidden=move || painting.job.with(Option::is_none)>
            <div
                id="progress"
                role="progressbar"
                aria-label="Progress of the painting"
                aria-valuemin="0"
                aria-valuenow=move || bar.get().0.to_string()
                aria-valuemax=move || bar.get().1.to_string()
                aria-valuetext=move || phase.with(sentence)
                data-phase=move || if is_painting() { "paint" } else { "download" }
            >
                <div class="bar" style:width=width></div>
            </div>
            <p class="hint">{move || phase.with(sentence)}</p>
        </div>
    }
}

fn sentence(phase: &Phase) -> String {
    match *phase {
        Phase::Waiting => "Preparing …".to_owned(),
        Phase::Download { received, total, is_stored } => {
            let megabytes = figures::megabytes(received, total);
            if is_stored {
                format!("Reading the models kept in this browser: {megabytes}")
            } else {
                format!("Downloading the models, once: {megabytes}")
            }
        }
        Phase::Paint { steps, rate, seconds } => {
            let mut parts = Vec::new();
            if steps.pictures > 1 {
                let picture = (steps.finished + 1).min(steps.pictures);
                parts.push(format!("picture {picture} of {}", steps.pictures));
            }
            parts.push(format!("step {} of {}", steps.step, steps.steps));
            parts.extend(rate.map(speed));
            parts.extend(seconds.map(|seconds| format!("{} left", figures::duration(seconds))));
            figures::capitalised(&parts.join(" · "))
        }
    }
}

fn speed(rate: f64) -> String {
    if rate >= 1.0 { format!("{rate:.1} steps/s") } else { format!("{:.1} s/step", 1.0 / rate) }
}
