//! The form's controls, except the caption.

use super::super::{form::Form, painting::Painting};
use atelier_web_messages::{Choice, Recipe, Sampler};
use leptos::prelude::*;
use std::str::FromStr;

/// Base, aligned or both.
#[component]
pub fn ModelChoice() -> impl IntoView {
    let form: Form = expect_context();
    let option = move |(choice, name): (Choice, &'static str)| {
        view! {
            <label>
                <input
                    type="radio"
                    name="model"
                    value=choice.key()
                    prop:checked=move || form.choice.get() == choice
                    on:change=move |_| form.choice.set(choice)
                />
                <span>{name}</span>
            </label>
        }
    };
    let options = [(Choice::Base, "Base"), (Choice::Aligned, "Aligned"), (Choice::Both, "Both")];
    view! {
        <fieldset class="models">
            <legend>"Who paints"</legend>
            <div class="segments">{options.map(option).to_vec()}</div>
            <p class="hint">
                {move || match form.choice.get() {
                    Choice::Base => "The painter before it learned the criteria.",
                    Choice::Aligned => "The painter after it learned the criteria.",
                    Choice::Both => "Before and after learning, from the same seed.",
                }}
            </p>
        </fieldset>
    }
}

/// A number of the form. What is out of range is moved into it once the field is left; an empty field leaves the number as it
/// was and shows it faintly.
#[component]
fn NumberField<T>(
    id: &'static str,
    label: &'static str,
    low: T,
    high: T,
    #[prop(optional, into)] step: Option<&'static str>,
    value: RwSignal<T>,
) -> impl IntoView
where
    T: Copy + PartialOrd + FromStr + ToString + Send + Sync + 'static,
{
    let read = move |event: &web_sys::Event| event_target_value(event).trim().parse::<T>().ok();
    let on_input = move |event: web_sys::Event| {
        if let Some(number) = read(&event).filter(|number| low <= *number && *number <= high) {
            value.set(number);
        }
    };
    let on_change = move |event: web_sys::Event| {
        let Some(number) = read(&event) else { return };
        let number = if number < low {
            low
        } else if number > high {
            high
        } else {
            number
        };
        value.set(number);
        // If the number was this one before, the field is not told.
        event_target::<web_sys::HtmlInputElement>(&event).set_value(&number.to_string());
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                id=id
                type="number"
                min=low.to_string()
                max=high.to_string()
                step=step.unwrap_or("1")
                placeholder=move || value.get().to_string()
                prop:value=move || value.get().to_string()
                on:input=on_input
                on:change=on_change
            />
        </div>
    }
}

/// The seed, with dice and lock.
#[component]
pub fn Seed() -> impl IntoView {
    let form: Form = expect_context();
    view! {
        <div class="seed">
            <NumberField id="seed" label="Seed" low=0 high={Recipe::SEEDS - 1} value=form.seed />
            <button
                id="dice"
                class="quiet"
                type="button"
                title="Another seed by chance"
                on:click=move |_| form.throw_dice()
            >"Throw dice"</button>
            <label class="check" title="Keep the seed after a painting">
                <input
                    id="lock"
                    type="checkbox"
                    prop:checked=move || form.locked.get()
                    on:change=move |event| form.locked.set(event_target_checked(&event))
                />
                "Keep"
            </label>
        </div>
    }
}

#[component]
pub fn Advanced() -> impl IntoView {
    let form: Form = expect_context();
    let (weakest, strongest) = Recipe::GUIDANCE.into_inner();
    let samplers = Sampler::ALL.map(|sampler| {
        let chosen = move || form.sampler.get() == sampler;
        view! { <option value=sampler.key() selected=chosen prop:selected=chosen>{sampler.name()}</option> }
    });
    let choose = move |event| {
        let key = event_target_value(&event);
        if let Some(sampler) = Sampler::ALL.into_iter().find(|sampler| sampler.key() == key) {
            form.sampler.set(sampler);
        }
    };
    view! {
        <details class="advanced">
            <summary>"Steps, guidance, sampler, count"</summary>
            <div class="fields">
                <NumberField id="steps" label="Steps" low=1 high=Recipe::MAX_STEPS value=form.steps />
                <NumberField id="guidance" label="Guidance" low=weakest high=strongest step="any" value=form.guidance />
                <div class="field">
                    <label for="sampler">"Sampler"</label>
                    <select id="sampler" on:change=choose>{samplers.to_vec()}</select>
                </div>
                <NumberField id="count" label="Pictures" low=1 high=Recipe::MAX_COUNT value=form.count />
            </div>
        </details>
    }
}

#[component]
pub fn Buttons() -> impl IntoView {
    let painting: Painting = expect_context();
    let is_busy = move || painting.job.with(Option::is_some);
    view! {
        <div class="buttons">
            <button id="paint" class="primary" type="submit" disabled=is_busy>"Paint"</button>
            <button id="cancel" type="button" hidden=move || !is_busy() on:click=move |_| painting.cancel()>"Cancel"</button>
        </div>
    }
}
