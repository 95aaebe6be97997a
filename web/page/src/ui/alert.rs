//! What went wrong, and what a screen reader says.

use leptos::prelude::*;

/// One message about an error, and one that is read out.
#[derive(Clone, Copy)]
pub struct Notices {
    error: RwSignal<Option<String>>,
    milestone: RwSignal<String>,
}

impl Notices {
    pub fn provide() -> Self {
        let notices = Self { error: RwSignal::new(None), milestone: RwSignal::new(String::new()) };
        provide_context(notices);
        notices
    }

    /// Shows what went wrong until it is dismissed.
    pub fn alert(self, message: impl Into<String>) {
        self.error.set(Some(message.into()));
    }

    /// Tells those who do not see the page what happened.
    pub fn say(self, milestone: impl Into<String>) {
        self.milestone.set(milestone.into());
    }

    pub fn dismiss(self) {
        self.error.set(None);
    }
}

#[component]
pub fn Alert() -> impl IntoView {
    let notices: Notices = expect_context();
    view! {
        <div id="alert" role="alert" hidden=move || notices.error.with(Option::is_none)>
            {move || {
                notices.error.get().map(|message| {
                    view! {
                        <p>{message}</p>
                        <button id="dismiss" type="button" on:click=move |_| notices.dismiss()>"Dismiss"</button>
                    }
                })
            }}
        </div>
        <p id="live" class="unseen" aria-live="polite">{move || notices.milestone.get()}</p>
    }
}
