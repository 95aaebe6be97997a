//! The browser's storage for downloaded models: one of its caches, which the page's service worker leaves alone.

use super::{failure::thrown, link::scope};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Response};

/// The name of the cache.
const NAME: &str = "atelier-models";

/// The open cache.
#[derive(Debug, Clone)]
pub struct Storage {
    cache: Cache,
}

impl Storage {
    /// # Errors
    /// Why the browser has no storage, in one sentence: it is switched off, or the page did not come over HTTPS.
    pub async fn open() -> Result<Self, String> {
        let caches = scope().caches().map_err(|error| refused(&error))?;
        let cache = JsFuture::from(caches.open(NAME)).await.map_err(|error| refused(&error))?;
        Ok(Self { cache: cache.unchecked_into() })
    }

    /// The bytes under `key`, a URL relative to the page.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let response = JsFuture::from(self.cache.match_with_str(key)).await.ok()?;
        let response: Response = response.dyn_into().ok()?;
        let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
        Some(Uint8Array::new(&buffer).to_vec())
    }

    /// Keeps `bytes` under `key`, and no other version of the same file.
    ///
    /// # Errors
    /// Why they are not kept, in one sentence.
    pub async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), String> {
        let mut copy = bytes.to_vec();
        let response = Response::new_with_opt_u8_array(Some(&mut copy)).map_err(|error| refused(&error))?;
        self.delete(key).await;
        JsFuture::from(self.cache.put_with_str(key, &response)).await.map_err(|error| refused(&error))?;
        Ok(())
    }

    /// Forgets all versions of the file under `key`.
    pub async fn delete(&self, key: &str) {
        let options = web_sys::CacheQueryOptions::new();
        options.set_ignore_search(true);
        // What is not there is deleted.
        let _ = JsFuture::from(self.cache.delete_with_str_and_options(key, &options)).await;
    }
}

/// Deletes everything that is stored.
pub async fn clear() {
    if let Ok(caches) = scope().caches() {
        let _ = JsFuture::from(caches.delete(NAME)).await;
    }
}

fn refused(error: &JsValue) -> String {
    format!(
        "The browser does not keep the models ({}), so the next visit downloads them again.",
        thrown(error)
    )
}
