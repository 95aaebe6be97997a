//! How strong an adapter is: what the configuration of peft says of ranks and alphas.
//!
//! It comes as `adapter_config.json` beside the weights, or from diffusers in the metadata of the file, where the name of a
//! component stands before every key (`unet.lora_alpha`).

use super::{Component, LoraError};
use crate::json;
use regex::Regex;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// The file of peft's configuration, beside the weights.
pub(super) const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The key of a file's metadata under which diffusers keeps the configuration.
pub(super) const METADATA: &str = "lora_adapter_metadata";

/// The configurations in one JSON object, by component.
#[derive(Debug, Clone, Default)]
pub(super) struct AdapterConfigs(BTreeMap<String, AdapterConfig>);

/// The keys of peft's `LoraConfig` that change what an adapter computes.
#[derive(Debug, Clone, Default)]
pub(super) struct AdapterConfig {
    place: &'static str,
    peft_type: Option<String>,
    r: Option<f64>,
    lora_alpha: Option<f64>,
    use_rslora: bool,
    use_dora: bool,
    rank_pattern: Patterns,
    alpha_pattern: Patterns,
}

/// Values for the layers whose names end as regular expressions say, the first of which counts (`get_pattern_key` in peft).
#[derive(Debug, Clone, Default)]
struct Patterns(Vec<(Regex, f64)>);

impl AdapterConfigs {
    /// Reads the text of an object; `place` is where it stands, for messages.
    ///
    /// # Errors
    /// [`LoraError::Key`] for what is no configuration, or that of another kind of adapter.
    pub fn from_json(place: &'static str, json: &[u8]) -> Result<Self, LoraError> {
        let failed = |problem: String| LoraError::Key { key: place.to_owned(), problem };
        let mut configs: Self =
            json::from_slice(json).map_err(|error| failed(format!("cannot be read: {error}")))?;
        for config in configs.0.values_mut() {
            config.place = place;
            if let Some(kind) = config.peft_type.as_ref().filter(|kind| *kind != "LORA") {
                return Err(failed(format!("is for an adapter of the kind {kind}; only LORA is supported")));
            }
            if config.use_dora {
                return Err(failed("is for a DoRA (`use_dora`), which is not supported".to_owned()));
            }
        }
        Ok(configs)
    }

    /// That of `component`, or the one for all.
    pub fn of(&self, component: Component) -> Option<&AdapterConfig> {
        self.0.get(component.key()).or_else(|| self.0.get(""))
    }
}

impl AdapterConfig {
    /// By what the layer that is called by any of `names`, with the rank that its matrices have, is multiplied, times that
    /// rank: alpha, or `alpha * sqrt(rank)` for a rank-stabilised adapter (arXiv 2312.03732).
    ///
    /// # Errors
    /// [`LoraError::Key`] if another rank was to be expected: the configuration then belongs to another file.
    pub fn alpha(&self, names: [&str; 2], rank: usize) -> Result<f64, LoraError> {
        /// What peft takes without `lora_alpha`.
        const DEFAULT: f64 = 8.0;
        let expected = self.rank_pattern.get(names).or(self.r).unwrap_or(rank as f64);
        if expected != rank as f64 {
            let problem = format!(
                "says that {} has the rank {expected}, but its matrices have {rank}: it belongs to another file",
                names[0]
            );
            return Err(LoraError::Key { key: self.place.to_owned(), problem });
        }
        let alpha = self.alpha_pattern.get(names).or(self.lora_alpha).unwrap_or(DEFAULT);
        Ok(if self.use_rslora { alpha * (rank as f64).sqrt() } else { alpha })
    }

    /// Whether the term is multiplied by `alpha / sqrt(rank)`.
    pub fn is_rank_stabilised(&self) -> bool {
        self.use_rslora
    }
}

