//! The page that the address names.

use crate::logic::route::Page;
use leptos::{ev, prelude::*};

/// What stands in the address.
#[derive(Clone, Copy)]
pub struct Router {
    /// The page.
    pub page: Memo<Page>,
    /// The fragment, with its `#`.
    fragment: RwSignal<String>,
}

impl Router {
    pub fn provide() -> Self {
        let fragment = RwSignal::new(read());
        let handle = window_event_listener(ev::hashchange, move |_| {
            fragment.set(read());
            window().scroll_to_with_x_and_y(0.0, 0.0);
        });
        on_cleanup(move || handle.remove());
        let page = Memo::new(move |_| fragment.with(|fragment| Page::parse(fragment).0));
        Effect::new(move |_| document().set_title(&format!("{} · Atelier", page.get().name())));
        let router = Self { page, fragment };
        provide_context(router);
        router
    }

    /// The query of the painting page, if there is one.
    pub fn recipe(self) -> Option<String> {
        self.fragment.with(|fragment| match Page::parse(fragment) {
            (Page::Paint, query) => query.map(str::to_owned),
            _ => None,
        })
    }

    /// Goes to the painting page with `query`, even if it is there already.
    pub fn paint(self, query: &str) {
        let fragment = format!("#paint?{query}");
        if read() == fragment {
            self.fragment.set(fragment);
        } else {
            // Browsers refuse no fragment of their own page.
            let _ = window().location().set_hash(&fragment);
        }
    }
}

fn read() -> String {
    window().location().hash().unwrap_or_default()
}

/// The address of the painting page with `query`, for other people.
pub fn link(query: &str) -> String {
    let address = window().location().href().unwrap_or_default();
    let page = address.split('#').next().unwrap_or_default();
    format!("{page}#paint?{query}")
}
