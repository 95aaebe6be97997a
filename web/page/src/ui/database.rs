//! The gallery's pictures in IndexedDB.

use atelier_web_messages::Model;
use idb::{
    Database, DatabaseEvent, Error, Factory, ObjectStoreParams, Query, TransactionMode, TransactionResult,
};
use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

const NAME: &str = "atelier";
const STORE: &str = "pictures";

/// A picture to keep.
#[derive(Debug, Clone)]
pub struct Record {
    pub png: Vec<u8>,
    /// The query of the link that reproduces it.
    pub query: String,
    pub model: Model,
    /// When it was painted, in milliseconds since 1970.
    pub date: f64,
}

/// The keys of all pictures, the newest first.
pub async fn keys() -> Result<Vec<u32>, Error> {
    let database = open().await?;
    let store = database.transaction(&[STORE], TransactionMode::ReadOnly)?.object_store(STORE)?;
    let keys = store.get_all_keys(None, None)?.await?;
    database.close();
    let mut keys: Vec<u32> = keys.iter().filter_map(JsValue::as_f64).map(|key| key as u32).collect();
    keys.reverse();
    Ok(keys)
}

/// The picture with this key; none if it is gone, or was written by another version of the page.
pub async fn get(key: u32) -> Result<Option<Record>, Error> {
    let database = open().await?;
    let store = database.transaction(&[STORE], TransactionMode::ReadOnly)?.object_store(STORE)?;
    let record = store.get(Query::Key(key.into()))?.await?;
    database.close();
    Ok(record.as_ref().and_then(read))
}

pub async fn add(record: Record) -> Result<(), Error> {
    let record = write(&record);
    change(move |store| store.add(&record, None).map(drop)).await
}

pub async fn delete(key: u32) -> Result<(), Error> {
    change(move |store| store.delete(Query::Key(key.into())).map(drop)).await
}

pub async fn clear() -> Result<(), Error> {
    change(|store| store.clear().map(drop)).await
}

async fn open() -> Result<Database, Error> {
    let mut request = Factory::new()?.open(NAME, Some(1))?;
    request.on_upgrade_needed(|event| {
        let mut parameters = ObjectStoreParams::new();
        parameters.auto_increment(true);
        // If it fails, so does the transaction that asks for the store.
        let _ = event.database().and_then(|database| database.create_object_store(STORE, parameters));
    });
    request.await
}

/// Changes the store; done once it is on the disk.
async fn change(change: impl FnOnce(&idb::ObjectStore) -> Result<(), Error>) -> Result<(), Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    change(&transaction.object_store(STORE)?)?;
    let result = transaction.await;
    database.close();
    match result? {
        TransactionResult::Committed => Ok(()),
        TransactionResult::Aborted => Err(Error::AddFailed("the browser has no room for it".into())),
    }
}

fn write(record: &Record) -> JsValue {
    let object = Object::new();
    let fields: [(&str, JsValue); 4] = [
        ("png", Uint8Array::from(record.png.as_slice()).into()),
        ("query", record.query.as_str().into()),
        ("model", record.model.key().into()),
        ("date", record.date.into()),
    ];
    for (key, value) in fields {
        // A new object takes every property.
        let _ = Reflect::set(&object, &key.into(), &value);
    }
    object.into()
}

fn read(value: &JsValue) -> Option<Record> {
    let field = |key: &str| Reflect::get(value, &key.into()).ok();
    let model = field("model")?.as_string()?;
    Some(Record {
        png: Uint8Array::new(&field("png")?).to_vec(),
        query: field("query")?.as_string()?,
        model: [Model::Base, Model::Aligned].into_iter().find(|one| one.key() == model)?,
        date: field("date")?.as_f64()?,
    })
}
