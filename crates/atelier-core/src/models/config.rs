//! What the configurations of all models share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConfigError;
use crate::json;

/// The configuration of a model, read from and written to a `config.json`.
///
/// Keys that this implementation does not use are kept and written back.
pub trait ModelConfig: Serialize + DeserializeOwned {
    /// The class in diffusers or transformers.
    const CLASS: &'static str;

    /// The keys by which diffusers or transformers recognise the class.
    fn identity() -> Map<String, Value>;

    /// Reads the text of a `config.json`. A `null` is no value, as in Python: false where a truth value is wanted, otherwise the
    /// default; keys that `_use_default_values` lists have their defaults, too.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Json`] for what is not a JSON object, and [`ConfigError::Value`] for values of the wrong type.
    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let keys =
            json::from_slice(json).map_err(|source| ConfigError::Json { class: Self::CLASS, source })?;
        from_keys(keys)
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

/// What [`ModelConfig::from_json`] makes of the keys in a file.
pub(super) fn from_keys<C: ModelConfig>(mut keys: Map<String, Value>) -> Result<C, ConfigError> {
    if let Some(Value::Array(defaults)) = keys.get("_use_default_values").cloned() {
        keys.retain(|key, _| !defaults.iter().any(|default| default == key));
    }
    settle_nulls::<C>(&mut keys);
    serde_json::from_value(Value::Object(keys.clone())).map_err(|source| match wrong_value::<C>(&keys) {
        Some(error) => error,
        None => ConfigError::Json { class: C::CLASS, source },
    })
}

/// Whether `C` can be read of one key alone.
fn reads<C: ModelConfig>(key: &str, value: Value) -> Result<(), serde_json::Error> {
    let alone = Map::from_iter([(key.to_owned(), value)]);
    serde_json::from_value::<C>(Value::Object(alone)).map(|_| ())
}

/// Takes out every null that `C` does not take for a value of its own.
fn settle_nulls<C: ModelConfig>(keys: &mut Map<String, Value>) {
    let nulls: Vec<String> =
        keys.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect();
    for key in nulls {
        if reads::<C>(&key, Value::Null).is_ok() {
            continue;
        }
        if reads::<C>(&key, Value::Bool(false)).is_ok() {
            keys.insert(key, Value::Bool(false));
        } else {
            keys.remove(&key);
        }
    }
}

/// The first key whose value `C` cannot take.
fn wrong_value<C: ModelConfig>(keys: &Map<String, Value>) -> Option<ConfigError> {
    keys.iter().find_map(|(key, value)| {
        let problem = reads::<C>(key, value.clone()).err()?.to_string();
        Some(ConfigError::Value { class: C::CLASS, key: key.clone(), value: value.to_string(), problem })
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::autoencoder_tiny::AutoencoderTinyConfig;
    use super::super::clip_text::CLIPTextConfig;
    use super::super::transformer_sd3::SD3Transformer2DModelConfig;
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
    fn misspelt_keys_are_named() {
        let error = unet_error(r#"{"block_out_chanels": [32, 64], "_name_or_path": "sd"}"#);
        assert!(error.starts_with("UNet2DConditionModel has no `block_out_chanels`"), "{error}");
        assert!(error.contains("but `block_out_channels`"), "{error}");
        assert!(unet_error(r#"{"only_cross_atention": true}"#).contains("but `only_cross_attention`"));
    }

    #[test]
    fn what_has_no_effect_is_taken_as_diffusers_takes_it() {
        for json in [
            r#"{"comment": "trained by me", "_name_or_path": "x", "model_type": "base"}"#,
            r#"{"only_cross_attention": [false, false, false, false], "conv_in_kernel": 3.0}"#,
            r#"{"upcast_attention": null, "use_linear_projection": null, "resnet_out_scale_factor": null}"#,
            r#"{"_use_default_values": ["dropout", "class_embed_type"], "class_embed_type": "timestep"}"#,
        ] {
            let config = UNet2DConditionModelConfig::from_json(json.as_bytes()).unwrap();
            assert!(config.init(&Device::flex()).is_ok(), "{json}");
        }
        assert!(unet_error(r#"{"only_cross_attention": [false, true]}"#).contains("[false,true]"));
        assert!(unet_error(r#"{"quantization_config": {"bits": 4}}"#).contains("`quantization_config`"));
    }

    #[test]
    fn a_null_is_no_value() {
        let json =
            br#"{"flip_sin_to_cos": null, "layers_per_block": null, "sample_size": null, "act_fn": null}"#;
        let config = UNet2DConditionModelConfig::from_json(json).unwrap();
        let default = UNet2DConditionModelConfig::default();
        assert_eq!(config, UNet2DConditionModelConfig { flip_sin_to_cos: false, ..default });
        // As many as come in, and not the default.
        let sd3 = SD3Transformer2DModelConfig::from_json(br#"{"out_channels": null}"#).unwrap();
        assert_eq!(sd3.out_channels, None);
    }

    #[test]
    fn values_of_the_wrong_type_are_named() {
        for (json, expected) in [
            (r#"{"in_channels": -4}"#, "`in_channels` = -4"),
            (r#"{"in_channels": "four"}"#, "`in_channels` = \"four\""),
            (r#"{"layers_per_block": [1, null]}"#, "`layers_per_block` = [1,null]"),
        ] {
            let error = UNet2DConditionModelConfig::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(UNet2DConditionModelConfig::from_json(b"[]").is_err());
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
