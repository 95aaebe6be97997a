//! Typed values from the keys of a `scheduler_config.json`, with messages that name the key.

use super::SchedulerError;
use crate::json;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The keys that diffusers lists in a configuration if they only have the defaults of its class.
const USE_DEFAULT_VALUES: &str = "_use_default_values";

/// The object in a `scheduler_config.json`, without keys that only have defaults. A byte order mark is skipped, and numbers
/// that are none (`NaN`, `-Infinity`) become texts of that name, as Python writes them without quotation marks.
///
/// # Errors
/// [`SchedulerError::Json`] for what is not JSON, [`SchedulerError::NotAnObject`] for other JSON.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, SchedulerError> {
    let bytes = json::without_byte_order_mark(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(SchedulerError::NotAnObject { found: "empty" });
    }
    // What is not UTF-8 is left to the parser, which says where.
    let value: Value = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(&json::with_quoted_non_finite(text))?,
        Err(_) => serde_json::from_slice(bytes)?,
    };
    let found = match value {
        Value::Object(mut object) => {
            if let Some(Value::Array(keys)) = object.remove(USE_DEFAULT_VALUES) {
                for key in keys.iter().filter_map(Value::as_str) {
                    object.remove(key);
                }
            }
            return Ok(object);
        }
        Value::Array(_) => "a list",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => "a single value",
    };
    Err(SchedulerError::NotAnObject { found })
}

/// Where values come from: the file, or else the defaults of its class.
pub(super) struct Keys<'a> {
    pub file: &'a Map<String, Value>,
    pub defaults: Option<&'a Map<String, Value>>,
}

impl Keys<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.file.get(key).or_else(|| self.defaults.and_then(|defaults| defaults.get(key)))
    }

    /// A number; `otherwise` if the class has no such key.
    pub fn number(&self, key: &'static str, otherwise: f64) -> Result<f64, SchedulerError> {
        self.value(key).map_or(Ok(otherwise), |value| number(key, value))
    }

    /// A whole number, which may be written as `1000.0`.
    pub fn count(&self, key: &'static str, otherwise: usize) -> Result<usize, SchedulerError> {
        /// More would fill the memory: schedules keep a number for each timestep.
        const MOST: f64 = 1e6;
        let Some(value) = self.value(key) else { return Ok(otherwise) };
        let found = number(key, value)?;
        if found.fract() == 0.0 && (0.0..=MOST).contains(&found) {
            return Ok(found as usize);
        }
        invalid(key, format!("is {value}; it must be a whole number of at most {MOST}"))
    }

    /// True or false; null is false, as in Python.
    pub fn flag(&self, key: &'static str, otherwise: bool) -> Result<bool, SchedulerError> {
        match self.value(key) {
            None => Ok(otherwise),
            Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => invalid(key, format!("is {other}; it must be true or false")),
        }
    }

    /// One of several names.
    pub fn name<T: DeserializeOwned + Default>(&self, key: &'static str) -> Result<T, SchedulerError> {
        let Some(value) = self.value(key) else { return Ok(T::default()) };
        match value {
            Value::String(_) => serde_json::from_value(value.clone())
                .or_else(|error| invalid(key, format!("has an {error}; other values are not supported"))),
            other => invalid(key, format!("is {other}; it must be a name in quotation marks")),
        }
    }

    /// A list of numbers, or null for none.
    pub fn numbers(&self, key: &'static str) -> Result<Option<Vec<f64>>, SchedulerError> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => {
                values.iter().map(|value| number(key, value)).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => invalid(key, format!("is {other}; it must be a list of numbers, or null")),
        }
    }
}

fn number(key: &'static str, value: &Value) -> Result<f64, SchedulerError> {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| out_of_range(key, value), Ok),
        Value::String(text) if ["NaN", "Infinity", "-Infinity"].contains(&text.as_str()) => {
            invalid(key, format!("has {text}; it must be a finite number"))
        }
        Value::String(text) => {
            invalid(key, format!("has the text {text:?}; it must be a number, without quotation marks"))
        }
        other => invalid(key, format!("has {other}; it must be a number")),
    }
}

fn out_of_range<T>(key: &'static str, value: &Value) -> Result<T, SchedulerError> {
    invalid(key, format!("has {value}, which is too large"))
}

fn invalid<T>(key: &'static str, problem: String) -> Result<T, SchedulerError> {
    Err(SchedulerError::Invalid { key, problem })
}

#[cfg(test)]
mod tests {
    use crate::schedulers::{SchedulerConfig, TimestepSpacing};

    #[track_caller]
    fn message(json: &str) -> String {
        SchedulerConfig::from_json(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_python_reads_is_read() {
        let json = "\u{feff}{\"num_train_timesteps\": 1e3, \"steps_offset\": 1.0, \"thresholding\": null, \
                    \"timestep_spacing\": \"trailing\", \"lambda_min_clipped\":-Infinity}";
        let config = SchedulerConfig::from_json(json.as_bytes()).unwrap();
        let config = config.diffusion().unwrap();
        assert_eq!((config.num_train_timesteps, config.steps_offset), (1000, 1));
        assert_eq!((config.timestep_spacing, config.thresholding), (TimestepSpacing::Trailing, false));
    }

    #[test]
    fn the_key_is_named() {
        for (json, parts) in [
            (r#"{"beta_end": "0.012"}"#, ["`beta_end`", "the text \"0.012\""]),
            (r#"{"beta_end": NaN}"#, ["`beta_end`", "NaN; it must be a finite number"]),
            (r#"{"beta_end": null}"#, ["`beta_end`", "null; it must be a number"]),
            (r#"{"trained_betas": 0.1}"#, ["`trained_betas`", "a list of numbers"]),
            (r#"{"trained_betas": [0.1, "x"]}"#, ["`trained_betas`", "\"x\""]),
            (r#"{"num_train_timesteps": 12.5}"#, ["`num_train_timesteps`", "a whole number"]),
            (r#"{"num_train_timesteps": -1}"#, ["`num_train_timesteps`", "a whole number"]),
            (r#"{"num_train_timesteps": 1e12}"#, ["`num_train_timesteps`", "at most 1000000"]),
            (r#"{"clip_sample": "no"}"#, ["`clip_sample`", "true or false"]),
            (r#"{"beta_schedule": "laplace"}"#, ["`beta_schedule`", "`laplace`, expected one of `linear`"]),
            (r#"{"timestep_spacing": null}"#, ["`timestep_spacing`", "null; it must be a name"]),
            (r#"{"prediction_type": null}"#, ["`prediction_type`", "null; it must be a name"]),
            (r#"{"_class_name": 7}"#, ["`_class_name`", "7"]),
            ("  ", ["is empty", "an object"]),
            ("[]", ["is a list", "an object"]),
            ("null", ["is a single value", "an object"]),
            ("{\"a\": }", ["cannot be read", "line 1"]),
        ] {
            let message = message(json);
            assert!(parts.iter().all(|part| message.contains(part)), "{json}: {message}");
        }
        let message = SchedulerConfig::from_json(b"{\"a\": \"\xff\"}").unwrap_err().to_string();
        assert!(message.contains("cannot be read"), "{message}");
    }
}