impl Patterns {
    fn get(&self, names: [&str; 2]) -> Option<f64> {
        let matches = |(pattern, _): &&(Regex, f64)| names.iter().any(|name| pattern.is_match(name));
        self.0.iter().find(matches).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for AdapterConfigs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Configs;
        impl<'de> Visitor<'de> for Configs {
            type Value = AdapterConfigs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the configuration of an adapter")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut configs: BTreeMap<String, AdapterConfig> = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let (component, field) = key.rsplit_once('.').unwrap_or(("", &key));
                    let config = configs.entry(component.to_owned()).or_default();
                    match field {
                        "peft_type" => config.peft_type = map.next_value()?,
                        "r" => config.r = map.next_value()?,
                        "lora_alpha" => config.lora_alpha = map.next_value()?,
                        "use_rslora" => {
                            config.use_rslora = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "use_dora" => config.use_dora = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "rank_pattern" => {
                            config.rank_pattern = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "alpha_pattern" => {
                            config.alpha_pattern = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(AdapterConfigs(configs))
            }
        }
        deserializer.deserialize_map(Configs)
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Patterns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("numbers by patterns of layers' names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut patterns = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, f64>()? {
                    let pattern = Regex::new(&format!(r"^(.*\.)?({key})$")).map_err(A::Error::custom)?;
                    patterns.push((pattern, value));
                }
                Ok(Patterns(patterns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alpha(json: &str, component: Component, name: &str, rank: usize) -> Result<f64, String> {
        AdapterConfigs::from_json(ADAPTER_CONFIG, json.as_bytes())
            .and_then(|configs| configs.of(component).expect("a configuration").alpha([name, name], rank))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn strengths_are_those_of_peft() {
        let to_q = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
        for (json, rank, expected) in [
            (r#"{"r": 4, "lora_alpha": 32}"#, 4, 32.0),
            // After the byte order mark of some editors.
            ("\u{feff}{\"r\": 4, \"lora_alpha\": 32}", 4, 32.0),
            (r#"{"r": 16, "lora_alpha": 16, "use_rslora": true}"#, 16, 64.0),
            (r#"{"peft_type": "LORA", "r": 16, "use_rslora": null}"#, 16, 8.0),
            (r#"{"r": 4, "lora_alpha": 4, "rank_pattern": {"to_q": 9}, "use_rslora": true}"#, 9, 12.0),
            (r#"{"r": 4, "lora_alpha": 4, "alpha_pattern": {"attn1.to_q": 7, "to_q": 6}}"#, 4, 7.0),
            (r#"{"r": 4, "lora_alpha": 4, "alpha_pattern": {"to_q": 6, "attn1.to_q": 7}}"#, 4, 6.0),
            (r#"{"r": 4, "lora_alpha": 4, "alpha_pattern": {"o_q": 6, "^to_q": 6, "attn1": 6}}"#, 4, 4.0),
            (r#"{"r": 4, "lora_alpha": 4, "alpha_pattern": {"mid_block.*attn\\d.to_[qk]": 5}}"#, 4, 5.0),
            (r#"{"lora_alpha": 2.5, "rank_pattern": null, "alpha_pattern": null}"#, 3, 2.5),
        ] {
            assert_eq!(alpha(json, Component::Unet, to_q, rank), Ok(expected), "{json}");
        }
    }

    #[test]
    fn a_prefix_says_whose_configuration_it_is() {
        let json = r#"{"unet.lora_alpha": 1, "text_encoder.lora_alpha": 2, "text_encoder_2.lora_alpha": 3}"#;
        for (component, expected) in
            [(Component::Unet, 1.0), (Component::TextEncoder, 2.0), (Component::TextEncoder2, 3.0)]
        {
            assert_eq!(alpha(json, component, "to_q", 4), Ok(expected));
        }
        let configs = AdapterConfigs::from_json(METADATA, json.as_bytes()).unwrap();
        assert!(configs.of(Component::Transformer).is_none());
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (json, expected) in [
            (r#"{"peft_type": "LOHA"}"#, "LOHA"),
            (r#"{"unet.use_dora": true}"#, "DoRA"),
            (r#"{"lora_alpha": "much"}"#, "cannot be read"),
            (r#"{"alpha_pattern": {"(": 1}}"#, "cannot be read"),
            (r#"{"lora_alpha": NaN}"#, "cannot be read"),
            ("[]", "the configuration of an adapter"),
            (r#"{"r": 8, "lora_alpha": 8}"#, "the rank 8, but its matrices have 4"),
            (r#"{"r": 4, "rank_pattern": {"to_q": 2}}"#, "to_q has the rank 2"),
        ] {
            let error = alpha(json, Component::Unet, "to_q", 4).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(json in r#"[{}\[\]":,.a-z0-9()*+\\]{0,40}"#) {
            let _ = AdapterConfigs::from_json(METADATA, json.as_bytes());
        }
    }
}
