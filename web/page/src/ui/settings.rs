//! Settings: where to compute, and what is kept in this browser.

use super::{gallery::Gallery, worker::Worker};
use atelier_web_messages::{DeviceChoice, Request};
use gloo_storage::{LocalStorage, Storage};
use leptos::prelude::*;

/// The key in the local storage.
const DEVICE: &str = "atelier.device";

/// The word and the name of each choice.
const CHOICES: [(DeviceChoice, &str, &str); 3] = [
    (DeviceChoice::Auto, "auto", "WebGPU if there is any"),
    (DeviceChoice::WebGpu, "webgpu", "WebGPU"),
    (DeviceChoice::Cpu, "cpu", "The processor"),
];

/// The choice of the last visit.
pub fn saved_device() -> DeviceChoice {
    LocalStorage::get::<String>(DEVICE).map(|word| choice(&word)).unwrap_or_default()
}

fn choice(word: &str) -> DeviceChoice {
    CHOICES
        .into_iter()
        .find(|(_, key, _)| *key == word)
        .map_or_else(DeviceChoice::default, |(choice, ..)| choice)
}

#[component]
pub fn Settings() -> impl IntoView {
    let worker: Worker = expect_context();
    let gallery: Gallery = expect_context();
    let saved = saved_device();
    let choose = move |event| {
        let word = event_target_value(&event);
        // A browser that keeps nothing asks again at the next visit.
        let _ = LocalStorage::set(DEVICE, &word);
        worker.open(choice(&word));
    };
    let done = RwSignal::new("");
    Effect::new(move |_| {
        if worker.models_cleared.get() > 0 {
            done.set("The models are deleted; they are downloaded again when they are needed.");
        }
    });
    let options = CHOICES.map(|(choice, key, name)| {
        view! { <option value=key selected=choice == saved>{name}</option> }
    });
    view! {
        <details class="settings">
            <summary>"Settings"</summary>
            <div class="sheet">
                <label for="device-choice">"Compute on"</label>
                <select id="device-choice" on:change=choose>{options.to_vec()}</select>
                <p class="hint">"Models and pictures stay in this browser until you delete them."</p>
                <button id="clear-models" type="button" on:click=move |_| {
                    done.set("Deleting the models …");
                    worker.send(&Request::ClearModels);
                }>"Delete the downloaded models"</button>
                <button type="button" on:click=move |_| {
                    gallery.clear();
                    done.set("The gallery is empty.");
                }>"Delete all pictures of the gallery"</button>
                <p class="hint" role="status">{move || done.get()}</p>
            </div>
        </details>
    }
}
