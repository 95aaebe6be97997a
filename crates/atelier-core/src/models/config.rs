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

/// Refuses keys of a diffusers model that would change it in a way that is not implemented, and keys that nobody knows.
///
/// `neutral` pairs a key with the values (as JSON) under which it has no effect; those `without_effect` have none under any.
pub(super) fn check_other_keys(
    class: &'static str,
    keys: &Map<String, Value>,
    neutral: &[(&str, &[&str])],
    without_effect: &[&str],
) -> Result<(), ConfigError> {
    for (key, value) in keys {
        match neutral.iter().find(|(known, _)| known == key) {
            Some((_, accepted)) if accepted.contains(&value.to_string().as_str()) => {}
            Some((_, accepted)) => {
                return Err(ConfigError::Unsupported {
                    class,
                    key: key.clone(),
                    value: value.to_string(),
                    supported: accepted.join(", "),
                });
            }
            // diffusers' own notes begin with an underscore.
            None if key.starts_with('_') || without_effect.contains(&key.as_str()) => {}
            None => return Err(ConfigError::Unknown { class, key: key.clone() }),
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::autoencoder_tiny::AutoencoderTinyConfig;
    use super::super::clip_text::CLIPTextConfig;
    use super::super::unet_2d_condition::UNet2DConditionModelConfig;
    use super::*;

    #[test]
    fn an_empty_configuration_is_the_default() {
        assert_eq!(UNet2DConditionModelConfig::from_json(b"{}").unwrap(), Default::default());
        assert_eq!(AutoencoderTinyConfig::from_json(b"{}").unwrap(), Default::default());
        assert_eq!(CLIPTextConfig::from_json(b"{}").unwrap(), Default::default());
    }

    #[test]
    fn unknown_keys_are_written_back() {
        let config = CLIPTextConfig::from_json(br#"{"hidden_size": 64, "bos_token_id": 7}"#).unwrap();
        let written: Value = serde_json::from_str(&config.to_json().unwrap()).unwrap();
        assert_eq!((&written["hidden_size"], &written["bos_token_id"]), (&64.into(), &7.into()));
        assert_eq!(written["architectures"][0], "CLIPTextModel");
    }

    fn unet_error(json: &str) -> String {
        let config = UNet2DConditionModelConfig::from_json(json.as_bytes()).unwrap();
        config.init(&Device::flex()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = unet_error(r#"{"class_embed_type": "timestep"}"#);
        assert_eq!(
            error,
            "UNet2DConditionModel does not support `class_embed_type` = \"timestep\"; supported: null"
        );
        assert!(unet_error(r#"{"downsample_padding": 2}"#).contains("`downsample_padding` = 2"));
    }

    #[test]
    fn keys_that_nobody_knows_are_named() {
        let error = unet_error(r#"{"block_out_chanels": [32, 64], "_name_or_path": "sd"}"#);
        assert!(error.starts_with("UNet2DConditionModel has no `block_out_chanels`"), "{error}");
    }

    #[test]
    fn contradictions_are_named() {
        assert!(unet_error(r#"{"block_out_channels": [32]}"#).contains("`down_block_types` has 4 values"));
        assert!(
            unet_error(r#"{"attention_head_dim": [8, 8]}"#).contains("`attention_head_dim` has 2 values")
        );
        assert!(unet_error(r#"{"norm_num_groups": 0}"#).contains("`norm_num_groups`"));
        assert!(unet_error(r#"{"attention_head_dim": 7}"#).contains("multiple of 7"));
    }

    #[test]
    fn unknown_block_types_are_named() {
        let json = br#"{"down_block_types": ["AttnDownBlock2D"]}"#;
        let error = UNet2DConditionModelConfig::from_json(json).unwrap_err().to_string();
        assert!(error.contains("`AttnDownBlock2D`") && error.contains("`CrossAttnDownBlock2D`"), "{error}");
    }

    #[test]
    fn levels_of_an_autoencoder_share_their_channels() {
        let json = br#"{"encoder_block_out_channels": [32, 64], "num_encoder_blocks": [1, 1]}"#;
        let config = AutoencoderTinyConfig::from_json(json).unwrap();
        let error = config.init(&Device::flex()).unwrap_err().to_string();
        assert!(error.contains("`encoder_block_out_channels` must hold one positive number"), "{error}");
    }
}
