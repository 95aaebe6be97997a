//! What the configurations of all models share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConfigError;

/// The configuration of a model, read from and written to a `config.json`.
///
/// Keys that this implementation does not use are kept and written back.
pub trait ModelConfig: Serialize + DeserializeOwned {
    /// The class in diffusers or transformers.
    const CLASS: &'static str;

    /// The keys by which diffusers or transformers recognise the class.
    fn identity() -> Map<String, Value>;

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Json`] for what is not JSON, and for values of the wrong type.
    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        serde_json::from_slice(json).map_err(|source| ConfigError::Json { class: Self::CLASS, source })
    }

    /// The text of a `config.json`: indented, keys sorted, as diffusers writes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Json`] for numbers that JSON cannot hold (NaN, infinities).
    fn to_json(&self) -> Result<String, ConfigError> {
        let failed = |source| ConfigError::Json { class: Self::CLASS, source };
        let mut keys = Self::identity();
        if let Value::Object(own) = serde_json::to_value(self).map_err(failed)? {
            keys.extend(own);
        }
        let mut text = serde_json::to_string_pretty(&Value::Object(keys)).map_err(failed)?;
        text.push('\n');
        Ok(text)
    }
}

/// Identity keys of a diffusers model.
pub(super) fn diffusers_identity(class: &str) -> Map<String, Value> {
    [("_class_name", class), ("_diffusers_version", "0.42.1")]
        .map(|(key, value)| (key.to_owned(), value.into()))
        .into_iter()
        .collect()
}

/// A value for all blocks, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// The same value for every block.
    One(T),
    /// One value for each block, from the first (highest resolution) to the last.
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    /// One value for each of `count` blocks.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Inconsistent`] for a list of another length; `class` and `key` say where it stands.
    pub fn expand(
        &self,
        count: usize,
        class: &'static str,
        key: &'static str,
    ) -> Result<Vec<T>, ConfigError> {
        match self {
            Self::One(value) => Ok(vec![value.clone(); count]),
            Self::Many(values) if values.len() == count => Ok(values.clone()),
            Self::Many(values) => Err(ConfigError::Inconsistent {
                class,
                key,
                problem: format!("has {} values, but there are {count} blocks", values.len()),
            }),
        }
    }
}

/// Refuses keys that would change the model in a way that is not implemented.
///
/// `neutral` pairs a key with the values (as JSON) under which it has no effect.
pub(super) fn refuse_unless_neutral(
    class: &'static str,
    keys: &Map<String, Value>,
    neutral: &[(&str, &[&str])],
) -> Result<(), ConfigError> {
    for (key, accepted) in neutral {
        let Some(value) = keys.get(*key).map(Value::to_string) else { continue };
        if !accepted.contains(&value.as_str()) {
            let supported = accepted.join(", ");
            return Err(ConfigError::Unsupported { class, key: (*key).to_owned(), value, supported });
        }
    }
    Ok(())
}

/// Refuses a value that is not positive and divisible by `divisor`.
pub(super) fn check_divisible(
    class: &'static str,
    key: &'static str,
    value: usize,
    divisor: usize,
    what: &str,
) -> Result<(), ConfigError> {
    if value > 0 && divisor > 0 && value.is_multiple_of(divisor) {
        return Ok(());
    }
    let problem = format!("has {value}, which is not a positive multiple of {divisor} ({what})");
    Err(ConfigError::Inconsistent { class, key, problem })
}
