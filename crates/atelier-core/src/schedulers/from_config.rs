//! From the keys of a file to a configuration, and from the configuration of one class to that of another.

use super::{DiffusionConfig, SchedulerError, class, keys::Keys};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The keys that are read.
const KEYS: [&str; 13] = [
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
    "clip_sample",
    "clip_sample_range",
    "set_alpha_to_one",
    "thresholding",
];

/// The key that `DPMSolverMultistepScheduler` of diffusers has minus infinity for.
const LAMBDA_MIN_CLIPPED: &str = "lambda_min_clipped";

impl DiffusionConfig {
    /// Reads the keys of a file of diffusers' class `class_name`.
    pub(super) fn from_file(class_name: &str, mut file: Map<String, Value>) -> Result<Self, SchedulerError> {
        file.remove("_class_name");
        read_predict_epsilon(&mut file);
        let keys = Keys { file: &file, defaults: class::defaults(class_name) };
        let otherwise = Self::default();
        let config = Self {
            class_name: class_name.to_owned(),
            num_train_timesteps: keys.count("num_train_timesteps", otherwise.num_train_timesteps)?,
            beta_start: keys.number("beta_start", otherwise.beta_start)?,
            beta_end: keys.number("beta_end", otherwise.beta_end)?,
            beta_schedule: keys.name("beta_schedule")?,
            trained_betas: keys.numbers("trained_betas")?,
            prediction_type: keys.name("prediction_type")?,
            timestep_spacing: keys.name("timestep_spacing")?,
            steps_offset: keys.count("steps_offset", otherwise.steps_offset)?,
            rescale_betas_zero_snr: keys.flag("rescale_betas_zero_snr", false)?,
            // Classes without the key never clip.
            clip_sample: keys.flag("clip_sample", false)?,
            clip_sample_range: keys.number("clip_sample_range", otherwise.clip_sample_range)?,
            set_alpha_to_one: keys.flag("set_alpha_to_one", otherwise.set_alpha_to_one)?,
            thresholding: keys.flag("thresholding", false)?,
            use_default_values: KEYS.into_iter().filter(|key| !file.contains_key(*key)).collect(),
            other: Map::new(),
        };
        file.retain(|key, _| !KEYS.contains(&key.as_str()));
        // Its default, which JSON cannot hold.
        if file.get(LAMBDA_MIN_CLIPPED).is_some_and(|value| value == "-Infinity") {
            file.remove(LAMBDA_MIN_CLIPPED);
        }
        Ok(Self { other: file, ..config })
    }

    /// The configuration that diffusers' class `class_name` takes from this one, as `ConfigMixin.from_config` has it:
    /// values of the file are kept, and what was only a default of the class that wrote it is not.
    ///
    /// Other than in diffusers, samples are not clipped if they were not before: latents are not bounded, and the default
    /// of `DDIMScheduler` and `DDPMScheduler` is meant for pixels.
    ///
    /// # Errors
    /// [`SchedulerError`] if the class reads a key that this one does not, with a value of the wrong type.
    pub fn for_class(&self, class_name: &str) -> Result<Self, SchedulerError> {
        let Some(keys) = class::defaults(class_name).filter(|_| class_name != self.class_name) else {
            return Ok(self.clone());
        };
        let mut file = self.keys();
        if !(self.clip_sample && class::has_key(&self.class_name, "clip_sample")) {
            file.insert("clip_sample".to_owned(), false.into());
        }
        // These classes know one value of the keys, whatever the file says, which others take for their own default.
        let has_own_solver = ["DEISMultistepScheduler", "SASolverScheduler", "UniPCMultistepScheduler"];
        if has_own_solver.contains(&self.class_name.as_str()) {
            file.remove("algorithm_type");
            file.remove("solver_type");
        }
        file.retain(|key, _| keys.contains_key(key));
        Self::from_file(class_name, file)
    }

    /// The keys and values of the file that this is.
    fn keys(&self) -> Map<String, Value> {
        // A name is a text, and fails to be written no more than a number does.
        let name = |name: serde_json::Result<Value>| name.unwrap_or_default();
        let read = [
            ("num_train_timesteps", self.num_train_timesteps.into()),
            ("beta_start", self.beta_start.into()),
            ("beta_end", self.beta_end.into()),
            ("beta_schedule", name(serde_json::to_value(self.beta_schedule))),
            ("trained_betas", self.trained_betas.clone().into()),
            ("prediction_type", name(serde_json::to_value(self.prediction_type))),
            ("timestep_spacing", name(serde_json::to_value(self.timestep_spacing))),
            ("steps_offset", self.steps_offset.into()),
            ("rescale_betas_zero_snr", self.rescale_betas_zero_snr.into()),
            ("clip_sample", self.clip_sample.into()),
            ("clip_sample_range", self.clip_sample_range.into()),
            ("set_alpha_to_one", self.set_alpha_to_one.into()),
            ("thresholding", self.thresholding.into()),
        ];
        let in_file = read.into_iter().filter(|(key, _)| !self.use_default_values.contains(key));
        let mut keys: Map<String, Value> = in_file.map(|(key, value)| (key.to_owned(), value)).collect();
        keys.extend(self.other.clone());
        keys
    }
}

