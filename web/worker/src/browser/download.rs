//! Files of the models: from the browser's storage, or from where the page came from.

use super::{
    failure::{Failure, thrown},
    link::scope,
    manifest::FileEntry,
    storage::Storage,
};
use js_sys::{Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

const MANIFEST: &str = "models/manifest.json";

/// Where a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The browser's storage.
    Storage,
    /// The server that the page came from.
    Network,
}

/// The newest manifest; without a network, the stored one.
///
/// # Errors
/// [`Failure::Download`] if there is neither.
pub async fn manifest() -> Result<Vec<u8>, Failure> {
    let storage = Storage::open().await.ok();
    match fetch(MANIFEST, &mut |_| ()).await {
        Ok(bytes) => {
            if let Some(storage) = storage {
                // What is not kept is downloaded again next time.
                let _ = storage.put(MANIFEST, &bytes).await;
            }
            Ok(bytes)
        }
        Err(failure) => match storage {
            Some(storage) => storage.get(MANIFEST).await.ok_or(failure),
            None => Err(failure),
        },
    }
}

/// The file at `path` below `models/`, checked against its `entry`, from `storage` if that is open and has it; `on_bytes` is told of every part that arrives, and
/// `on_refused` why the storage did not keep it.
///
/// # Errors
/// [`Failure`] names the file.
pub async fn file(
    path: &str,
    entry: &FileEntry,
    storage: &Result<Storage, String>,
    on_bytes: &mut dyn FnMut(u64, Origin),
    on_refused: &mut dyn FnMut(String),
) -> Result<Vec<u8>, Failure> {
    let url = format!("models/{path}");
    // The hash is part of the name, so that a new version of a file is another file.
    let key = format!("{url}?sha256={}", entry.sha256);
    if let Ok(storage) = storage {
        match storage.get(&key).await {
            Some(bytes) if is_intact(&bytes, entry) => {
                on_bytes(entry.bytes, Origin::Storage);
                return Ok(bytes);
            }
            Some(_) => storage.delete(&key).await,
            None => {}
        }
    }
    // The key is the address too: no cache between here and the server has another version under it.
    let bytes = fetch(&key, &mut |count| on_bytes(count, Origin::Network)).await?;
    if !is_intact(&bytes, entry) {
        return Err(Failure::Damaged { path: url, found: bytes.len(), expected: entry.bytes });
    }
    let kept = match storage {
        Ok(storage) => storage.put(&key, &bytes).await,
        Err(reason) => Err(reason.clone()),
    };
    if let Err(reason) = kept {
        on_refused(reason);
    }
    Ok(bytes)
}

fn is_intact(bytes: &[u8], entry: &FileEntry) -> bool {
    let digest = Sha256::digest(bytes);
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.len() as u64 == entry.bytes && hexadecimal == entry.sha256
}

/// Downloads `url`, relative to the page.
async fn fetch(url: &str, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, Failure> {
    let path = url.split('?').next().unwrap_or(url);
    let failed = |reason: String| Failure::Download { path: path.to_owned(), reason };
    let response = JsFuture::from(scope().fetch_with_str(url))
        .await
        .map_err(|error| failed(format!("{}; is there a network?", thrown(&error))))?;
    let response: Response = response.unchecked_into();
    if !response.ok() {
        return Err(failed(format!("the server answered {} {}", response.status(), response.status_text())));
    }
    let Some(body) = response.body() else { return Ok(Vec::new()) };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let part = JsFuture::from(reader.read())
            .await
            .map_err(|error| failed(format!("the connection ended ({}); paint again", thrown(&error))))?;
        let property = |key: &str| Reflect::get(&part, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if property("done").is_truthy() {
            return Ok(bytes);
        }
        let part: Uint8Array = property("value").unchecked_into();
        let start = bytes.len();
        bytes.resize(start + part.length() as usize, 0);
        part.copy_to(&mut bytes[start..]);
        on_bytes(u64::from(part.length()));
    }
}
