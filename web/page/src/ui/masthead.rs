//! The head of the page: its name, the ways through it, the settings, and the device.

use super::{
    router::Router,
    settings::Settings,
    worker::{DeviceState, Worker},
};
use crate::logic::route::Page;
use atelier_web_messages::{DeviceKind, DeviceReport};
use leptos::prelude::*;

#[component]
pub fn Masthead() -> impl IntoView {
    let router: Router = expect_context();
    let entry = move |page: Page| {
        let current = move || (router.page.get() == page).then_some("page");
        view! { <li><a href=format!("#{}", page.key()) aria-current=current>{page.name()}</a></li> }
    };
    view! {
        <header class="masthead">
            <h1><a href="#paint">"Atelier"</a></h1>
            <nav aria-label="Pages"><ul>{Page::ALL.map(entry).to_vec()}</ul></nav>
            <Settings />
            <Device />
        </header>
    }
}

/// The sentence about the device.
#[component]
fn Device() -> impl IntoView {
    let worker: Worker = expect_context();
    let kind = move || {
        worker.device.with(|device| match device {
            DeviceState::Open(report) if report.kind == DeviceKind::WebGpu => "webgpu",
            DeviceState::Open(_) => "cpu",
            DeviceState::Opening | DeviceState::Stopped => "opening",
        })
    };
    let fallback = move || {
        worker.device.with(|device| match device {
            DeviceState::Open(report) if report.fallback.is_some() => Some("true"),
            _ => None,
        })
    };
    view! {
        <p id="device" data-kind=kind data-fallback=fallback>{move || worker.device.with(sentence)}</p>
    }
}

fn sentence(device: &DeviceState) -> String {
    match device {
        DeviceState::Opening => "Looking for a device to paint on …".to_owned(),
        DeviceState::Stopped => "The painter has stopped; the next action starts it again.".to_owned(),
        DeviceState::Open(DeviceReport { fallback: Some(reason), .. }) => reason.clone(),
        DeviceState::Open(DeviceReport { kind: DeviceKind::WebGpu, name, .. }) => {
            format!("Painting on WebGPU ({name}).")
        }
        DeviceState::Open(DeviceReport { kind: DeviceKind::Cpu, name, .. }) => format!("Painting on {name}."),
    }
}
