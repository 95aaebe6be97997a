//! Earlier pictures, which the browser keeps.

use super::{
    alert::Notices,
    blob::BlobUrl,
    database::{self, Record},
    painting::Picture,
};
use atelier_web_messages::Model;
use leptos::prelude::*;

/// A picture of the gallery.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: u32,
    pub url: BlobUrl,
    /// The query of the link that reproduces it.
    pub query: String,
    pub model: Model,
    /// When it was painted, in milliseconds since 1970.
    pub date: f64,
}

#[derive(Clone, Copy)]
pub struct Gallery {
    /// Counts changes.
    version: RwSignal<u32>,
    notices: Notices,
}

impl Gallery {
    pub fn provide(notices: Notices) -> Self {
        let gallery = Self { version: RwSignal::new(0), notices };
        provide_context(gallery);
        gallery
    }

    /// Whoever calls it in a memo or an effect follows all changes.
    pub fn version(self) -> u32 {
        self.version.get()
    }

    pub fn keep(self, picture: &Picture) {
        let record = Record {
            png: picture.png.clone(),
            query: picture.query(),
            model: picture.model,
            date: js_sys::Date::now(),
        };
        leptos::task::spawn_local(async move {
            self.changed(
                database::add(record).await,
                "The picture could not be kept in the gallery; download it, or delete earlier ones",
            );
        });
    }

    pub fn delete(self, key: u32) {
        leptos::task::spawn_local(async move {
            self.changed(database::delete(key).await, "The picture could not be deleted");
        });
    }

    pub fn clear(self) {
        leptos::task::spawn_local(async move {
            self.changed(database::clear().await, "The gallery could not be cleared");
        });
    }

    fn changed(self, result: Result<(), idb::Error>, problem: &str) {
        match result {
            Ok(()) => self.version.update(|version| *version += 1),
            Err(error) => self.notices.alert(format!("{problem} ({error}).")),
        }
    }

    /// The keys of all pictures, the newest first; none where the browser refuses to keep anything.
    pub async fn keys(self) -> Vec<u32> {
        database::keys().await.unwrap_or_else(|error| {
            self.notices.alert(format!("The gallery could not be opened ({error})."));
            Vec::new()
        })
    }

    pub async fn entry(self, key: u32) -> Option<Entry> {
        let Record { png, query, model, date } = database::get(key).await.ok()??;
        Some(Entry { key, url: BlobUrl::of_png(&png), query, model, date })
    }
}
