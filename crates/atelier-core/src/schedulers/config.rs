use super::{DiffusionConfig, FlowMatchConfig, SchedulerError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A `scheduler_config.json` of diffusers: what noise a model was trained on, and how it is sampled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SchedulerConfig {
    /// Diffusion: the noise is given by betas. All classes that are not named `FlowMatch…`.
    Diffusion(DiffusionConfig),
    /// Flow matching: straight paths from pictures to noise.
    FlowMatch(FlowMatchConfig),
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self::Diffusion(DiffusionConfig::default())
    }
}

impl SchedulerConfig {
    /// Reads a `scheduler_config.json` as diffusers writes it; `_class_name` says which kind it is.
    ///
    /// # Errors
    /// [`SchedulerError::Json`] for what is not JSON, and for values of the wrong type.
    pub fn from_json(json: &[u8]) -> Result<Self, SchedulerError> {
        #[derive(Deserialize)]
        struct Class {
            #[serde(default, rename = "_class_name")]
            name: String,
        }
        match serde_json::from_slice::<Class>(json) {
            Ok(class) if class.name.starts_with("FlowMatch") => {
                Ok(Self::FlowMatch(serde_json::from_slice(json)?))
            }
            // Those of diffusion may hold infinities, which are no JSON.
            _ => DiffusionConfig::from_json(json).map(Self::Diffusion),
        }
    }

    /// The class that diffusers samples with, `_class_name`.
    pub fn class_name(&self) -> &str {
        match self {
            Self::Diffusion(config) => &config.class_name,
            Self::FlowMatch(config) => &config.class_name,
        }
    }

    /// The configuration of a diffusion process, for what is defined on such alone.
    ///
    /// # Errors
    /// [`SchedulerError::NotDiffusion`] for a flow matching model.
    pub fn diffusion(&self) -> Result<&DiffusionConfig, SchedulerError> {
        match self {
            Self::Diffusion(config) => Ok(config),
            Self::FlowMatch(_) => Err(SchedulerError::NotDiffusion),
        }
    }
}

/// Refuses keys that would change the result in a way that `class` does not implement here.
///
/// `neutral` pairs a key with the values (as JSON) that change nothing.
pub(super) fn refuse_unless_neutral(
    class: &'static str,
    keys: &Map<String, Value>,
    neutral: &[(&'static str, &[&str])],
) -> Result<(), SchedulerError> {
    for &(key, accepted) in neutral {
        let Some(value) = keys.get(key).map(Value::to_string) else { continue };
        if !accepted.contains(&value.as_str()) {
            let supported = accepted.join(", ");
            return Err(SchedulerError::Unsupported { class, key, value, supported });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_decides() {
        let json = br#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "beta_start": 7}"#;
        let SchedulerConfig::FlowMatch(config) = SchedulerConfig::from_json(json).unwrap() else {
            panic!("this is flow matching");
        };
        assert_eq!(config.shift, 3.0);
        let json = br#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity}"#;
        let config = SchedulerConfig::from_json(json).unwrap();
        assert_eq!(config.class_name(), "DPMSolverMultistepScheduler");
        config.diffusion().unwrap();
    }

    #[test]
    fn only_the_keys_of_its_kind_are_written() {
        let json = br#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": false}"#;
        let config = SchedulerConfig::from_json(json).unwrap();
        let written = serde_json::to_string(&config).unwrap();
        assert!(written.contains("max_image_seq_len") && written.contains("invert_sigmas"), "{written}");
        assert!(!written.contains("beta_start"), "{written}");
        assert_eq!(SchedulerConfig::from_json(written.as_bytes()).unwrap(), config);
    }
}
