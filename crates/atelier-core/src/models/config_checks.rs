//! Whether a configuration can be built: keys that would change a model in a way that is not implemented, and numbers that
//! contradict each other or describe nothing that exists. Everything is checked before memory is taken.

use atelier_criteria::edit_distance;
use serde_json::{Map, Value};

use super::{ConfigError, ModelConfig};

/// More channels, tokens or pixels than any model has. Products of three such numbers fit into 64 bits.
const LARGEST: usize = 1 << 20;

/// More stages than any model has; each halves the resolution.
pub(super) const MOST_STAGES: usize = 12;

/// More layers than any model has in one stage.
pub(super) const MOST_LAYERS_OF_A_STAGE: usize = 32;

/// More layers than any model has one after another.
pub(super) const MOST_LAYERS: usize = 256;

/// More tokens than any prompt has, and longer sides of latents than any model was made for: memory grows with their squares.
pub(super) const LONGEST: usize = 1 << 12;

/// The key under which weights in integers say how they were made.
const QUANTIZATION: &str = "quantization_config";

/// Keys that say nothing about the model: notes of transformers, and what `EMAModel` of diffusers writes among the rest.
const OF_OTHERS: [&str; 12] = [
    "architectures",
    "decay",
    "dtype",
    "inv_gamma",
    "min_decay",
    "model_type",
    "optimization_step",
    "power",
    "torch_dtype",
    "transformers_version",
    "update_after_step",
    "use_ema_warmup",
];

/// Looks at the keys of a diffusers model that `C` has no field for.
///
/// `neutral` pairs a key with the values (as JSON) under which it has no effect; a null has none, and neither has a list of
/// such values, one for each block. Those `without_effect` have none under any value. A key that diffusers does not know is
/// left out with a warning, as there, unless it is nearly one that it knows.
///
/// # Errors
/// [`ConfigError::Unsupported`] for values with an effect, and [`ConfigError::Misspelt`].
pub(super) fn check_other_keys<C: ModelConfig + Default>(
    keys: &Map<String, Value>,
    neutral: &[(&str, &[&str])],
    without_effect: &[&str],
) -> Result<(), ConfigError> {
    check_quantization::<C>(keys)?;
    for (key, value) in keys {
        match neutral.iter().find(|(known, _)| known == key) {
            Some((_, accepted)) if is_one_of(value, accepted) => {}
            Some((_, accepted)) => {
                return Err(ConfigError::Unsupported {
                    class: C::CLASS,
                    key: key.clone(),
                    value: value.to_string(),
                    supported: accepted.join(", "),
                });
            }
            // diffusers' own notes begin with an underscore.
            None if key.starts_with('_') => {}
            None if without_effect.contains(&key.as_str()) || OF_OTHERS.contains(&key.as_str()) => {}
            None => {
                let own = serde_json::to_value(C::default()).unwrap_or_default();
                let own = own.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
                let mut known =
                    own.chain(neutral.iter().map(|(key, _)| *key)).chain(without_effect.iter().copied());
                if let Some(known) = known.find(|known| is_nearly(key, known)) {
                    let (key, known) = (key.clone(), known.to_owned());
                    return Err(ConfigError::Misspelt { class: C::CLASS, key, known });
                }
                tracing::warn!("{} has no `{key}` in diffusers 0.42: the key is left out", C::CLASS);
            }
        }
    }
    Ok(())
}

/// Refuses weights in integers, whatever else is said of them.
///
/// # Errors
/// [`ConfigError::Unsupported`].
pub(super) fn check_quantization<C: ModelConfig>(keys: &Map<String, Value>) -> Result<(), ConfigError> {
    match keys.get(QUANTIZATION) {
        None | Some(Value::Null) => Ok(()),
        Some(value) => Err(ConfigError::Unsupported {
            class: C::CLASS,
            key: QUANTIZATION.to_owned(),
            value: value.to_string(),
            supported: "none, for weights that are not quantised".to_owned(),
        }),
    }
}

/// Whether `value`, or every one of its values, is among `accepted`, whether written as 1 or as 1.0.
fn is_one_of(value: &Value, accepted: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) if !values.is_empty() => values.iter().all(|value| is_one_of(value, accepted)),
        Value::Number(number) => accepted.iter().any(|text| text.parse::<f64>().ok() == number.as_f64()),
        value => accepted.contains(&value.to_string().as_str()),
    }
}

/// Whether a few keystrokes make `key` of `known`.
fn is_nearly(key: &str, known: &str) -> bool {
    let allowed = if known.len() < 8 { 1 } else { 2 };
    known.len() > 4 && known.len().abs_diff(key.len()) <= allowed && edit_distance(key, known) <= allowed
}

/// How many times smaller pictures become in `stages`, of which every one but the first halves them.
pub(super) fn halvings(stages: usize) -> usize {
    1 << (stages.clamp(1, MOST_STAGES) - 1)
}

/// Refuses a value that is not positive and divisible by `divisor`, or larger than anything that exists.
pub(super) fn check_divisible(
    class: &'static str,
    key: &'static str,
    value: usize,
    divisor: usize,
    what: &str,
) -> Result<(), ConfigError> {
    if value > LARGEST {
        return Err(too_large(class, key, value, LARGEST));
    }
    if value > 0 && divisor > 0 && value.is_multiple_of(divisor) {
        return Ok(());
    }
    let problem = format!("has {value}, which is not a positive multiple of {divisor} ({what})");
    Err(ConfigError::Inconsistent { class, key, problem })
}

/// Refuses more than `most` of something.
pub(super) fn check_count(
    class: &'static str,
    key: &'static str,
    value: usize,
    most: usize,
) -> Result<(), ConfigError> {
    if value <= most { Ok(()) } else { Err(too_large(class, key, value, most)) }
}

fn too_large(class: &'static str, key: &'static str, value: usize, most: usize) -> ConfigError {
    let problem = format!("has {value}, and no model has more than {most}");
    ConfigError::Inconsistent { class, key, problem }
}

/// Refuses zero and what is infinite, by which nothing can be divided.
pub(super) fn check_divides(class: &'static str, key: &'static str, value: f64) -> Result<(), ConfigError> {
    if value.is_normal() {
        return Ok(());
    }
    let problem = format!("is {value}, by which nothing can be divided");
    Err(ConfigError::Inconsistent { class, key, problem })
}

/// Refuses an addend under a root that is negative.
pub(super) fn check_epsilon(class: &'static str, key: &'static str, value: f64) -> Result<(), ConfigError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(ConfigError::Inconsistent { class, key, problem: format!("is {value}, and must not be negative") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys_are_near_and_others_are_not() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert!(is_nearly("block_out_chanels", "block_out_channels") && is_nearly("act_fm", "act_fn"));
        assert!(!is_nearly("comment", "dropout") && !is_nearly("activation", "act_fn"));
    }

    #[test]
    fn numbers_beyond_all_models_are_refused() {
        let error = check_divisible("Model", "hidden_size", 1 << 40, 2, "").unwrap_err().to_string();
        assert!(
            error.contains("`hidden_size` has 1099511627776, and no model has more than 1048576"),
            "{error}"
        );
        assert!(check_count("Model", "num_layers", 257, MOST_LAYERS).is_err());
        for value in [0.0, f64::INFINITY, f64::NAN] {
            assert!(check_divides("Model", "scaling_factor", value).is_err());
        }
    }
}
