//! How fast the device is.

use super::{alert::Notices, clipboard::CopyButton, worker::Worker};
use crate::logic::{bench, figures};
use atelier_web_messages::{Reply, Request};
use leptos::prelude::*;

#[component]
pub fn BenchPage() -> impl IntoView {
    let worker: Worker = expect_context();
    let notices: Notices = expect_context();
    let report = RwSignal::new(None::<String>);
    let status = RwSignal::new(None::<String>);
    let start = move |_| {
        report.set(None);
        status.set(Some("Measuring … this takes a minute or two.".to_owned()));
        let job = worker.next_job();
        worker.run(job, &Request::Benchmark { job }, move |reply| {
            // The page may have been left: then nobody waits for it.
            let _ = match reply {
                Reply::Download { received, total, .. } => status.try_set(Some(format!(
                    "Downloading the models: {}",
                    figures::megabytes(received, total)
                ))),
                Reply::Benchmark { report: figures, .. } => {
                    let navigator = window().navigator();
                    let agent = navigator.user_agent().unwrap_or_default();
                    let version = env!("CARGO_PKG_VERSION");
                    let text = bench::text(version, &agent, navigator.hardware_concurrency(), &figures);
                    notices.say("The benchmark is done.");
                    status.try_set(None);
                    report.try_set(Some(text)).map(|_| None)
                }
                Reply::Failed { message, .. } => {
                    notices.alert(message);
                    status.try_set(None)
                }
                Reply::Cancelled { .. } | Reply::Finished { .. } => status.try_set(None),
                _ => None,
            };
        });
    };
    view! {
        <div class="reading-room">
            <header class="lead">
                <h2>"Benchmark"</h2>
                <p>"How fast this device paints, on WebGPU and on the processor. The text below can be pasted into a bug report."</p>
                <button
                    id="run-benchmark"
                    class="primary"
                    type="button"
                    disabled=move || status.with(Option::is_some)
                    on:click=start
                >"Run the benchmark"</button>
                <p class="hint" role="status">{move || status.get()}</p>
            </header>
            <pre id="benchmark-report" hidden=move || report.with(Option::is_none)>{move || report.get()}</pre>
            <Show when=move || report.with(Option::is_some)>
                <CopyButton
                    label="Copy"
                    class="copy-report"
                    text=Callback::new(move |()| report.get_untracked().unwrap_or_default())
                />
            </Show>
        </div>
    }
}
