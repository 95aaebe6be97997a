use super::{
    SchedulerError, class,
    config::{Neutral, refuse_unless_neutral},
    keys::Keys,
};
use serde::Serialize;
use serde_json::{Map, Value};

const CLASS: &str = "FlowMatchEulerDiscreteScheduler";

/// Keys of diffusers that would change the result, with the values under which they do not.
pub(super) const NEUTRAL: &Neutral = &[
    ("invert_sigmas", &["false"]),
    ("shift_terminal", &["null"]),
    ("stochastic_sampling", &["false"]),
    ("time_shift_type", &["\"exponential\""]),
    ("use_beta_sigmas", &["false", "null"]),
    ("use_exponential_sigmas", &["false", "null"]),
    ("use_karras_sigmas", &["false", "null"]),
];

/// A `scheduler_config.json` of a flow matching model: the keys of diffusers' `FlowMatchEulerDiscreteScheduler`, with its
/// defaults. Keys that are not used here are kept and written back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowMatchConfig {
    /// The class that diffusers samples with, `_class_name`.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Training timesteps; the noisiest is pure noise.
    pub num_train_timesteps: usize,
    /// Moves timesteps toward noise: `sigma` becomes `shift sigma / (1 + (shift - 1) sigma)` (equation 23 of Esser et al.,
    /// arXiv 2403.03206). Not used with `use_dynamic_shifting`.
    pub shift: f64,
    /// Whether samplers shift by the size of the picture instead, and training not at all.
    pub use_dynamic_shifting: bool,
    /// Logarithm of the shift of a picture of `base_image_seq_len` tokens.
    pub base_shift: f64,
    /// Logarithm of the shift of a picture of `max_image_seq_len` tokens.
    pub max_shift: f64,
    /// Tokens of a small picture.
    pub base_image_seq_len: usize,
    /// Tokens of a large picture.
    pub max_image_seq_len: usize,
    /// Keys that are not read here, or only to refuse values that would change the result.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for FlowMatchConfig {
    fn default() -> Self {
        Self {
            class_name: CLASS.to_owned(),
            num_train_timesteps: 1000,
            shift: 1.0,
            use_dynamic_shifting: false,
            base_shift: 0.5,
            max_shift: 1.15,
            base_image_seq_len: 256,
            max_image_seq_len: 4096,
            other: Map::new(),
        }
    }
}

/// The keys that are read.
const KEYS: [&str; 7] = [
    "num_train_timesteps",
    "shift",
    "use_dynamic_shifting",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
];

impl FlowMatchConfig {
    /// Reads the keys of a file of diffusers' class `class_name`. Solvers of diffusion that know flow matching as well call
    /// the shift `flow_shift`.
    pub(super) fn from_file(class_name: &str, mut file: Map<String, Value>) -> Result<Self, SchedulerError> {
        const FLOW_SHIFT: &str = "flow_shift";
        file.remove("_class_name");
        let keys = Keys { file: &file, defaults: class::defaults(class_name) };
        let shift = if class::has_key(class_name, FLOW_SHIFT) { FLOW_SHIFT } else { "shift" };
        let otherwise = Self::default();
        let config = Self {
            class_name: class_name.to_owned(),
            num_train_timesteps: keys.count("num_train_timesteps", otherwise.num_train_timesteps)?,
            shift: keys.number(shift, otherwise.shift)?,
            use_dynamic_shifting: keys.flag("use_dynamic_shifting", false)?,
            base_shift: keys.number("base_shift", otherwise.base_shift)?,
            max_shift: keys.number("max_shift", otherwise.max_shift)?,
            base_image_seq_len: keys.count("base_image_seq_len", otherwise.base_image_seq_len)?,
            max_image_seq_len: keys.count("max_image_seq_len", otherwise.max_image_seq_len)?,
            other: Map::new(),
        };
        file.retain(|key, _| !KEYS.contains(&key.as_str()));
        Ok(Self { other: file, ..config })
    }

    /// # Errors
    /// [`SchedulerError`] names what is invalid or not supported.
    pub(super) fn check(&self) -> Result<(), SchedulerError> {
        refuse_unless_neutral(CLASS, &self.other, NEUTRAL)?;
        let invalid = |key, problem: String| Err(SchedulerError::Invalid { key, problem });
        if self.num_train_timesteps == 0 {
            return invalid("num_train_timesteps", "must be at least 1".to_owned());
        }
        if !(self.shift > 0.0 && self.shift.is_finite()) {
            return invalid("shift", format!("is {}; it must be positive", self.shift));
        }
        for (key, value) in [("base_shift", self.base_shift), ("max_shift", self.max_shift)] {
            if !value.is_finite() {
                return invalid(key, format!("is {value}; it must be finite"));
            }
        }
        if self.base_image_seq_len == self.max_image_seq_len {
            let problem =
                format!("is {}, and so is `base_image_seq_len`; they must differ", self.max_image_seq_len);
            return invalid("max_image_seq_len", problem);
        }
        Ok(())
    }

    /// The shift for a picture of `image_seq_len` tokens: the exponential of a line through both given ones
    /// (`calculate_shift` of diffusers' `FluxPipeline`).
    pub fn dynamic_shift(&self, image_seq_len: usize) -> f64 {
        let [base, max, tokens] =
            [self.base_image_seq_len, self.max_image_seq_len, image_seq_len].map(|count| count as f64);
        let slope = (self.max_shift - self.base_shift) / (max - base);
        libm::exp(self.base_shift + slope * (tokens - base))
    }

    /// The shift of all pictures: 1 where it depends on the picture.
    pub(super) fn static_shift(&self) -> f64 {
        if self.use_dynamic_shifting { 1.0 } else { self.shift }
    }
}

/// `sigma` in `(0, 1]`, moved toward 1 by a `shift` above 1.
pub(super) fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        let file = serde_json::from_str(json).unwrap();
        FlowMatchConfig::from_file(CLASS, file).unwrap().check().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(
            error(r#"{"use_karras_sigmas": true}"#),
            "FlowMatchEulerDiscreteScheduler does not support `use_karras_sigmas` = true; supported: false, null"
        );
        assert!(error(r#"{"shift_terminal": 0.02}"#).contains("`shift_terminal` = 0.02"));
        assert!(error(r#"{"shift": 0}"#).contains("`shift` is 0"));
        assert!(error(r#"{"max_image_seq_len": 256}"#).contains("they must differ"));
        assert!(error(r#"{"num_train_timesteps": 0}"#).contains("at least 1"));
    }

    #[test]
    fn the_shift_grows_with_the_picture() {
        let config = FlowMatchConfig::default();
        for (tokens, logarithm) in [(256, 0.5), (4096, 1.15), (2176, 0.825)] {
            assert!((config.dynamic_shift(tokens).ln() - logarithm).abs() < 1e-12);
        }
    }
}