impl Serialize for DiffusionConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let class_name = [("_class_name".to_owned(), self.class_name.clone().into())];
        let keys: Map<String, Value> = class_name.into_iter().chain(self.keys()).collect();
        keys.serialize(serializer)
    }
}

/// The key of diffusers before 0.10 that said what `prediction_type` says since.
pub(super) const PREDICT_EPSILON: &str = "predict_epsilon";

/// Gives `prediction_type` the value that an old file has under its old key, unless the file has the new one as well.
fn read_predict_epsilon(file: &mut Map<String, Value>) {
    let predicts_epsilon = file.get(PREDICT_EPSILON).and_then(Value::as_bool);
    let says_more = file.get("prediction_type").is_some_and(|value| !value.is_null());
    if let (Some(predicts_epsilon), false) = (predicts_epsilon, says_more) {
        let prediction_type = if predicts_epsilon { "epsilon" } else { "sample" };
        file.insert("prediction_type".to_owned(), prediction_type.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::{PredictionType, SchedulerConfig, SchedulerKind, TimestepSpacing};

    fn config(json: &str) -> DiffusionConfig {
        DiffusionConfig::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn absent_keys_have_the_defaults_of_their_class() {
        for (class, spacing, clips, beta_end) in [
            ("DDIMScheduler", TimestepSpacing::Leading, true, 0.02),
            ("PNDMScheduler", TimestepSpacing::Leading, false, 0.02),
            ("EulerDiscreteScheduler", TimestepSpacing::Linspace, false, 0.02),
            ("HeunDiscreteScheduler", TimestepSpacing::Linspace, false, 0.012),
            ("LCMScheduler", TimestepSpacing::Leading, false, 0.012),
        ] {
            let config = config(&format!(r#"{{"_class_name": "{class}"}}"#));
            let found = (config.timestep_spacing, config.clip_sample, config.beta_end);
            assert_eq!(found, (spacing, clips, beta_end), "{class}");
        }
    }

    #[test]
    fn defaults_are_left_behind_and_values_of_the_file_are_not() {
        let silent = config(r#"{"_class_name": "DDIMScheduler", "steps_offset": 1}"#);
        let euler = silent.for_class("EulerDiscreteScheduler").unwrap();
        assert_eq!((euler.timestep_spacing, euler.steps_offset), (TimestepSpacing::Linspace, 1));
        let said = config(r#"{"_class_name": "DDIMScheduler", "timestep_spacing": "leading"}"#);
        let euler = said.for_class("EulerDiscreteScheduler").unwrap();
        assert_eq!(euler.timestep_spacing, TimestepSpacing::Leading);
        // What is written says no more than what was read.
        let again = config(&serde_json::to_string(&silent).unwrap());
        assert_eq!(again, silent);
        let listed = r#"{"timestep_spacing": "trailing", "_use_default_values": ["timestep_spacing"]}"#;
        assert_eq!(config(listed).timestep_spacing, TimestepSpacing::Leading);
    }

    #[test]
    fn what_stands_in_for_a_class_without_clipping_does_not_clip() {
        for (class, said, clips) in [
            ("PNDMScheduler", "", false),
            ("LMSDiscreteScheduler", r#", "clip_sample": true"#, false),
            ("EulerDiscreteScheduler", "", false),
            ("Schedulerino", "", false),
            ("LCMScheduler", "", false),
            ("DDPMScheduler", "", true),
            ("DDPMScheduler", r#", "clip_sample": false"#, false),
        ] {
            let config = config(&format!(r#"{{"_class_name": "{class}"{said}}}"#));
            assert_eq!(config.for_class("DDIMScheduler").unwrap().clip_sample, clips, "{class}{said}");
        }
    }

    #[test]
    fn the_solver_of_another_class_becomes_the_default() {
        for (class, keys) in [
            ("DEISMultistepScheduler", r#""algorithm_type": "deis", "solver_type": "logrho""#),
            ("UniPCMultistepScheduler", r#""solver_type": "bh2", "predict_x0": true"#),
            ("SASolverScheduler", r#""algorithm_type": "data_prediction""#),
        ] {
            let config = config(&format!(r#"{{"_class_name": "{class}", {keys}}}"#));
            SchedulerKind::DpmSolverMultistep.build(&SchedulerConfig::Diffusion(config)).unwrap();
        }
    }

    #[test]
    fn the_old_key_of_the_prediction_is_read() {
        for (json, expected) in [
            (r#"{"predict_epsilon": true, "prediction_type": null}"#, PredictionType::Epsilon),
            (r#"{"predict_epsilon": false}"#, PredictionType::Sample),
            (r#"{"predict_epsilon": true, "prediction_type": "v_prediction"}"#, PredictionType::VPrediction),
        ] {
            assert_eq!(config(json).prediction_type, expected, "{json}");
        }
    }
}
