use super::{
    DiffusionConfig, FlowMatchConfig, SchedulerError,
    class::{self, Process, Standing},
    keys,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// A `scheduler_config.json` of diffusers: what noise a model was trained on, and how it is sampled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SchedulerConfig {
    /// Diffusion: the noise is given by betas.
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
    /// Reads a `scheduler_config.json` as diffusers writes it; `_class_name` says which kind it is, and which defaults
    /// absent keys have.
    ///
    /// # Errors
    /// [`SchedulerError`] for what is not JSON, names a key with a value of the wrong type, or a class whose models cannot
    /// be sampled.
    pub fn from_json(json: &[u8]) -> Result<Self, SchedulerError> {
        Self::from_json_of(json, DiffusionConfig::CLASS)
    }

    /// As [`Self::from_json`], of the class `class_name` if the file does not name one.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_json_of(json: &[u8], class_name: &str) -> Result<Self, SchedulerError> {
        let file = keys::object(json)?;
        let class_name = match file.get("_class_name") {
            None => class_name,
            Some(Value::String(name)) => name.as_str(),
            // Of a class that came with the model: its file and its name.
            Some(Value::Array(names)) => names.last().and_then(Value::as_str).unwrap_or_default(),
            Some(other) => {
                let problem = format!("is {other}; it must be the name of a scheduler class of diffusers");
                return Err(SchedulerError::Invalid { key: "_class_name", problem });
            }
        }
        .to_owned();
        match Standing::of(&class_name, is_flow(&class_name, &file)).process(&class_name)? {
            Process::FlowMatch => FlowMatchConfig::from_file(&class_name, file).map(Self::FlowMatch),
            Process::Diffusion => DiffusionConfig::from_file(&class_name, file).map(Self::Diffusion),
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

/// Whether the keys of a file say that its model was trained by flow matching, where the class leaves that open: some
/// solvers know both processes, and some classes are not diffusers'.
fn is_flow(class_name: &str, file: &Map<String, Value>) -> bool {
    if file.get("prediction_type").is_some_and(|value| value == "flow_prediction") {
        return true;
    }
    let has_shift = ["shift", "base_shift"].iter().any(|key| file.contains_key(*key));
    class::defaults(class_name).is_none()
        && (class_name.starts_with("Flow") || (has_shift && !file.contains_key("beta_start")))
}

/// Keys of a sampler that would change the result in a way that is not implemented here, with the values (as JSON) that
/// change nothing.
pub(super) type Neutral = [(&'static str, &'static [&'static str])];

/// The first of `keys` that `neutral` does not allow, with its value and the values that would work.
pub(super) fn not_neutral(
    keys: &Map<String, Value>,
    neutral: &Neutral,
) -> Option<(&'static str, String, String)> {
    neutral.iter().find_map(|&(key, accepted)| {
        // 2.0 is 2, as in Python.
        let value = match keys.get(key)? {
            Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |it| it.to_string()),
            other => other.to_string(),
        };
        (!accepted.contains(&value.as_str())).then(|| (key, value, accepted.join(", ")))
    })
}

/// Refuses keys that would change the result in a way that `class` does not implement here.
pub(super) fn refuse_unless_neutral(
    class: &'static str,
    keys: &Map<String, Value>,
    neutral: &Neutral,
) -> Result<(), SchedulerError> {
    match not_neutral(keys, neutral) {
        None => Ok(()),
        Some((key, value, supported)) => Err(SchedulerError::Unsupported { class, key, value, supported }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::TimestepSpacing;

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

    #[test]
    fn solvers_of_both_processes_say_which_it_is() {
        let json = br#"{"_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction",
            "use_flow_sigmas": true, "flow_shift": 3.0}"#;
        let config = SchedulerConfig::from_json(json).unwrap();
        let SchedulerConfig::FlowMatch(flow) = &config else { panic!("this is flow matching") };
        assert_eq!((flow.shift, flow.class_name.as_str()), (3.0, "UniPCMultistepScheduler"));
        let written = serde_json::to_vec(&config).unwrap();
        assert_eq!(SchedulerConfig::from_json(&written).unwrap(), config);
    }

    #[test]
    fn the_class_may_be_said_elsewhere() {
        let spacing = |json: &[u8], class: &str| {
            SchedulerConfig::from_json_of(json, class).unwrap().diffusion().unwrap().timestep_spacing
        };
        assert_eq!(spacing(b"{}", "EulerDiscreteScheduler"), TimestepSpacing::Linspace);
        let named = br#"{"_class_name": "DDIMScheduler"}"#;
        assert_eq!(spacing(named, "EulerDiscreteScheduler"), TimestepSpacing::Leading);
        let custom = br#"{"_class_name": ["scheduling_custom", "EulerDiscreteScheduler"]}"#;
        assert_eq!(spacing(custom, "DDIMScheduler"), TimestepSpacing::Linspace);
    }

    #[test]
    fn models_of_another_process_are_refused() {
        for class in ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "IPNDMScheduler", "SCMScheduler"]
        {
            let json = serde_json::json!({ "_class_name": class, "sigma_data": 0.5 }).to_string();
            let error = SchedulerConfig::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(class) && error.contains("cannot be used"), "{error}");
        }
    }
}
