//! Files in memory, under an address.

use js_sys::{Array, Uint8Array};
use std::sync::Arc;
use web_sys::{Blob, BlobPropertyBag, Url};

/// The address of a PNG file in memory, which is freed with the last copy of the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobUrl(Arc<Owned>);

#[derive(Debug, PartialEq, Eq)]
struct Owned(String);

impl Drop for Owned {
    fn drop(&mut self) {
        // It fails for no address that was made here.
        let _ = Url::revoke_object_url(&self.0);
    }
}

impl BlobUrl {
    /// The address of a copy of `png`. Empty if the browser has no memory for it.
    pub fn of_png(png: &[u8]) -> Self {
        let options = BlobPropertyBag::new();
        options.set_type("image/png");
        let parts = Array::of1(&Uint8Array::from(png));
        let url = Blob::new_with_u8_array_sequence_and_options(&parts, &options)
            .and_then(|blob| Url::create_object_url_with_blob(&blob));
        Self(Arc::new(Owned(url.unwrap_or_default())))
    }

    pub fn get(&self) -> String {
        self.0.0.clone()
    }
}
